use super::GraphTerm;
use super::discrepancy::squared_discrepancy;
use super::pooling::BilinearPooling;
use super::vertex::{GraphLoss, Vertex, assert_teachers};
use crate::entry::GraphTaps;
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use burn_distill_core::numeric::{at_least_f32, connected_zero};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [representation graph loss](RepresentationGraphLoss) using the [init
/// function](RepresentationGraphLossConfig::init).
#[derive(Config, Debug)]
pub struct RepresentationGraphLossConfig {
    /// Number of features of a pooled pair, to which the student is projected. Default: `128`.
    #[config(default = 128)]
    pub pooled: usize,
    /// Seed of the draws of the pooling. Default: `0`.
    #[config(default = 0)]
    pub seed: u64,
}

impl RepresentationGraphLossConfig {
    /// Creates a [representation graph loss](RepresentationGraphLoss) for the number of features of
    /// the student and of each teacher.
    ///
    /// # Panics
    ///
    /// Panics if there is no teacher, or if `pooled` is zero.
    pub fn init(
        &self,
        student: usize,
        teachers: &[usize],
        device: &Device,
    ) -> RepresentationGraphLoss {
        self.assert_valid();
        assert!(
            !teachers.is_empty(),
            "The number of teachers must be at least 1, found 0."
        );
        let pooling = paired(teachers.to_vec());
        RepresentationGraphLoss {
            projection: LinearConfig::new(student, self.pooled).init(device),
            pooling: BilinearPooling::new(&pooling, self.pooled, self.seed, device),
            teachers: teachers.len(),
        }
    }
}

impl Check for RepresentationGraphLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("pooled", self.pooled, 1..=65_536)
    }
}

/// Returns the items, with a single item repeated so that it forms a pair with itself.
fn paired<T: Clone>(mut items: Vec<T>) -> Vec<T> {
    if let [one] = items.as_slice() {
        items.push(one.clone());
    }
    items
}

/// Representation graph: matches the distribution of the student's representations to that of every
/// pair of teachers, by the maximum mean discrepancy.
///
/// ```text
/// rₘₙ  = compact bilinear pooling of teachers m and n
/// L    = Σ over m < n of MMD²(W student + b, rₘₙ)
/// k(x, y) = exp(−‖x − y‖² / mean squared distance)
/// ```
///
/// The discrepancy is an unbiased estimate, so it may be slightly below zero; it is zero for a
/// batch of one. A single teacher forms a pair with itself. The random indices and signs of the
/// pooling depend only on `seed`. No gradient flows to the teachers; the projection is trained with
/// the student. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::RepresentationGraphLossConfig;
///
/// let device = Device::default();
/// let config = RepresentationGraphLossConfig::new().with_pooled(16);
/// let loss = config.init(4, &[8, 6], &device);
///
/// let features = |count| Tensor::<2>::ones([5, count], &device);
/// let value = loss.forward(features(4), vec![features(8), features(6)]);
/// assert!(value.into_scalar::<f32>().is_finite());
/// ```
///
/// # Reference
///
/// C. Zhang and Y. Peng, [Better and Faster: Knowledge Transfer from Multiple Self-supervised
/// Learning Tasks via Graph Distillation for Video
/// Classification](https://arxiv.org/abs/1804.10069), IJCAI 2018. The authors published no code.
/// This is our interpretation of the paper, which has a graph of representations that are combined
/// in pairs by compact bilinear pooling; kernel, bandwidth and projection are our choices.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct RepresentationGraphLoss {
    /// Projection of the student's representation to the size of a pooled pair.
    pub projection: Linear,
    pooling: BilinearPooling,
    teachers: usize,
}

one_line_display!(RepresentationGraphLoss: teachers, projection);

impl RepresentationGraphLoss {
    /// Computes the loss of a batch.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, student_features]`
    /// - each teacher: `[batch_size, features]`, with the size given at creation
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the expected one.
    pub fn forward(&self, student: Tensor<2>, teachers: Vec<Tensor<2>>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_teachers(batch_size, self.teachers, teachers.iter().cloned());
        if batch_size == 0 {
            return connected_zero(student);
        }
        let student = self.projection.forward(at_least_f32(student));
        let teachers = teachers.into_iter();
        let teachers = teachers.map(|teacher| at_least_f32(teacher.without_autodiff()));

        let pooled = self.pooling.pairs(paired(teachers.collect()));
        pooled
            .into_iter()
            .map(|pair| squared_discrepancy(student.clone(), pair.without_autodiff()))
            .reduce(Tensor::add)
            .expect("There is at least one pair of teachers.")
    }
}

impl NamedLoss for RepresentationGraphLoss {
    fn name(&self) -> &'static str {
        "representation-graph"
    }
}

impl GraphLoss for RepresentationGraphLoss {
    fn forward_graph(&self, student: Vertex, teachers: Vec<Vertex>) -> Tensor<1> {
        let teachers = teachers.into_iter();
        let teachers = teachers.map(|teacher| teacher.representation);
        self.forward(student.representation, teachers.collect())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "representation-graph",
        abbreviation: "",
        about: "matches representations of two teachers jointly",
        kind: "relation",
        aliases: &[],
        reference: "Zhang and Peng, Better and Faster: Graph Distillation, IJCAI 2018 (our \
            interpretation)",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let taps = GraphTaps::take(&mut builder)?;
        let config = builder.configure(RepresentationGraphLossConfig::new())?;
        let device = &builder.context().device;
        let loss = config.init(taps.student_features, &taps.features, device);
        builder.joint_term(GraphTerm::new(loss, taps.student, taps.teachers))
    })
    .for_all_teachers()
}
