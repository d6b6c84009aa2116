use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, l2_normalize, pairwise_squared_distances,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, DefaultTaps, Input, LossEntry, LossTerm, NamedLoss,
    Requirements, Tap, TapSelection, Taps, check, one_line_display,
};

/// Added to a squared distance before its root, and to quotients in the Kullback–Leibler variant,
/// as in the authors' code.
const EPS: f64 = 1e-6;

/// Lower bound of probabilities in a logarithm or a denominator.
const MIN_PROBABILITY: f64 = 1e-12;

/// Kernel that measures the affinity of two samples, with `d = √(‖x − y‖² + 1e-6)`.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum AffinityKernel {
    /// Sum of the losses of `Cosine` and `StudentT`.
    Combined,
    /// `(1 + cos(x, y)) / 2`
    Cosine,
    /// `1 / (1 + d)`
    StudentT,
    /// `exp(−d / bandwidth)`
    Rbf,
    /// `exp(−d / mean d)`, where no gradient flows through the mean.
    AdaptiveRbf,
    /// `1 / (1 + d² / bandwidth²)`
    Cauchy,
}

/// Divergence between the probabilities `p` of the teacher and `q` of the student, per pair of
/// samples.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum AffinityDivergence {
    /// `(p − q) (log p − log q)`
    Jeffreys,
    /// `p log(1e-6 + p / (1e-6 + q))`
    Kl,
    /// `|p − q|`
    Abs,
    /// `(p − q)²`
    Squared,
    /// `p (log p − log q)²`
    Exponential,
    /// `(p − q)² / p`
    Kagan,
}

/// Configuration to create an [information flow loss](InformationFlowLoss) using the
/// [init function](InformationFlowLossConfig::init).
#[derive(Config, Debug)]
pub struct InformationFlowLossConfig {
    /// Kernel that measures the affinity of two samples. Default: `Combined`.
    #[config(default = "AffinityKernel::Combined")]
    pub kernel: AffinityKernel,
    /// Divergence between the probabilities. Default: `Jeffreys`.
    #[config(default = "AffinityDivergence::Jeffreys")]
    pub divergence: AffinityDivergence,
    /// Bandwidth of the kernels that have one. Above 0. Default: `1.0`.
    #[config(default = 1.0)]
    pub bandwidth: f64,
    /// Weight of the layers before the last in the first epoch. At least 0. Default: `100.0`.
    #[config(default = 100.0)]
    pub critical_weight: f64,
    /// Factor by which that weight is multiplied after each epoch. From 0 to 1. Default: `0.7`.
    #[config(default = 0.7)]
    pub critical_decay: f64,
}

impl InformationFlowLossConfig {
    /// Creates an [information flow loss](InformationFlowLoss).
    ///
    /// # Panics
    ///
    /// Panics if a value is out of its range.
    pub fn init(&self) -> InformationFlowLoss {
        self.assert_valid();
        InformationFlowLoss {
            kernel: self.kernel,
            divergence: self.divergence,
            bandwidth: self.bandwidth,
            critical_weight: self.critical_weight,
            critical_decay: self.critical_decay,
        }
    }
}

impl Check for InformationFlowLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::positive("bandwidth", self.bandwidth)?;
        check::weight("critical_weight", self.critical_weight)?;
        check::in_range("critical_decay", self.critical_decay, 0.0..=1.0)
    }
}

