use super::AttentionHeads;
use crate::decomposition::{Effort, directions, nearest_directions};
use crate::layers::check_layers;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::{log_softmax, tanh};
use burn::tensor::{Bool, Device, Tensor};
use burn_distill_core::numeric::{at_least_f32, connected_zero, kl_divergence_rows};
use burn_distill_core::{
    Check, ConfigError, Frozen, MultiLayerLoss, NamedLoss, Tap, check, one_line_display,
    zero_padded_maps,
};

/// Direction of the divergence between two graphs.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum GraphDivergence {
    /// `KL(student ‖ teacher)`, as in the authors' code.
    Reverse,
    /// `KL(teacher ‖ student)`.
    Forward,
}

/// Configuration of multi-head graph distillation: of its [heads](AttentionHeads), of the
/// [loss](MultiHeadGraphLoss), and of the [objective](crate::MultiHeadGraphObjective) that trains
/// the heads, then the student.
#[derive(Config, Debug)]
pub struct MultiHeadGraphConfig {
    /// Number of attention heads. At least 1. Default: `8`.
    #[config(default = 8)]
    pub heads: usize,
    /// Direction of the divergence. Default: `Reverse`.
    #[config(default = "GraphDivergence::Reverse")]
    pub divergence: GraphDivergence,
    /// Whether to average over heads and samples instead of summing. Default: `false`, as in the
    /// authors' code.
    #[config(default = false)]
    pub average: bool,
    /// Number of iterations of the decomposition, which has no gradient. At least 1. Default: `16`.
    #[config(default = 16)]
    pub iterations: usize,
    /// Number of terms of the series in the gradient of a singular vector. At least 1. Default:
    /// `8`.
    #[config(default = 8)]
    pub series: usize,
    /// Number of epochs in which the [objective of both stages](crate::MultiHeadGraphObjective)
    /// trains the heads before it trains the student. Default: `40`.
    #[config(default = 40)]
    pub heads_epochs: usize,
}

impl MultiHeadGraphConfig {
    /// Creates untrained heads for a teacher whose layers have these numbers of channels.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two layers, or if `heads` is zero.
    pub fn init_heads(&self, channels: &[usize], device: &Device) -> AttentionHeads {
        AttentionHeads::new(channels, self.heads, device)
    }

    /// Creates a [multi-head graph loss](MultiHeadGraphLoss) with trained heads.
    ///
    /// # Panics
    ///
    /// Panics if a number is zero.
    pub fn init(&self, heads: AttentionHeads) -> MultiHeadGraphLoss {
        self.assert_valid();
        MultiHeadGraphLoss {
            heads: Frozen::new(heads),
            divergence: self.divergence,
            average: self.average,
            iterations: self.iterations,
            series: self.series,
        }
    }

    pub(super) fn effort(&self) -> Effort {
        Effort {
            iterations: self.iterations,
            series: self.series,
        }
    }
}

impl Check for MultiHeadGraphConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("heads", self.heads, 1..=1024)?;
        check::count_in("iterations", self.iterations, 1..=1000)?;
        check::count_in("series", self.series, 1..=1000)
    }
}

/// Multi-head graph distillation (MHGD): matches the attention between the samples of a batch, from
/// layer to layer.
///
/// ```text
/// v = leading right singular vector of a map [pixels, channels], the student's aligned to the teacher's
/// G = tanh(heads(v of a layer, v of the layer before)),     one graph over the samples per head
/// L = Σ over consecutive layers, heads and samples of KL(softmax(G(student)) ‖ softmax(G(teacher)))
/// ```
///
/// The heads are trained on the teacher first, see
/// [`AttentionHeadsObjective`](crate::AttentionHeadsObjective), and are frozen here: the same heads
/// are applied to both networks. The graph is over the batch, so the loss depends on the batch
/// size; use batches of one size. The vectors are computed as in
/// [`SingularVectorLoss`](crate::SingularVectorLoss), with the same safeguards and gradient. The
/// teacher is a constant: no gradient flows to it.
///
/// The frozen heads are not part of a checkpoint: to resume training, provide them again, as the
/// teacher. [`MultiHeadGraphObjective`](crate::MultiHeadGraphObjective) trains the heads itself and
/// saves them.
///
/// # Weights
///
/// The weight is 1 beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective). The authors also clip the gradient of this
/// term, for each parameter, to the norm of the cross-entropy's gradient times a sigmoid of the
/// epoch, as `OfflineDistiller::with_clipped` of burn-distill-strategy does.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::MultiHeadGraphConfig;
///
/// let device = Device::default();
/// let config = MultiHeadGraphConfig::new();
/// let heads = config.init_heads(&[3, 5], &device); // train them before use
/// let loss = config.init(heads);
///
/// let maps = [[2, 3, 8, 8], [2, 5, 4, 4]].map(|shape| Tensor::<4>::ones(shape, &device));
/// let loss = loss.forward(maps.to_vec(), maps.to_vec());
///
/// assert!(loss.into_scalar::<f32>() < 1e-6);
/// ```
///
/// # Reference
///
/// S. Lee and B. C. Song, [Graph-based Knowledge Distillation by Multi-head Attention
/// Network](https://arxiv.org/abs/1907.02226), BMVC 2019. Follows the authors' TensorFlow code in
/// KD_methods_with_TF, which could not be run here: the tests compare the loss with its formula.
#[doc(alias = "MHGD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MultiHeadGraphLoss {
    /// Attention heads that turn directions into graphs.
    pub heads: Frozen<AttentionHeads>,
    /// Direction of the divergence.
    #[module(skip)]
    pub divergence: GraphDivergence,
    /// Whether to average over heads and samples instead of summing.
    pub average: bool,
    /// Number of iterations of the decomposition.
    pub iterations: usize,
    /// Number of terms of the series in the gradient of a singular vector.
    pub series: usize,
}

