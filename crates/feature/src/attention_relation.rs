use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{attention_divergence, relation_scores};
use burn_distill_core::{Check, LayersLoss, NamedLoss, Tap};

/// Configuration to create an [attention relation loss](AttentionRelationLoss) using the
/// [init function](AttentionRelationLossConfig::init).
#[derive(Config, Debug)]
pub struct AttentionRelationLossConfig {}

impl AttentionRelationLossConfig {
    /// Initialize an [attention relation loss](AttentionRelationLoss).
    pub fn init(&self) -> AttentionRelationLoss {
        AttentionRelationLoss {}
    }
}

impl Check for AttentionRelationLossConfig {}

/// What one layer of attention computes with.
#[derive(Clone, Debug)]
pub struct AttentionLayer {
    /// Queries times keys over the root of the size of a head, before the softmax. Shape:
    /// `[batch_size, heads, length, length]`.
    pub scores: Tensor<4>,
    /// The values, one head after the other. Shape: `[batch_size, length, features]`.
    pub values: Tensor<3>,
}

/// The student should attend as the teacher does, and its values should be as much alike.
///
/// ```text
/// relation(V) = V Vᵀ / √(features of a head), head by head
/// D(a, b)     = mean over sequences, heads and tokens of KL(softmax(a) ‖ softmax(b))
/// L           = D(scores of the teacher, of the student)
///             + D(relation(values of the teacher), relation(values of the student))
/// ```
///
/// The student needs as many heads as the teacher, of any size. With a mask, softmax is over the
/// tokens that count, and the mean is over those of each sequence, then over the sequences that have
/// any; without any, the loss is a connected zero. Scores may be masked already, with −∞ or a large
/// negative number. The teacher is a constant: no gradient flows to it. Half precision is widened to
/// single.
///
/// # Weights
///
/// The authors take the sum of the two divergences, of the last layer, and nothing else.
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
/// W. Wang et al., [MiniLM](https://arxiv.org/abs/2002.10957), NeurIPS 2020. Agrees with the formula
/// of the paper; the authors' training code is not public. `MiniLMLoss` of xdpx has half of it.
#[doc(alias = "MiniLM")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AttentionRelationLoss {}

impl ModuleDisplay for AttentionRelationLoss {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.optional()
    }
}

impl AttentionRelationLoss {
    /// The loss of one layer.
    ///
    /// # Shapes
    ///
    /// - student: see [`AttentionLayer`]
    /// - teacher: the same, with `teacher_features`
    /// - mask: `[batch_size, length]`, true for the tokens that count; all of them without a mask
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes, lengths or numbers of heads differ, or if the features of a side do
    /// not split into its heads.
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

impl LayersLoss for AttentionRelationLoss {
    /// Takes two taps of each: attention, then values.
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let layer = |taps: Vec<Tap>| {
            let [scores, values]: [Tap; 2] = taps
                .try_into()
                .expect("There should be two taps: the attention and the values of a layer.");
            AttentionLayer {
                scores: scores.into_attention(),
                values: values.into_sequence(),
            }
        };
        self.forward(layer(student), layer(teacher), mask)
    }
}
