use crate::Embeddings;
use crate::entry::embedded;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, l2_norm, l2_normalize, pairwise_squared_distances,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, Tap, TapLoss, check,
    one_line_display,
};

/// Kernel that measures the correlation of two samples.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum CorrelationKernel {
    /// Inner product of their features.
    Bilinear,
    /// Gaussian of their distance, as the Taylor series in their inner product that the authors
    /// define.
    Gaussian,
    /// Gaussian of their distance, computed exactly.
    ExactGaussian,
}

/// Distance between the correlations of student and teacher.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum CorrelationDistance {
    /// Mean of the squared differences, as in the paper.
    MeanSquare,
    /// Square root of the sum of squared differences, divided by their number, as in torchdistill.
    Norm,
}

/// Configuration to create a [correlation congruence loss](CorrelationCongruenceLoss) using the
/// [init function](CorrelationCongruenceLossConfig::init).
#[derive(Config, Debug)]
pub struct CorrelationCongruenceLossConfig {
    /// Kernel that measures the correlation of two samples. Default: `Gaussian`.
    #[config(default = "CorrelationKernel::Gaussian")]
    pub kernel: CorrelationKernel,
    /// Factor of squared distances in a Gaussian. Above 0. Default: `0.4`.
    #[config(default = 0.4)]
    pub gamma: f64,
    /// Order of the Taylor series. At least 1. Default: `2`.
    #[config(default = 2)]
    pub order: usize,
    /// Whether samples are divided by their L2 norm first. Default: `true`; torchdistill does not.
    #[config(default = true)]
    pub normalize: bool,
    /// Distance between the correlations. Default: `MeanSquare`.
    #[config(default = "CorrelationDistance::MeanSquare")]
    pub distance: CorrelationDistance,
}

impl CorrelationCongruenceLossConfig {
    /// Creates a [correlation congruence loss](CorrelationCongruenceLoss) without embeddings.
    ///
    /// # Panics
    ///
    /// Panics if `gamma` or `order` is zero.
    pub fn init(&self) -> CorrelationCongruenceLoss {
        self.assert_valid();
        CorrelationCongruenceLoss {
            kernel: self.kernel,
            gamma: self.gamma,
            order: self.order,
            normalize: self.normalize,
            distance: self.distance,
            embeddings: None,
        }
    }
}

impl Check for CorrelationCongruenceLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::positive("gamma", self.gamma)?;
        check::count_in("order", self.order, 1..=64)
    }
}

/// Correlation congruence (CC): matches the correlations between the samples of a batch.
///
/// ```text
/// sᵢⱼ = xᵢ · xⱼ,    each divided by its L2 norm
/// Bilinear:       Cᵢⱼ = sᵢⱼ
/// Gaussian:       Cᵢⱼ = exp(−2 gamma) Σ for p from 0 to order of (2 gamma)ᵖ / p! · sᵢⱼᵖ
/// ExactGaussian:  Cᵢⱼ = exp(−gamma ‖xᵢ − xⱼ‖²)
/// L = mean over i, j of (C(student) − C(teacher))²
/// ```
///
/// The truncated series is part of the definition: with the defaults it differs from the Gaussian
/// by up to 0.047. The value does not change if the features of either network are rotated or, with
/// `normalize`, if each sample is scaled; a sample of zeros then passes no gradient. With
/// [embeddings](Self::with_embeddings), a linear layer is applied to the features of each network
/// first. The teacher is a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// Knowledge-Distillation-Zoo uses a weight of 100, beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::{CorrelationCongruenceLossConfig, EmbeddingsConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 2.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.0, 3.0, 0.0], [4.0, 0.0, 0.0]], &device);
///
/// let loss = CorrelationCongruenceLossConfig::new().init();
/// assert_eq!(loss.forward(student, teacher).into_scalar::<f32>(), 0.0); // both at right angles
///
/// // As in torchdistill: between learned embeddings.
/// let embeddings = EmbeddingsConfig::new(2, 3).init(&device);
/// let embedded = loss.with_embeddings(embeddings);
/// ```
///
/// # Reference
///
/// B. Peng, X. Jin, J. Liu, S. Zhou, Y. Wu, Y. Liu, D. Li and Z. Zhang, [Correlation Congruence for
/// Knowledge Distillation](https://arxiv.org/abs/1904.01802), ICCV 2019. Agrees with
/// Knowledge-Distillation-Zoo. The loss that RepDistiller calls by this name is the [adjacent
/// correlation loss](crate::AdjacentCorrelationLoss).
#[doc(alias = "CC")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct CorrelationCongruenceLoss {
    /// Kernel that measures the correlation of two samples.
    #[module(skip)]
    pub kernel: CorrelationKernel,
    /// Factor of squared distances in a Gaussian.
    pub gamma: f64,
    /// Order of the Taylor series.
    pub order: usize,
    /// Whether samples are divided by their L2 norm first.
    pub normalize: bool,
    /// Distance between the correlations.
    #[module(skip)]
    pub distance: CorrelationDistance,
    /// Linear embeddings applied to the features of both networks first, if any.
    pub embeddings: Option<Embeddings>,
}

