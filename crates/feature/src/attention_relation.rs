use crate::entry::Names;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{attention_divergence, relation_scores};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss,
    TRIAL_SAMPLES, Tap, check_same, one_line_display,
};

/// Configuration to create an [attention relation loss](AttentionRelationLoss) using the
/// [init function](AttentionRelationLossConfig::init).
#[derive(Config, Debug)]
pub struct AttentionRelationLossConfig {}

impl AttentionRelationLossConfig {
    /// Creates an [attention relation loss](AttentionRelationLoss).
    pub fn init(&self) -> AttentionRelationLoss {
        AttentionRelationLoss {}
    }
}

impl Check for AttentionRelationLossConfig {}

/// Scores and values of one layer of attention.
#[derive(Clone, Debug)]
pub struct AttentionLayer {
    /// Scores before the softmax: products of queries and keys divided by the root of the size of a
    /// head. Shape: `[batch_size, heads, length, length]`.
    pub scores: Tensor<4>,
    /// Values of all heads, concatenated. Shape: `[batch_size, length, features]`.
    pub values: Tensor<3>,
}

/// MiniLM: matches the attention and the relations between the values of one layer.
///
/// ```text
/// relation(V) = V Vᵀ / √(features of a head), head by head
/// D(a, b)     = mean over sequences, heads and tokens of KL(softmax(a) ‖ softmax(b))
/// L           = D(scores of the teacher, of the student)
///             + D(relation(values of the teacher), relation(values of the student))
/// ```
///
/// The student needs the same number of heads as the teacher; their sizes may differ. With a mask,
/// the softmax is over the tokens that count, and the mean is over those tokens of each sequence,
/// then over the sequences that have any; if there are none, the loss is zero, still connected to
/// the autodiff graph. Scores may already be masked with −∞ or a large negative number. The teacher
/// is a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// The authors use the sum of the two divergences, for the last layer, as their only loss.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::{AttentionLayer, AttentionRelationLossConfig};
///
/// let device = Device::default();
/// let layer = |features| AttentionLayer {
///     scores: Tensor::from_data([[[[1.0, 0.0], [0.0, 2.0]]]], &device), // one head
///     values: Tensor::ones([1, 2, features], &device),
/// };
///
/// let loss = AttentionRelationLossConfig::new().init();
///
/// assert_eq!(loss.forward(layer(3), layer(8), None).into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// W. Wang et al., [MiniLM](https://arxiv.org/abs/2002.10957), NeurIPS 2020. Agrees with the
/// formula of the paper; the authors' training code is not public. `MiniLMLoss` of xdpx implements
/// half of it.
#[doc(alias = "MiniLM")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AttentionRelationLoss {}

one_line_display!(AttentionRelationLoss);

impl AttentionRelationLoss {
    /// Computes the loss of one layer.
    ///
    /// # Shapes
    ///
    /// - student: see [`AttentionLayer`]
    /// - teacher: as the student, with `teacher_features`
    /// - mask: `[batch_size, length]`, true for the tokens that count; without a mask, all count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes, lengths or numbers of heads differ, or if a number of features is
    /// not a multiple of the number of heads.
    pub fn forward(
        &self,
        student: AttentionLayer,
        teacher: AttentionLayer,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [batch_size, heads, length, _] = student.scores.dims();
        let teacher_scores = teacher.scores;
        assert_shape!(teacher_scores, [batch_size, heads, _, _]);
        for values in [&student.values, &teacher.values] {
            assert_shape!(values, [batch_size, length, _]);
        }
        let relation = |values: Tensor<3>| relation_scores(values, heads, mask.as_ref());
        let teacher_relation = relation(teacher.values.without_autodiff());
        let student_relation = relation(student.values);
        attention_divergence(student.scores, teacher_scores, mask.clone()).add(
            attention_divergence(student_relation, teacher_relation, mask.clone()),
        )
    }
}

impl NamedLoss for AttentionRelationLoss {
    fn name(&self) -> &'static str {
        "attention-relation"
    }
}

impl MultiLayerLoss for AttentionRelationLoss {
    /// Computes the loss of two taps of each network: attention, then values.
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let layer = |taps: Vec<Tap>| {
            let [scores, values]: [Tap; 2] = taps.try_into().expect(
                "MiniLM needs two taps per network: the attention and the values of a layer.",
            );
            AttentionLayer {
                scores: scores.into_attention(),
                values: values.into_sequence(),
            }
        };
        self.forward(layer(student), layer(teacher), mask)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        let ([scores, values], [teacher_scores, teacher_values]) = (student, teacher) else {
            return Err(LossError::new(
                "two taps per network are needed: the attention and the values of a layer",
            ));
        };
        let [heads, queries, keys] = scores.attention_size()?;
        let [teacher_heads, teacher_queries, teacher_keys] = teacher_scores.attention_size()?;
        check_same("heads", heads, teacher_heads)?;
        check_same("queries", queries, teacher_queries)?;
        check_same("keys", keys, teacher_keys)?;
        for values in [values, teacher_values] {
            let [length, features] = values.sequence_size()?;
            check_same("tokens", length, queries)?;
            if features % heads != 0 {
                return Err(LossError::new(format_args!(
                    "the number of features must be a multiple of the {heads} heads, found \
                     {features}"
                )));
            }
        }
        Ok(())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "attention-relation",
        abbreviation: "MiniLM",
        about: "matches attention and value relations of a layer",
        kind: "feature",
        aliases: &["minilm"],
        reference: "Wang et al., MiniLM, NeurIPS 2020",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let layer = DefaultTaps::LastOf(&["attention", "value"]);
        let names: Names = builder.pairs(layer)?.into_iter().unzip();
        let config = builder.configure(AttentionRelationLossConfig::new())?;
        let context = builder.context();
        let student = context.student_taps.get(&names.0[0])?;
        let teacher = context.teacher_taps.get(&names.1[0])?;
        if let (Ok([student, ..]), Ok([teacher, ..])) =
            (student.attention_size(), teacher.attention_size())
            && student != teacher
        {
            return Err(LossError::new(format_args!(
                "attention is compared head by head, but `{}` of the student has {student} heads \
                 and `{}` of the teacher {teacher}: use networks with the same number of heads, \
                 or the loss `self-attention-relations`, which regroups them",
                names.0[0], names.1[0]
            )));
        }
        builder.layers_of(names, TRIAL_SAMPLES, config.init())
    })
}
