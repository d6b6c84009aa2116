use crate::Embeddings;
use crate::entry::embedded;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero};
use burn_distill_core::{
    CatalogEntry, Check, Input, LossEntry, NamedLoss, Tap, TapLoss, one_line_display,
};

/// Configuration to create an [adjacent correlation loss](AdjacentCorrelationLoss) using the [init
/// function](AdjacentCorrelationLossConfig::init).
#[derive(Config, Debug)]
pub struct AdjacentCorrelationLossConfig {}

impl AdjacentCorrelationLossConfig {
    /// Creates an [adjacent correlation loss](AdjacentCorrelationLoss) without embeddings, for
    /// features of the same size.
    pub fn init(&self) -> AdjacentCorrelationLoss {
        AdjacentCorrelationLoss { embeddings: None }
    }
}

impl Check for AdjacentCorrelationLossConfig {}

/// Correlation congruence (CC) as implemented in RepDistiller: penalizes errors of the student that
/// fall on the same feature in two consecutive samples of the batch.
///
/// ```text
/// Δᵢ = |embedding of the student's xᵢ − embedding of the teacher's xᵢ|
/// L  = mean over all i but the last of Δᵢ · Δᵢ₊₁
/// ```
///
/// RepDistiller calls this loss correlation congruence, following advice from the authors of the
/// [method](crate::CorrelationCongruenceLoss). It depends on the order of the batch, which should
/// be random. No gradient flows to the teacher's features; the teacher's
/// [embedding](Self::with_embeddings) is trained. Half precision is widened to single. The loss of
/// a single sample is zero.
///
/// # Weights
///
/// RepDistiller uses a weight of 0.02 with embeddings of 128 features, beside the [cross-entropy
/// with the labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::{AdjacentCorrelationLossConfig, EmbeddingsConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 0.0], [1.0, 2.0]], &device);
/// let teacher = Tensor::<2>::from_data([[4.0, 0.0], [0.0, 0.0]], &device);
///
/// let loss = AdjacentCorrelationLossConfig::new().init();
/// assert_eq!(loss.forward(student, teacher).into_scalar::<f32>(), 3.0); // 3 · 1 + 0 · 2
///
/// // As in RepDistiller: between learned embeddings, of features of any size.
/// let embeddings = EmbeddingsConfig::new(64, 256).init(&device);
/// let embedded = loss.with_embeddings(embeddings);
/// ```
///
/// # Reference
///
/// B. Peng, X. Jin, J. Liu, S. Zhou, Y. Wu, Y. Liu, D. Li and Z. Zhang, [Correlation Congruence for
/// Knowledge Distillation](https://arxiv.org/abs/1904.01802), ICCV 2019. Agrees with `Correlation`
/// of RepDistiller.
#[doc(alias = "CC")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AdjacentCorrelationLoss {
    /// Linear embeddings applied to the features of both networks first, if any.
    pub embeddings: Option<Embeddings>,
}

one_line_display!(AdjacentCorrelationLoss: embeddings = |loss| loss.embeddings.as_ref());

impl AdjacentCorrelationLoss {
    /// Sets learned embeddings, which are compared instead of the features.
    pub fn with_embeddings(mut self, embeddings: Embeddings) -> Self {
        self.embeddings = Some(embeddings);
        self
    }

    /// Computes the loss of a batch of features.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, features]`
    /// - teacher: `[batch_size, teacher_features]`; without embeddings, the size of the student's
    ///   features
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ, if the embeddings expect another number of features, or if
    /// there are no embeddings and student and teacher have different numbers of features.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(teacher, [batch_size, _]);
        if batch_size < 2 {
            return connected_zero(student);
        }
        let student = at_least_f32(student);
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match &self.embeddings {
            Some(embeddings) => embeddings.forward(student, teacher),
            None => (student, teacher),
        };
        let [_, features] = student.dims();
        assert_shape!(teacher, [batch_size, features]);
        let difference = student.sub(teacher).abs();
        let pairs = batch_size - 1;
        let next = difference.clone().narrow(0, 1, pairs);
        let products = difference.narrow(0, 0, pairs).mul(next);
        products.sum().div_scalar(pairs as f64)
    }
}

impl NamedLoss for AdjacentCorrelationLoss {
    fn name(&self) -> &'static str {
        "adjacent-correlation"
    }
}

impl TapLoss for AdjacentCorrelationLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "adjacent-correlation",
        abbreviation: "CC",
        about: "matches differences of consecutive embeddings",
        kind: "relation",
        aliases: &["cc-adjacent"],
        reference: "Peng et al., Correlation Congruence for Knowledge Distillation, ICCV \
            2019; as in RepDistiller",
    };
    LossEntry::new(catalog, 0.02, |builder| {
        embedded(
            builder,
            Some(128),
            AdjacentCorrelationLossConfig::new(),
            |config| config.init(),
            AdjacentCorrelationLoss::with_embeddings,
        )
    })
}
