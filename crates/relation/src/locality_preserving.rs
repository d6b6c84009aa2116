use crate::nearest::nearest;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, l2_norm, pairwise_squared_distances,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss,
    check, one_line_display,
};

/// Configuration to create a [locality-preserving loss](LocalityPreservingLoss) using the [init
/// function](LocalityPreservingLossConfig::init).
#[derive(Config, Debug)]
pub struct LocalityPreservingLossConfig {
    /// Number of nearest neighbors of each sample for the teacher. At least 1; all other samples in
    /// small batches. Default: `5`.
    #[config(default = 5)]
    pub neighbors: usize,
    /// Squared distance at which a neighbor has a weight of 1/e, called σ² in the paper. Above 0.
    /// Default: the mean squared distance of the neighbors in the batch.
    pub variance: Option<f64>,
    /// Whether the student's features are divided by their mean norm, so that shrinking them does
    /// not reduce the loss. Default: `false`, as in the paper.
    #[config(default = false)]
    pub normalize: bool,
}

impl LocalityPreservingLossConfig {
    /// Creates a [locality-preserving loss](LocalityPreservingLoss).
    ///
    /// # Panics
    ///
    /// Panics if a value is out of its range.
    pub fn init(&self) -> LocalityPreservingLoss {
        self.assert_valid();
        LocalityPreservingLoss {
            neighbors: self.neighbors,
            variance: self.variance,
            normalize: self.normalize,
        }
    }
}

impl Check for LocalityPreservingLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("neighbors", self.neighbors, 1)?;
        match self.variance {
            Some(variance) => check::positive("variance", variance),
            None => Ok(()),
        }
    }
}

/// Locality-preserving loss (LSN, after "learning student networks"): the nearest neighbors of a
/// sample in the teacher's feature space should be near it in the student's.
///
/// ```text
/// αᵢⱼ = exp(−‖tᵢ − tⱼ‖² / variance)    if j is among the nearest neighbors of i for the teacher
/// L   = mean over i and its neighbors j of αᵢⱼ ‖sᵢ − sⱼ‖²
/// ```
///
/// The features may differ in size, without any adapter. The teacher, and with it every `α`, is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// The authors published no code. This is our interpretation of the paper, which divides the sum by
/// the batch size; this loss also divides by the number of neighbors, which therefore does not
/// change its scale. The features of deep networks are so far apart that, with a fixed `variance`,
/// all `α` and the loss vanish; the default adapts to the features.
///
/// # Weights
///
/// The weight of 1 is our choice. A student whose features are all equal minimizes this loss:
/// combine it with other losses.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::LocalityPreservingLossConfig;
///
/// let device = Device::default();
/// let teacher = Tensor::<2>::from_data([[0.0], [1.0], [8.0], [9.0]], &device);
/// let student = Tensor::<2>::from_data([[0.0, 1.0], [0.0, 3.0], [5.0, 5.0], [5.0, 7.0]], &device);
///
/// let loss = LocalityPreservingLossConfig::new().with_neighbors(1).init();
/// let value = loss.forward(student, teacher).into_scalar::<f32>();
///
/// // Each sample has one neighbor, at a squared distance of 1 for the teacher and 4 for the
/// // student.
/// assert!((value - 4.0 * (-1.0_f32).exp()).abs() < 1e-5);
/// ```
///
/// # Reference
///
/// H. Chen, Y. Wang, C. Xu, C. Xu and D. Tao, [Learning Student Networks via Feature
/// Embedding](https://arxiv.org/abs/1812.06597), IEEE Transactions on Neural Networks and Learning
/// Systems 2021.
#[doc(alias = "LSN")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LocalityPreservingLoss {
    /// Number of nearest neighbors of each sample for the teacher.
    pub neighbors: usize,
    /// Squared distance at which a neighbor has a weight of 1/e; `None` for the mean of the batch.
    pub variance: Option<f64>,
    /// Whether the student's features are divided by their mean norm.
    pub normalize: bool,
}

one_line_display!(LocalityPreservingLoss: neighbors, ?variance, normalize);

impl LocalityPreservingLoss {
    /// Computes the loss of a batch of features.
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
        let count = self.neighbors.min(batch_size.saturating_sub(1));
        if count == 0 {
            return connected_zero(student);
        }
        let teacher = pairwise_squared_distances(at_least_f32(teacher.without_autodiff()));
        let neighbors = nearest(teacher.clone(), count);
        let affinity = self.affinity(teacher.gather(1, neighbors.clone()));

        let student = self.scaled(at_least_f32(student));
        let distances = pairwise_squared_distances(student).gather(1, neighbors);
        affinity.mul(distances).mean()
    }

    /// Returns the weights `α` for squared distances. Shape: `[batch_size, neighbors]`.
    fn affinity(&self, distances: Tensor<2>) -> Tensor<2> {
        let exponent = match self.variance {
            Some(variance) => distances.div_scalar(variance),
            None => {
                // The mean is zero if all samples are equal.
                let mean = distances.clone().mean().clamp_min(EPS);
                distances.div(mean.unsqueeze())
            }
        };
        exponent.neg().exp()
    }

    fn scaled(&self, student: Tensor<2>) -> Tensor<2> {
        if !self.normalize {
            return student;
        }
        let norm = l2_norm(student.clone(), 1).mean().clamp_min(EPS);
        student.div(norm.unsqueeze())
    }
}

/// Lower bound of divisors.
const EPS: f64 = 1e-12;

impl NamedLoss for LocalityPreservingLoss {
    fn name(&self) -> &'static str {
        "locality-preserving"
    }
}

impl TapLoss for LocalityPreservingLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "locality-preserving",
        abbreviation: "LSN",
        about: "keeps the nearest neighbors of the teacher near",
        kind: "relation",
        aliases: &["lsn"],
        reference: "Chen et al., Learning Student Networks via Feature Embedding, TNNLS 2021 \
            (our interpretation)",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        builder.pairs_of(
            DefaultTaps::Pooled,
            LocalityPreservingLossConfig::new(),
            |config| config.init(),
        )
    })
}
