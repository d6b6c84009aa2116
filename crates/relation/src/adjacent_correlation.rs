use crate::Embeddings;
use crate::entry::embedded;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero};
use burn_distill_core::{
    CatalogEntry, Check, Input, LossEntry, NamedLoss, Tap, TapLoss, one_line_display,
};

/// Configuration to create a [loss of adjacent correlations](AdjacentCorrelationLoss) using the
/// [init function](AdjacentCorrelationLossConfig::init).
#[derive(Config, Debug)]
pub struct AdjacentCorrelationLossConfig {}

impl AdjacentCorrelationLossConfig {
    /// Initialize a [loss of adjacent correlations](AdjacentCorrelationLoss) without embeddings, for
    /// features of one size.
    pub fn init(&self) -> AdjacentCorrelationLoss {
        AdjacentCorrelationLoss { embeddings: None }
    }
}

impl Check for AdjacentCorrelationLossConfig {}

/// Adjacent correlations: the student should not be wrong about the same feature of two samples in a
/// row.
///
/// ```text
/// Δᵢ = |embedding of the student's xᵢ − embedding of the teacher's xᵢ|
/// L  = mean over i, but the last, of Δᵢ · Δᵢ₊₁
/// ```
///
/// This is what RepDistiller calls correlation congruence, as its authors were told by those of the
/// [method](crate::CorrelationCongruenceLoss); it depends on the order of the batch, which should be
/// random. The teacher's features are constants, to which no gradient flows; its
/// [embedding](Self::with_embeddings) learns. Half precision is widened to single. A single sample has no
/// neighbor: its loss is zero.
///
/// # Weights
///
/// RepDistiller takes 0.02 with embeddings of 128 features, beside the
/// [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective).
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
/// // As in RepDistiller: between embeddings that are learned, of features of any size.
/// let embeddings = EmbeddingsConfig::new(64, 256).init(&device);
/// let embedded = loss.with_embeddings(embeddings);
/// ```
///
/// # Reference
///
/// B. Peng, X. Jin, J. Liu, S. Zhou, Y. Wu, Y. Liu, D. Li and Z. Zhang, [Correlation Congruence for
/// Knowledge Distillation](https://arxiv.org/abs/1904.01802), ICCV 2019. Agrees with `Correlation` of
/// RepDistiller.
#[doc(alias = "CC")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AdjacentCorrelationLoss {
    /// What the features go through first.
    pub embeddings: Option<Embeddings>,
}

one_line_display!(AdjacentCorrelationLoss: embeddings = |loss| loss.embeddings.as_ref());

impl AdjacentCorrelationLoss {
    /// The same between embeddings of the features.
    pub fn with_embeddings(mut self, embeddings: Embeddings) -> Self {
        self.embeddings = Some(embeddings);
        self
    }

    /// The loss of a batch of features.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, features]`
    /// - teacher: `[batch_size, teacher_features]`, as many as the student's without embeddings
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ, if the embeddings are for other features, or if there are none
    /// and student and teacher differ in their features.
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
