use crate::entry::spread;
use crate::{Padding, pair_layers};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, masked_mean, token_pairs};
use burn_distill_core::{
    CatalogEntry, Check, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss, TRIAL_SAMPLES,
    Tap, check_paired, check_same, one_line_display,
};

/// Configuration to create an [attention scores loss](AttentionScoresLoss) using the
/// [init function](AttentionScoresLossConfig::init).
#[derive(Config, Debug)]
pub struct AttentionScoresLossConfig {
    /// Treatment of padding in the mean. Default: `Excluded`; the authors' code uses `Included`.
    #[config(default = "Padding::Excluded")]
    pub padding: Padding,
}

impl AttentionScoresLossConfig {
    /// Creates an [attention scores loss](AttentionScoresLoss).
    pub fn init(&self) -> AttentionScoresLoss {
        AttentionScoresLoss {
            padding: self.padding,
        }
    }
}

impl Check for AttentionScoresLossConfig {}

/// TinyBERT, attention: matches the attention scores before the softmax, head by head.
///
/// ```text
/// L = Σ over layers of mean over heads and pairs of tokens of (student − teacher)²
/// ```
///
/// A score is the product of a query and a key divided by the root of the size of a head. Padding
/// and scores that are already masked are treated as follows:
///
/// | Padding | Pairs of the mean | Scores that are masked |
/// | --- | --- | --- |
/// | `Excluded` | query and key count, and neither score is −∞ | do not count |
/// | `Included` | all | at or below −100, or of a key that is padding: zero on that side |
///
/// If no pair counts, the loss is zero, still connected to the autodiff graph. The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// The authors compare every layer of the student with [every `k`-th layer of the
/// teacher](crate::uniform_layer_map).
///
/// # Weights
///
/// The authors add this loss and the [hidden states loss](crate::HiddenStatesLoss), each with
/// weight 1, before they train on the teacher's response.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::AttentionScoresLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<4>::from_data([[[[1.0, 2.0], [3.0, 4.0]]]], &device);
/// let teacher = Tensor::<4>::from_data([[[[1.0, 2.0], [3.0, 6.0]]]], &device);
///
/// let loss = AttentionScoresLossConfig::new().init().forward(student, teacher, None);
///
/// assert_eq!(loss.into_scalar::<f32>(), 1.0);
/// ```
///
/// # Reference
///
/// X. Jiao et al., [TinyBERT](https://arxiv.org/abs/1909.10351), Findings of EMNLP 2020. `Excluded`
/// agrees with `att_mse_loss` of TextBrewer with a mask (without one, TextBrewer drops all negative
/// scores), `Included` with `task_distill.py` of the authors' code.
#[doc(alias = "TinyBERT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AttentionScoresLoss {
    /// Treatment of padding in the mean.
    #[module(skip)]
    pub padding: Padding,
}

one_line_display!(AttentionScoresLoss: ?padding);

/// Scores at or below this are masked in the authors' code.
const MASKED: f64 = -100.0;

impl AttentionScoresLoss {
    /// Computes the loss of one layer.
    ///
    /// # Shapes
    ///
    /// - student, teacher: scores before the softmax `[batch_size, heads, queries, keys]`
    /// - mask: `[batch_size, length]`, true for the tokens that count, both as queries and as keys;
    ///   without a mask, all count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(
        &self,
        student: Tensor<4>,
        teacher: Tensor<4>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [batch_size, heads, queries, keys] = student.dims();
        assert_shape!(teacher, [batch_size, heads, queries, keys]);
        if let Some(mask) = &mask {
            assert_shape!(mask, [batch_size, keys]);
            assert_eq!(
                queries, keys,
                "A mask needs self-attention, with the same number of queries and keys."
            );
        }
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let (student, teacher) = (
            at_least_f32(student),
            at_least_f32(teacher.without_autodiff()),
        );
        match self.padding {
            Padding::Excluded => excluded(student, teacher, mask),
            Padding::Included => included(student, teacher, mask),
        }
    }
}

fn excluded(student: Tensor<4>, teacher: Tensor<4>, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
    let heads = student.dims()[1];
    let is_score = |scores: &Tensor<4>| scores.clone().not_equal_scalar(f32::NEG_INFINITY);
    let pairs = is_score(&student).bool_and(is_score(&teacher));
    let pairs = match mask {
        Some(mask) => pairs.bool_and(token_pairs(mask, heads)),
        None => pairs,
    };
    // Filled before the difference: −∞ − (−∞) is NaN, and so is its gradient.
    let counted = |scores: Tensor<4>| scores.mask_fill(pairs.clone().bool_not(), 0.0);
    let distance = counted(student).sub(counted(teacher)).square();
    masked_mean(distance, Some(pairs))
}

fn included(student: Tensor<4>, teacher: Tensor<4>, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
    let shape = student.shape();
    let padding = mask.map(|mask| {
        let keys = mask.bool_not().unsqueeze_dims::<4>(&[1, 2]);
        keys.expand(shape)
    });
    let unmasked = |scores: Tensor<4>| {
        let masked = scores.clone().lower_equal_scalar(MASKED);
        let masked = match &padding {
            Some(padding) => masked.bool_or(padding.clone()),
            None => masked,
        };
        scores.mask_fill(masked, 0.0)
    };
    unmasked(student).sub(unmasked(teacher)).square().mean()
}

impl NamedLoss for AttentionScoresLoss {
    fn name(&self) -> &'static str {
        "attention-scores"
    }
}

impl MultiLayerLoss for AttentionScoresLoss {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        pair_layers(student, teacher)
            .map(|(student, teacher)| {
                let (student, teacher) = (student.into_attention(), teacher.into_attention());
                self.forward(student, teacher, mask.clone())
            })
            .reduce(Tensor::add)
            .expect("There is a layer.")
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        check_paired(student, teacher)?;
        for (student, teacher) in student.iter().zip(teacher) {
            let [heads, queries, keys] = student.attention_size()?;
            let [teacher_heads, teacher_queries, teacher_keys] = teacher.attention_size()?;
            check_same("heads", heads, teacher_heads)?;
            check_same("queries", queries, teacher_queries)?;
            check_same("keys", keys, teacher_keys)?;
        }
        Ok(())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "attention-scores",
        abbreviation: "TinyBERT",
        about: "matches attention scores, layer by layer",
        kind: "feature",
        aliases: &["tinybert-attention"],
        reference: "Jiao et al., TinyBERT, Findings of EMNLP 2020",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let names = spread(&mut builder, "attention", |depth| (1, depth))?;
        let config = builder.configure(AttentionScoresLossConfig::new())?;
        builder.layers_of(names, TRIAL_SAMPLES, config.init())
    })
}