one_line_display!(
    CorrelationCongruenceLoss: ?kernel,
    gamma,
    order,
    normalize,
    ?distance,
    embeddings = |loss| loss.embeddings.as_ref()
);

impl CorrelationCongruenceLoss {
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
    /// - teacher: `[batch_size, teacher_features]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ, or if the embeddings expect another number of features.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(teacher, [batch_size, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let student = at_least_f32(student);
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match &self.embeddings {
            Some(embeddings) => embeddings.forward(student, teacher),
            None => (student, teacher),
        };
        let difference = self.correlations(student).sub(self.correlations(teacher));
        match self.distance {
            CorrelationDistance::MeanSquare => difference.square().mean(),
            CorrelationDistance::Norm => {
                let count = (batch_size * batch_size) as f64;
                l2_norm(difference.flatten::<1>(0, 1), 0).div_scalar(count)
            }
        }
    }

    /// Returns the correlations `C` of all pairs. Shape: `[batch_size, batch_size]`.
    fn correlations(&self, features: Tensor<2>) -> Tensor<2> {
        let features = match self.normalize {
            true => l2_normalize(features, 1),
            false => features,
        };
        let products = |features: Tensor<2>| features.clone().matmul(features.transpose());
        match self.kernel {
            CorrelationKernel::Bilinear => products(features),
            CorrelationKernel::Gaussian => self.series(products(features)),
            CorrelationKernel::ExactGaussian => pairwise_squared_distances(features)
                .mul_scalar(-self.gamma)
                .exp(),
        }
    }

    /// Evaluates the Taylor series of the Gaussian by Horner's rule, without forming powers.
    fn series(&self, products: Tensor<2>) -> Tensor<2> {
        let twice = 2.0 * self.gamma;
        let sum = (1..=self.order).rev().fold(None, |inner, power| {
            let next = match inner {
                Some(inner) => products.clone().mul(inner),
                None => products.clone(),
            };
            Some(next.mul_scalar(twice / power as f64).add_scalar(1.0))
        });
        sum.expect("The order is at least 1.")
            .mul_scalar((-twice).exp())
    }
}

impl NamedLoss for CorrelationCongruenceLoss {
    fn name(&self) -> &'static str {
        "correlation-congruence"
    }
}

impl TapLoss for CorrelationCongruenceLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "correlation-congruence",
        abbreviation: "CC",
        about: "matches correlations between samples",
        kind: "relation",
        aliases: &["cc"],
        reference: "Peng et al., Correlation Congruence for Knowledge Distillation, ICCV \
            2019",
    };
    LossEntry::new(catalog, 100.0, |builder| {
        embedded(
            builder,
            None,
            CorrelationCongruenceLossConfig::new(),
            |config| config.init(),
            CorrelationCongruenceLoss::with_embeddings,
        )
    })
}