/// Information flow modeling (IFM): matches the probabilities that samples are neighbors, layer by
/// layer. The early layers have a large weight only in the critical period at the start of
/// training.
///
/// ```text
/// P = kernel(x, y) of every two samples of the batch, divided by the sum of its row
/// layer = mean over pairs of divergence(P(teacher), P(student))
/// L = layer(last) + Σ over layers before of critical_weight · critical_decayᵉ · layer
/// ```
///
/// with `e` the number of finished epochs, 0 in the first. The diagonal of `P` is included. The
/// combined kernel adds the losses of two kernels. Features are flattened; student and teacher may
/// have features of different sizes. The cosine of a sample of zeros is zero, with a zero gradient.
/// The teacher is a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Training
///
/// The authors first distill the teacher into an auxiliary network of the student's family, about
/// twice as wide, with the loss of the last layer only; that network is then the student's teacher
/// in all layers. The first stage uses this loss with one pair of layers. Their students learn a
/// representation, with this loss only; a classifier also needs the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::InformationFlowLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], &device);
/// let teacher = Tensor::cat(vec![student.clone(), student.zeros_like()], 1);
///
/// let loss = InformationFlowLossConfig::new().init();
/// let loss = loss.forward_layer(student, teacher);
///
/// assert!(loss.into_scalar::<f32>().abs() < 1e-6);
/// ```
///
/// # Reference
///
/// N. Passalis, M. Tzelepi and A. Tefas, [Heterogeneous Knowledge Distillation Using Information
/// Flow Modeling](https://arxiv.org/abs/2005.00727), CVPR 2020. Agrees with `prob_loss` of the
/// authors' pkth, apart from its 1e-6 in the norm of a cosine; the weights are those of its
/// experiments.
#[doc(alias = "IFM")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct InformationFlowLoss {
    /// Kernel that measures the affinity of two samples.
    #[module(skip)]
    pub kernel: AffinityKernel,
    /// Divergence between the probabilities.
    #[module(skip)]
    pub divergence: AffinityDivergence,
    /// Bandwidth of the kernels that have one.
    pub bandwidth: f64,
    /// Weight of the layers before the last in the first epoch.
    pub critical_weight: f64,
    /// Factor by which that weight is multiplied after each epoch.
    pub critical_decay: f64,
}

one_line_display!(
    InformationFlowLoss: ?kernel,
    ?divergence,
    bandwidth,
    critical_weight,
    critical_decay
);

impl InformationFlowLoss {
    /// Name of the term and of the loss in a recipe.
    pub const TERM: &'static str = "information-flow";

    /// Computes the loss of several layers, given in the order of the forward pass.
    ///
    /// # Shapes
    ///
    /// - student: each `[batch_size, features]`
    /// - teacher: each `[batch_size, teacher_features]`
    /// - epochs_passed: the number of finished epochs
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there are no layers, if the numbers of layers differ, or if the batch sizes
    /// differ.
    pub fn forward(
        &self,
        student: Vec<Tensor<2>>,
        teacher: Vec<Tensor<2>>,
        epochs_passed: usize,
    ) -> Tensor<1> {
        assert_eq!(
            student.len(),
            teacher.len(),
            "An information flow loss needs the same number of layers of both networks, found {} \
             of the student and {} of the teacher.",
            student.len(),
            teacher.len()
        );
        let last = student
            .len()
            .checked_sub(1)
            .expect("An information flow loss needs at least 1 layer, found none.");
        let critical = self.critical_weight * self.critical_decay.powf(epochs_passed as f64);
        student
            .into_iter()
            .zip(teacher)
            .enumerate()
            .map(|(index, (student, teacher))| {
                let weight = if index == last { 1.0 } else { critical };
                self.forward_layer(student, teacher).mul_scalar(weight)
            })
            .reduce(Tensor::add)
            .expect("There is a layer.")
    }

