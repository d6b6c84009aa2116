use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_normalize};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss, one_line_display,
};

/// Configuration to create a [similarity-preserving loss](SimilarityPreservingLoss) using the [init
/// function](SimilarityPreservingLossConfig::init).
#[derive(Config, Debug)]
pub struct SimilarityPreservingLossConfig {}

impl SimilarityPreservingLossConfig {
    /// Creates a [similarity-preserving loss](SimilarityPreservingLoss).
    pub fn init(&self) -> SimilarityPreservingLoss {
        SimilarityPreservingLoss {}
    }
}

impl Check for SimilarityPreservingLossConfig {}

/// Similarity-preserving distillation (SP): matches the similarities between the samples of a
/// batch.
///
/// ```text
/// G = X Xᵀ,    each row divided by its L2 norm
/// L = mean over i, j of (G(student) − G(teacher))²
/// ```
///
/// The loss does not change if the features of either network are rotated, or all scaled by one
/// factor. A sample of zeros has a row of zeros, and passes no gradient there. The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// The paper and RepDistiller use a weight of 3000 for the last map before the pooling, beside the
/// [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::SimilarityPreservingLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.0, 3.0, 0.0], [3.0, 0.0, 0.0]], &device);
///
/// let loss = SimilarityPreservingLossConfig::new().init().forward(student, teacher);
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.0); // both at right angles
/// ```
///
/// # Reference
///
/// F. Tung and G. Mori, [Similarity-Preserving Knowledge Distillation](
/// https://arxiv.org/abs/1907.09682), ICCV 2019. Agrees with RepDistiller and with
/// Knowledge-Distillation-Zoo.
#[doc(alias = "SP")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SimilarityPreservingLoss {}

one_line_display!(SimilarityPreservingLoss);

impl SimilarityPreservingLoss {
    /// Computes the loss of a batch of features. Maps are flattened first.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, features]`
    /// - teacher: `[batch_size, teacher_features]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(teacher, [batch_size, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = similarities(at_least_f32(teacher.without_autodiff()));
        let student = similarities(at_least_f32(student));
        student.sub(teacher).square().mean()
    }
}

/// Returns the similarities between samples, each row of unit length. Shape:
/// `[batch_size, batch_size]`.
fn similarities(features: Tensor<2>) -> Tensor<2> {
    let gram = features.clone().matmul(features.transpose());
    l2_normalize(gram, 1)
}

impl NamedLoss for SimilarityPreservingLoss {
    fn name(&self) -> &'static str {
        "similarity-preserving"
    }
}

impl TapLoss for SimilarityPreservingLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "similarity-preserving",
        abbreviation: "SP",
        about: "matches the similarities within a batch",
        kind: "relation",
        aliases: &["sp"],
        reference: "Tung and Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019",
    };
    LossEntry::new(catalog, 3000.0, |builder| {
        builder.pairs_of(
            DefaultTaps::LastStage,
            SimilarityPreservingLossConfig::new(),
            |config| config.init(),
        )
    })
}
