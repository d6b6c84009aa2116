use crate::doubling_weights;
use crate::entry::{Adapted, adapted};
use burn::config::Config;
use burn::module::Module;
use burn::nn::BatchNorm;
use burn::tensor::{Bool, Device, Tensor, TensorData, assert_shape};
use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
use burn_distill_core::numeric::{as_precise_as, at_least_f32, connected_zero, match_size};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, NamedLoss, Network, Tap,
    TapLoss, check, one_line_display,
};
use std::f64::consts::{PI, SQRT_2};

/// Configuration to create an [overhaul loss](OverhaulLoss) using one of the init functions, which
/// differ in the source of the margins.
#[derive(Config, Debug)]
pub struct OverhaulLossConfig {
    /// Factor of the sum over channels and pixels. Above 0. Default: `0.001`, as the authors use
    /// for CIFAR; for ImageNet they use `0.0001`.
    #[config(default = 0.001)]
    pub scale: f64,
}

impl OverhaulLossConfig {
    /// Creates a loss whose margins are estimated from every batch of the teacher: the mean of the
    /// negative values of each channel. For a teacher without batch normalization.
    ///
    /// # Panics
    ///
    /// Panics if the scale is not above 0.
    pub fn init(&self) -> OverhaulLoss {
        self.assert_valid();
        OverhaulLoss {
            scale: self.scale,
            margins: None,
        }
    }

    /// Creates a loss with given margins, one per channel of the teacher.
    ///
    /// # Panics
    ///
    /// Panics if the scale is not above 0, or if a margin is above 0.
    pub fn init_with_margins(&self, margins: &[f64], device: &Device) -> OverhaulLoss {
        for margin in margins {
            assert!(
                *margin <= 0.0,
                "The margins of an overhaul loss must be at most 0, found {margin}."
            );
        }
        let margins = TensorData::new(margins.to_vec(), [margins.len()]);
        OverhaulLoss {
            margins: Some(Tensor::from_data(margins, device)),
            ..self.init()
        }
    }

    /// Creates a loss with the margins of the [batch
    /// normalization](burn_distill_core::Network::normalization) in front of the teacher's
    /// activation, as the authors do.
    ///
    /// Reads the parameters of the normalization back from its device.
    ///
    /// # Panics
    ///
    /// Panics if the scale is not above 0.
    pub fn init_with_normalization(&self, norm: &BatchNorm, device: &Device) -> OverhaulLoss {
        let read = |values: Tensor<1>| -> Vec<f64> { values.into_data().iter::<f64>().collect() };
        let (gammas, betas) = (read(norm.gamma.val()), read(norm.beta.val()));
        let margins: Vec<_> = gammas
            .into_iter()
            .zip(betas)
            .map(|(gamma, beta)| margin(gamma, beta))
            .collect();
        self.init_with_margins(&margins, device)
    }
}

impl Check for OverhaulLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::positive("scale", self.scale)
    }
}

/// Returns the mean of the negative values of a normal variable: `E[x | x < 0]` for
/// `x ~ N(beta, gamma²)`.
///
/// ```text
/// margin = β − |γ| φ(β/γ) / Φ(−β/|γ|),   or −3 |γ| where Φ(−β/|γ|) ≤ 0.001
/// ```
///
/// For a variable that is rarely negative this mean is not well defined, so `−3 |γ|` is used. The
/// margin is 0 if gamma is, where the authors' code divides by zero.
///
/// ```
/// use burn_distill_feature::margin;
///
/// // The mean of the negative half of a standard normal variable: −√(2/π).
/// assert!((margin(1.0, 0.0) + 0.797884561).abs() < 1e-9);
/// ```
pub fn margin(gamma: f64, beta: f64) -> f64 {
    const RARE: f64 = 1e-3;
    let deviation = gamma.abs();
    if deviation == 0.0 {
        return 0.0;
    }
    let ratio = beta / deviation;
    // Not 1 − erf, which has no precision for rare values.
    let below = 0.5 * libm::erfc(ratio / SQRT_2);
    if below > RARE {
        let density = (-0.5 * ratio * ratio).exp() / (2.0 * PI).sqrt();
        beta - deviation * density / below
    } else {
        -3.0 * deviation
    }
}

/// Overhaul of feature distillation (OFD): matches features before the activation, with a margin
/// ReLU for the teacher and a partial L2 distance that ignores irrelevant negative values.
///
/// ```text
/// target = max(teacher, margin of the channel)
/// counts = 1 where student > target or target > 0, else 0
/// L = scale · Σ counts · (student − target)² / batch_size
/// ```
///
/// The following activation removes negative values, so a student below a negative target has no
/// loss. The student's map is adapted by a 1×1 convolution with batch normalization. The larger map
/// is pooled to the size of the smaller. The teacher is a constant: no gradient flows to it. Half
/// precision is widened to single.
///
/// # Weights
///
/// The authors sum over the stages, each with [half the weight of the
/// next](crate::doubling_weights), beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective). They leave the teacher in training mode, in
/// which its statistics drift; here it is frozen.
///
/// # Example
///
/// ```
/// use burn::nn::BatchNormConfig;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::OverhaulLossConfig;
///
/// let device = Device::default();
/// let norm = BatchNormConfig::new(1).init(&device); // of the teacher: the margin is −0.8
/// let overhaul = OverhaulLossConfig::new().init_with_normalization(&norm, &device);
///
/// let teacher = Tensor::<4>::from_data([[[[-5.0, 2.0]]]], &device);
/// let student = Tensor::<4>::from_data([[[[-9.0, 2.0]]]], &device);
/// let loss = overhaul.forward(student, teacher);
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// B. Heo et al., [A Comprehensive Overhaul of Feature Distillation](
/// https://arxiv.org/abs/1904.01866), ICCV 2019. Agrees with `distillation_loss` and
/// `get_margin_from_BN` of the authors' overhaul-distillation and with `feat_loss` of mdistiller.
#[doc(alias = "OFD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct OverhaulLoss {
    /// Factor of the sum.
    pub scale: f64,
    /// Margins, one per channel of the teacher; `None` to estimate them from every batch.
    pub margins: Option<Tensor<1>>,
}

