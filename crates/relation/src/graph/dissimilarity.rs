use super::GraphTerm;
use super::vertex::{GraphLoss, Vertex, assert_teachers};
use crate::entry::GraphTaps;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, l2_normalize, masked_mean, pairwise_squared_distances,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [relative dissimilarity loss](RelativeDissimilarityLoss) using the
/// [init function](RelativeDissimilarityLossConfig::init).
#[derive(Config, Debug)]
pub struct RelativeDissimilarityLossConfig {
    /// Margin by which the distance to the farther sample should exceed the distance to the nearer
    /// one. Finite and at least 0. Default: `0.1`.
    #[config(default = 0.1)]
    pub margin: f64,
}

impl RelativeDissimilarityLossConfig {
    /// Creates a [relative dissimilarity loss](RelativeDissimilarityLoss) for a number of teachers.
    ///
    /// # Panics
    ///
    /// Panics if `teachers` is zero, or if `margin` is not finite or below zero.
    pub fn init(&self, teachers: usize) -> RelativeDissimilarityLoss {
        self.assert_valid();
        assert!(
            teachers > 0,
            "The number of teachers must be at least 1, found 0."
        );
        RelativeDissimilarityLoss {
            margin: self.margin,
            teachers,
        }
    }
}

impl Check for RelativeDissimilarityLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::not_negative("margin", self.margin)
    }
}

/// Relative dissimilarity: for every triplet of samples, matches the majority vote of the teachers
/// on which of two samples is farther from the third.
///
/// ```text
/// dᵢⱼ  = ‖xᵢ / ‖xᵢ‖ − xⱼ / ‖xⱼ‖‖²
/// vᵢⱼₖ = sign(Σ over teachers of sign(dᵢⱼ − dᵢₖ))              1 if j is farther, −1 if k is
/// L    = mean over triplets with v ≠ 0 of max(0, margin − v (dᵢⱼ − dᵢₖ) of the student)
/// ```
///
/// Each teacher votes on every triplet of different samples. A triplet with a tied vote does not
/// count; if no triplet counts, as in a batch of two, the loss is zero, still connected to the
/// autodiff graph. Only the order of the teachers' distances matters, so their features may have
/// any size and scale. No gradient flows to the teachers. Half precision is widened to single.
/// Memory grows with the cube of the batch size, because all triplets are held.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::RelativeDissimilarityLossConfig;
///
/// let device = Device::default();
/// let loss = RelativeDissimilarityLossConfig::new().init(2);
///
/// let features = Tensor::<2>::from_data([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], &device);
/// let value = loss.forward(features.clone(), vec![features.clone(), features]);
///
/// assert_eq!(value.into_scalar::<f32>(), 0.0); // all differ by more than the margin
/// ```
///
/// # Reference
///
/// S. You, C. Xu, C. Xu and D. Tao, [Learning from Multiple Teacher
/// Networks](https://doi.org/10.1145/3097983.3098135), KDD 2017. The authors published no code.
/// This is our interpretation of the paper, in which teachers vote on the relative dissimilarity of
/// triplets of samples, which an intermediate layer of the student should follow. The distance, the
/// margin, the use of all triplets and the exclusion of ties are our choices.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct RelativeDissimilarityLoss {
    /// Margin by which the distance to the farther sample should exceed the distance to the nearer
    /// one.
    pub margin: f64,
    teachers: usize,
}

one_line_display!(RelativeDissimilarityLoss: teachers, margin);

impl RelativeDissimilarityLoss {
    /// Computes the loss of a batch.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, features]`
    /// - each teacher: `[batch_size, features]`; the number of features may differ between teachers
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers is not the expected one, or if a batch size differs.
    pub fn forward(&self, student: Tensor<2>, teachers: Vec<Tensor<2>>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_teachers(batch_size, self.teachers, teachers.iter().cloned());
        if batch_size == 0 {
            return connected_zero(student);
        }
        let votes = teachers
            .into_iter()
            .map(|teacher| differences(teacher.without_autodiff()).sign())
            .reduce(Tensor::add)
            .expect("There is a teacher.")
            .sign();
        // Triplets that repeat a sample do not count.
        let itself = Tensor::<2>::eye(batch_size, &votes.device()).bool();
        let shape = [batch_size; 3];
        let first = itself.clone().unsqueeze_dim::<3>(2).expand(shape);
        let second = itself.unsqueeze_dim::<3>(1).expand(shape);
        let counts = votes.clone().not_equal_scalar(0.0);
        let counts = counts.bool_and(first.bool_or(second).bool_not());

        let farther = differences(student);
        let votes = votes.cast(farther.dtype());
        let short = farther.mul(votes).neg().add_scalar(self.margin);
        masked_mean(relu(short), Some(counts))
    }
}

/// Returns the difference of the distances from the first sample to the second and to the third.
/// Shape: `[batch_size, batch_size, batch_size]`.
fn differences(features: Tensor<2>) -> Tensor<3> {
    let distances = pairwise_squared_distances(l2_normalize(at_least_f32(features), 1));
    let second = distances.clone().unsqueeze_dim::<3>(2);
    second.sub(distances.unsqueeze_dim(1))
}

impl NamedLoss for RelativeDissimilarityLoss {
    fn name(&self) -> &'static str {
        "relative-dissimilarity"
    }
}

impl GraphLoss for RelativeDissimilarityLoss {
    fn forward_graph(&self, student: Vertex, teachers: Vec<Vertex>) -> Tensor<1> {
        let teachers = teachers.into_iter();
        let teachers = teachers.map(|teacher| teacher.representation);
        self.forward(student.representation, teachers.collect())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "relative-dissimilarity",
        abbreviation: "",
        about: "orders distances by a vote of several teachers",
        kind: "relation",
        aliases: &["triplet-vote"],
        reference: "You et al., Learning from Multiple Teacher Networks, KDD 2017 (our \
            interpretation)",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let taps = GraphTaps::take(&mut builder)?;
        let config = builder.configure(RelativeDissimilarityLossConfig::new())?;
        let loss = config.init(builder.contexts().len());
        builder.joint_term(GraphTerm::new(loss, taps.student, taps.teachers))
    })
    .for_all_teachers()
}