    /// Computes the loss of one layer, unweighted.
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
    pub fn forward_layer(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(teacher, [batch_size, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let student = at_least_f32(student);
        let teacher = at_least_f32(teacher.without_autodiff());
        let kernels: &[_] = match &self.kernel {
            AffinityKernel::Combined => &[AffinityKernel::Cosine, AffinityKernel::StudentT],
            kernel => std::slice::from_ref(kernel),
        };
        kernels
            .iter()
            .map(|kernel| {
                let [p, q] = [&teacher, &student]
                    .map(|features| kernel.probabilities(features.clone(), self.bandwidth));
                self.divergence.of(p, q).mean()
            })
            .reduce(Tensor::add)
            .expect("There is a kernel.")
    }
}

impl AffinityKernel {
    /// Returns the affinities of all pairs, each row divided by its sum. Shape:
    /// `[batch_size, batch_size]`.
    fn probabilities(self, features: Tensor<2>, bandwidth: f64) -> Tensor<2> {
        let distances = |features| pairwise_squared_distances(features).add_scalar(EPS).sqrt();
        let kernel = match self {
            Self::Combined => unreachable!("it combines two other kernels"),
            Self::Cosine => {
                let unit = l2_normalize(features, 1);
                let cosine = unit.clone().matmul(unit.transpose());
                // Rounding errors may take the cosine below −1.
                cosine.add_scalar(1.0).div_scalar(2.0).clamp_min(0.0)
            }
            Self::StudentT => distances(features).add_scalar(1.0).recip(),
            Self::Rbf => distances(features).div_scalar(-bandwidth).exp(),
            Self::AdaptiveRbf => {
                let distances = distances(features);
                let mean: Tensor<2> = distances.clone().without_autodiff().mean().unsqueeze();
                distances.div(mean).neg().exp()
            }
            Self::Cauchy => {
                let square = pairwise_squared_distances(features).add_scalar(EPS);
                square
                    .div_scalar(bandwidth * bandwidth)
                    .add_scalar(1.0)
                    .recip()
            }
        };
        let sum = kernel.clone().sum_dim(1);
        kernel.div(sum)
    }
}

impl AffinityDivergence {
    /// Computes the divergence of every pair of samples. Shapes: `[batch_size, batch_size]`.
    fn of(self, p: Tensor<2>, q: Tensor<2>) -> Tensor<2> {
        let log = |p: &Tensor<2>| p.clone().clamp_min(MIN_PROBABILITY).log();
        let log_ratio = || log(&p).sub(log(&q));
        let difference = p.clone().sub(q.clone());
        match self {
            Self::Jeffreys => difference.mul(log_ratio()),
            Self::Kl => {
                let ratio = p.clone().div(q.add_scalar(EPS));
                p.mul(ratio.add_scalar(EPS).log())
            }
            Self::Abs => difference.abs(),
            Self::Squared => difference.square(),
            Self::Exponential => p.clone().mul(log_ratio().square()),
            Self::Kagan => difference.square().div(p.clamp_min(MIN_PROBABILITY)),
        }
    }
}

/// Term of an [information flow loss](InformationFlowLoss) between layers. It takes the epoch from
/// the clock.
#[derive(Module, Debug)]
pub struct InformationFlowTerm {
    /// Information flow loss.
    pub loss: InformationFlowLoss,
    /// Names of the student's taps, in the order of the forward pass.
    pub student: Vec<String>,
    /// Names of the teacher's taps, in the order of the forward pass.
    pub teacher: Vec<String>,
}

impl InformationFlowTerm {
    /// Creates the term of a loss between these taps.
    pub fn new<S: Into<String>, T: Into<String>>(
        loss: InformationFlowLoss,
        student: impl IntoIterator<Item = S>,
        teacher: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            loss,
            student: student.into_iter().map(Into::into).collect(),
            teacher: teacher.into_iter().map(Into::into).collect(),
        }
    }
}

impl NamedLoss for InformationFlowTerm {
    fn name(&self) -> &'static str {
        InformationFlowLoss::TERM
    }
}

impl LossTerm for InformationFlowTerm {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named(&self.student),
            teacher: TapSelection::named(&self.teacher),
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let take = |taps: &Taps, names: &[String]| -> Vec<Tensor<2>> {
            let taps = taps.expect_all(names).into_iter();
            taps.map(Tap::into_vectors).collect()
        };
        // The clock counts epochs from 1.
        self.loss.forward(
            take(&context.student.taps, &self.student),
            take(&context.teacher.taps, &self.teacher),
            context.clock.epoch - 1,
        )
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "information-flow",
        abbreviation: "IFM",
        about: "matches neighbor probabilities layer by layer",
        kind: "relation",
        aliases: &["ifm"],
        reference: "Passalis et al., Heterogeneous Knowledge Distillation Using Information \
            Flow Modeling, CVPR 2020",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let (student, teacher): (Vec<_>, Vec<_>) = builder
            .pairs(DefaultTaps::StagesAndPool)?
            .into_iter()
            .unzip();
        for (student, teacher) in student.iter().zip(&teacher) {
            builder.vector_sizes(student, teacher)?;
        }
        let loss = builder.configure(InformationFlowLossConfig::new())?.init();
        builder.term(InformationFlowTerm::new(loss, student, teacher))
    })
}