one_line_display!(MultiHeadGraphLoss: ?divergence, average, iterations, series);

impl MultiHeadGraphLoss {
    /// Name of the term and of the loss in a recipe.
    pub const TERM: &'static str = "multi-head-graph";

    /// Computes the loss of the maps of several layers, in the order of the forward pass.
    ///
    /// # Shapes
    ///
    /// - student: each `[batch_size, channels, height, width]`
    /// - teacher: each `[batch_size, channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two layers, if the numbers of layers differ, if the channels
    /// or batch sizes differ, or if the layers are not those that the heads were created for.
    pub fn forward(&self, student: Vec<Tensor<4>>, teacher: Vec<Tensor<4>>) -> Tensor<1> {
        check_layers(&student, &teacher);
        if student[0].dims()[0] == 0 {
            return connected_zero(student[0].clone());
        }
        let effort = Effort {
            iterations: self.iterations,
            series: self.series,
        };
        let targets: Vec<_> = teacher
            .into_iter()
            .map(|map| directions(map, 1, effort).0)
            .collect();
        let student: Vec<_> = student
            .into_iter()
            .zip(&targets)
            .map(|(map, target)| nearest_directions(map, target.clone(), effort))
            .collect();
        self.forward_directions(&vectors(student), &vectors(targets))
    }

    /// Computes the loss for given directions, one per layer and sample.
    ///
    /// # Shapes
    ///
    /// - student, teacher: each `[batch_size, channels]`
    /// - output: `[1]`
    pub fn forward_directions(&self, student: &[Tensor<2>], teacher: &[Tensor<2>]) -> Tensor<1> {
        let heads = self.heads.inner();
        let (student, teacher) = (heads.graphs(student), heads.graphs(teacher));
        student
            .into_iter()
            .zip(teacher)
            .map(|(student, teacher)| {
                let divergence = self.divergence.of(student, teacher);
                match self.average {
                    true => divergence.mean(),
                    false => divergence.sum(),
                }
            })
            .reduce(Tensor::add)
            .expect("There are two layers.")
    }
}

impl GraphDivergence {
    /// Computes the divergence of each row of each head. Shape: `[heads · batch_size]`.
    fn of(self, student: Tensor<3>, teacher: Tensor<3>) -> Tensor<1> {
        let [student, teacher] = [student, teacher]
            .map(|graph| log_softmax(tanh(at_least_f32(graph)).flatten::<2>(0, 1), 1));
        match self {
            Self::Reverse => kl_divergence_rows(student, teacher),
            Self::Forward => kl_divergence_rows(teacher, student),
        }
    }
}

/// Returns the single direction of each sample.
pub(super) fn vectors(directions: Vec<Tensor<3>>) -> Vec<Tensor<2>> {
    let vectors = directions
        .into_iter()
        .map(|direction| direction.squeeze_dim(2));
    vectors.collect()
}

impl NamedLoss for MultiHeadGraphLoss {
    fn name(&self) -> &'static str {
        Self::TERM
    }
}

impl MultiLayerLoss for MultiHeadGraphLoss {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [student, teacher] =
            [student, teacher].map(|taps| zero_padded_maps(taps, mask.as_ref()));
        self.forward(student, teacher)
    }
}
