use crate::entry::spread;
use crate::{Padding, pair_layers};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_architecture::{projected, take_separate};
use burn_distill_core::numeric::{at_least_f32, connected_zero, masked_mean, zero_padding};
use burn_distill_core::{
    CatalogEntry, Check, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss, Tap,
    check_sequences, one_line_display,
};

/// Configuration to create a [hidden states loss](HiddenStatesLoss) using the
/// [init function](HiddenStatesLossConfig::init).
#[derive(Config, Debug)]
pub struct HiddenStatesLossConfig {
    /// Treatment of padding in the mean. Default: `Excluded`; the authors' code uses `Included`.
    #[config(default = "Padding::Excluded")]
    pub padding: Padding,
}

impl HiddenStatesLossConfig {
    /// Creates a [hidden states loss](HiddenStatesLoss).
    pub fn init(&self) -> HiddenStatesLoss {
        HiddenStatesLoss {
            padding: self.padding,
        }
    }
}

impl Check for HiddenStatesLossConfig {}

/// TinyBERT, hidden states: matches the hidden states, layer by layer.
///
/// ```text
/// L = Σ over layers of mean over tokens and features of (student − teacher)²
/// ```
///
/// If no token counts, the loss is zero, still connected to the autodiff graph. The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// The authors compare the embedding and every layer of the student with [every `k`-th layer of the
/// teacher](crate::uniform_layer_map), always after a [projection](crate::ProjectedSequences) that
/// all layers share.
///
/// # Weights
///
/// The authors add this loss and the [attention scores loss](crate::AttentionScoresLoss), each with
/// weight 1, before they train on the teacher's response.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::HiddenStatesLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<3>::from_data([[[1.0, 0.0], [7.0, 7.0]]], &device);
/// let teacher = Tensor::<3>::from_data([[[1.0, 2.0], [0.0, 0.0]]], &device);
/// let mask = Tensor::from_data([[true, false]], &device);
///
/// let loss = HiddenStatesLossConfig::new().init().forward(student, teacher, Some(mask));
///
/// assert_eq!(loss.into_scalar::<f32>(), 2.0);
/// ```
///
/// # Reference
///
/// X. Jiao et al., [TinyBERT](https://arxiv.org/abs/1909.10351), Findings of EMNLP 2020. `Excluded`
/// agrees with `hid_mse_loss` of TextBrewer, `Included` with `task_distill.py` of the authors'
/// code.
#[doc(alias = "TinyBERT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct HiddenStatesLoss {
    /// Treatment of padding in the mean.
    #[module(skip)]
    pub padding: Padding,
}

one_line_display!(HiddenStatesLoss: ?padding);

impl HiddenStatesLoss {
    /// Computes the loss of one layer.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, length, features]`
    /// - mask: `[batch_size, length]`, true for the tokens that count; without a mask, all count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(
        &self,
        student: Tensor<3>,
        teacher: Tensor<3>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [batch_size, length, features] = student.dims();
        assert_shape!(teacher, [batch_size, length, features]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let mask = match self.padding {
            Padding::Excluded => mask,
            Padding::Included => None,
        };
        let student = zero_padding(at_least_f32(student), mask.as_ref());
        let teacher = zero_padding(at_least_f32(teacher.without_autodiff()), mask.as_ref());
        let distance = student.sub(teacher).square().mean_dim(2);
        masked_mean(distance.squeeze_dim::<2>(2), mask)
    }
}

impl NamedLoss for HiddenStatesLoss {
    fn name(&self) -> &'static str {
        "hidden-states"
    }
}

impl MultiLayerLoss for HiddenStatesLoss {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        pair_layers(student, teacher)
            .map(|(student, teacher)| {
                let (student, teacher) = (student.into_sequence(), teacher.into_sequence());
                self.forward(student, teacher, mask.clone())
            })
            .reduce(Tensor::add)
            .expect("There is a layer.")
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        check_sequences(student, teacher, true)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "hidden-states",
        abbreviation: "TinyBERT",
        about: "matches hidden states, layer by layer",
        kind: "feature",
        aliases: &["tinybert-hidden"],
        reference: "Jiao et al., TinyBERT, Findings of EMNLP 2020",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let names = spread(&mut builder, "hidden", |depth| (0, depth))?;
        let separate = take_separate(&mut builder)?;
        let config = builder.configure(HiddenStatesLossConfig::new())?;
        projected(builder, names, config.init(), separate)
    })
}
