use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{attention_divergence, relation_scores};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, LossError, MultiLayerLoss,
    NamedLoss, TRIAL_SAMPLES, Tap, check, check_sequences, one_line_display,
};

/// Configuration to create a [self-attention relations loss](SelfAttentionRelationsLoss) using the
/// [init function](SelfAttentionRelationsLossConfig::init).
#[derive(Config, Debug)]
pub struct SelfAttentionRelationsLossConfig {
    /// Number of relation heads, a divisor of the number of features of both networks. Default:
    /// `48`, for teachers of base size; the authors use 64 for large ones.
    #[config(default = 48)]
    pub relation_heads: usize,
}

impl SelfAttentionRelationsLossConfig {
    /// Creates a [self-attention relations loss](SelfAttentionRelationsLoss).
    ///
    /// # Panics
    ///
    /// Panics if `relation_heads` is zero.
    pub fn init(&self) -> SelfAttentionRelationsLoss {
        self.assert_valid();
        SelfAttentionRelationsLoss {
            relation_heads: self.relation_heads,
        }
    }
}

impl Check for SelfAttentionRelationsLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("relation_heads", self.relation_heads, 1)
    }
}

/// MiniLMv2: matches the self-attention relations between tokens, of queries, keys and values.
///
/// ```text
/// relation(X) = softmax(X Xᵀ / √(features / relation_heads)), relation head by relation head
/// D(X, Y)     = mean over sequences, relation heads and tokens of KL(relation(X) ‖ relation(Y))
/// L           = Σ over queries, keys and values of D(teacher, student)
/// ```
///
/// The features of all attention heads are joined and split again into relation heads, so the
/// networks may differ in the number of attention heads and of features. With a mask, the softmax
/// is over the tokens that count, and the mean is over those tokens of each sequence, then over the
/// sequences that have any; if there are none, the loss is zero, still connected to the autodiff
/// graph. The teacher is a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// In the paper each of the three relations has a weight of 1, and there is no other loss. The
/// student's last layer is matched with the last layer of a teacher of 12 layers, or with an upper
/// middle layer of a teacher of 24.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::SelfAttentionRelationsLossConfig;
///
/// let device = Device::default();
/// let queries = |features| Tensor::<3>::ones([1, 5, features], &device);
/// let loss = SelfAttentionRelationsLossConfig::new()
///     .with_relation_heads(4)
///     .init();
///
/// let loss = loss.forward(vec![queries(8)], vec![queries(12)], None);
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// W. Wang et al., [MiniLMv2](https://arxiv.org/abs/2012.15828), Findings of ACL 2021. Agrees with
/// `_get_kl_loss` of Bloomberg's minilmv2.bb; the authors' training code is not public.
#[doc(alias = "MiniLMv2")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SelfAttentionRelationsLoss {
    /// Number of relation heads.
    pub relation_heads: usize,
}

one_line_display!(SelfAttentionRelationsLoss: relation_heads);

impl SelfAttentionRelationsLoss {
    /// Computes the loss of queries, keys and values, or of some of them.
    ///
    /// # Shapes
    ///
    /// - student: each `[batch_size, length, features]`
    /// - teacher: each `[batch_size, length, teacher_features]`
    /// - mask: `[batch_size, length]`, true for the tokens that count; without a mask, all count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there is nothing to compare, if the networks have different numbers of inputs, if
    /// batch sizes or lengths differ, or if the number of features is not a multiple of the number
    /// of relation heads.
    pub fn forward(
        &self,
        student: Vec<Tensor<3>>,
        teacher: Vec<Tensor<3>>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        assert_eq!(
            student.len(),
            teacher.len(),
            "Student and teacher need the same number of relations, found {} and {}.",
            student.len(),
            teacher.len()
        );
        let relation = |sequence| relation_scores(sequence, self.relation_heads, mask.as_ref());
        student
            .into_iter()
            .zip(teacher)
            .map(|(student, teacher)| {
                let [batch_size, length, _] = student.dims();
                assert_shape!(teacher, [batch_size, length, _]);
                let teacher = relation(teacher.without_autodiff());
                attention_divergence(relation(student), teacher, mask.clone())
            })
            .reduce(Tensor::add)
            .expect("Self-attention relations need queries, keys or values, found none.")
    }
}

impl NamedLoss for SelfAttentionRelationsLoss {
    fn name(&self) -> &'static str {
        "self-attention-relations"
    }
}

impl MultiLayerLoss for SelfAttentionRelationsLoss {
    /// Computes the loss of queries, keys and values, or of some of them.
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let sequences = |taps: Vec<Tap>| taps.into_iter().map(Tap::into_sequence).collect();
        self.forward(sequences(student), sequences(teacher), mask)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        check_sequences(student, teacher, false)?;
        for tap in student.iter().chain(teacher) {
            let [_, features] = tap.sequence_size()?;
            let heads = self.relation_heads;
            if features % heads != 0 {
                return Err(LossError::new(format_args!(
                    "the number of features must be a multiple of the {heads} relation heads, \
                     found {features}"
                )));
            }
        }
        Ok(())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "self-attention-relations",
        abbreviation: "MiniLMv2",
        about: "matches relations of queries, keys and values",
        kind: "relation",
        aliases: &["minilmv2"],
        reference: "Wang et al., MiniLMv2, Findings of ACL 2021",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let layer = DefaultTaps::LastOf(&["query", "key", "value"]);
        let names: (Vec<_>, Vec<_>) = builder.pairs(layer)?.into_iter().unzip();
        let loss = builder
            .configure(SelfAttentionRelationsLossConfig::new())?
            .init();
        let [student, teacher] = builder.token_features(&names)?;
        let heads = loss.relation_heads;
        check::ensure(
            student % heads == 0 && teacher % heads == 0,
            "relation_heads",
            format_args!(
                "a divisor of both numbers of features, {student} of the student's `{}` and \
                 {teacher} of the teacher's `{}`",
                names.0[0], names.1[0]
            ),
            heads,
        )?;
        builder.layers_of(names, TRIAL_SAMPLES, loss)
    })
}