one_line_display!(
    OverhaulLoss: scale,
    margins = |loss| Some(&match &loss.margins {
        Some(margins) => format!("{} given", margins.dims()[0]),
        None => "estimated".into(),
    })
);

impl OverhaulLoss {
    /// Computes the loss of a batch of maps before their activation, the student's after its
    /// adapter.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - teacher: `[batch_size, channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes or the numbers of channels differ, or if the number of margins is
    /// not the number of channels.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, channels, _, _] = student.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let margins = match &self.margins {
            Some(margins) => {
                let margins = as_precise_as(margins.clone().without_autodiff(), &teacher);
                assert_shape!(margins, [channels]);
                margins
                    .to_device(&teacher.device())
                    .cast(teacher.dtype())
                    .reshape([1, channels, 1, 1])
            }
            None => estimated_margins(teacher.clone()),
        };
        let (student, teacher) = match_size(at_least_f32(student), teacher);

        let shape = teacher.shape();
        let target = teacher.max_pair(margins.expand(shape));
        let counts = student
            .clone()
            .without_autodiff()
            .greater(target.clone())
            .bool_or(target.clone().greater_scalar(0.0));
        student
            .sub(target)
            .mask_fill(counts.bool_not(), 0.0)
            .square()
            .sum()
            .mul_scalar(self.scale / batch_size as f64)
    }
}

impl NamedLoss for OverhaulLoss {
    fn name(&self) -> &'static str {
        "overhaul"
    }
}

impl TapLoss for OverhaulLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the mean of the negative values of each channel, 0 if there are none. From
/// `[batch_size, channels, height, width]` to `[1, channels, 1, 1]`.
fn estimated_margins(teacher: Tensor<4>) -> Tensor<4> {
    const AXES: [usize; 3] = [0, 2, 3];
    let below = teacher.clone().lower_scalar(0.0);
    let count = below.clone().float().cast(teacher.dtype()).sum_dims(&AXES);
    teacher
        .mask_fill(below.bool_not(), 0.0)
        .sum_dims(&AXES)
        .div(count.clamp_min(1.0))
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "overhaul",
        abbreviation: "OFD",
        about: "matches features before the activation",
        kind: "feature",
        aliases: &["ofd"],
        reference: "Heo et al., A Comprehensive Overhaul of Feature Distillation, ICCV 2019",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let defaults = Adapted {
            taps: DefaultTaps::BeforeActivation,
            check: |_, _| Ok(()),
            adapter: |_, _| FeatureAdapterConfig::new(AdapterKind::Connector),
            weights: doubling_weights,
            config: OverhaulLossConfig::new(),
        };
        let context = builder.context();
        adapted(builder, defaults, |config, teacher| {
            match context.teacher.normalization(teacher) {
                Some(norm) => config.init_with_normalization(&norm, &context.device),
                None => config.init(),
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn margins_agree_with_the_authors_code() {
        // `get_margin_from_BN` of overhaul-distillation, in double precision.
        for (gamma, beta, expected) in [
            (1.0, 0.0, -0.797884561),
            (0.5, 0.2, -0.334378086),
            (1.0, 3.2, -3.0),
            (-0.8, -1.0, -1.16338037),
            (0.1, 1.0, -0.3),
        ] {
            let found = margin(gamma, beta);
            assert!((found - expected).abs() < 1e-8, "{gamma} {beta}: {found}");
        }
    }

    #[test]
    fn extreme_normalizations_have_finite_margins_below_zero() {
        for gamma in [0.0, 1e-30, 1e-3, -2.0, 1e4] {
            for beta in [0.0, 1e-3, -1e-3, 40.0, -40.0, 1e6, -1e6] {
                let found = margin(gamma, beta);
                assert!(found.is_finite() && found <= 0.0, "{gamma} {beta}: {found}");
            }
        }
        assert_eq!(margin(0.0, -1.0), 0.0);
    }

    #[test]
    fn estimates_are_the_mean_of_the_negative_values() {
        let device = Device::default();
        let map = Tensor::<4>::from_data([[[[-1.0, -3.0, 5.0]], [[0.0, 1.0, 2.0]]]], &device);

        let expected = TensorData::from([[[[-2.0]], [[0.0]]]]);
        estimated_margins(map)
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    #[should_panic(expected = "The margins of an overhaul loss must be at most 0, found 0.5.")]
    fn margins_must_not_be_positive() {
        OverhaulLossConfig::new().init_with_margins(&[-1.0, 0.5], &Device::default());
    }

    #[test]
    #[should_panic(expected = "margins")]
    fn every_channel_needs_a_margin() {
        let device = Device::default();
        let map = Tensor::<4>::zeros([1, 2, 1, 1], &device);
        let overhaul = OverhaulLossConfig::new().init_with_margins(&[-1.0], &device);
        overhaul.forward(map.clone(), map);
    }
}
