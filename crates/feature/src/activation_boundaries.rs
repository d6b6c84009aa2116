use crate::entry::{Adapted, adapted};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
use burn_distill_core::numeric::{at_least_f32, connected_zero, match_size};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss,
    check, one_line_display,
};

/// Reduction of the violations of activation boundaries.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum BoundaryReduction {
    /// Sum of the violations, averaged over samples and multiplied by the scale, as in the authors'
    /// code.
    Sum,
    /// Mean of the violations.
    Mean,
}

/// Configuration to create an [activation boundary loss](ActivationBoundaryLoss) using the
/// [init function](ActivationBoundaryLossConfig::init).
#[derive(Config, Debug)]
pub struct ActivationBoundaryLossConfig {
    /// Margin by which the student should exceed the boundary. Above 0. Default: `1.0`.
    #[config(default = 1.0)]
    pub margin: f64,
    /// Reduction of the violations. Default: `Sum`.
    #[config(default = "BoundaryReduction::Sum")]
    pub reduction: BoundaryReduction,
    /// Factor of `Sum`; unused by `Mean`. Default: `0.003`, as in the authors' code.
    #[config(default = 0.003)]
    pub scale: f64,
}

impl ActivationBoundaryLossConfig {
    /// Creates an [activation boundary loss](ActivationBoundaryLoss).
    ///
    /// # Panics
    ///
    /// Panics if the margin or the scale is not above 0.
    pub fn init(&self) -> ActivationBoundaryLoss {
        self.assert_valid();
        let Self { margin, scale, .. } = *self;
        ActivationBoundaryLoss {
            margin,
            reduction: self.reduction,
            scale,
        }
    }
}

impl Check for ActivationBoundaryLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::positive("margin", self.margin)?;
        check::positive("scale", self.scale)
    }
}

/// Activation boundaries (AB): the student's neurons should be active where the teacher's neurons
/// are active, regardless of their strength.
///
/// ```text
/// side      = 1 where teacher > 0, else −1
/// violation = relu(margin − side · student)²
/// Sum:  L = scale · Σ violation / batch_size
/// Mean: L = mean of violation
/// ```
///
/// Both maps are taken before their activation, the student's after a 1×1 convolution with batch
/// normalization. A student's neuron beyond the margin, on the same side as the teacher's, has no
/// loss. The larger map is pooled to the size of the smaller. The teacher is a constant: no
/// gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// The authors sum over the stages, each with [half the weight of the next](doubling_weights). They
/// first train the student with only this loss, then with soft targets; the loss may also be
/// combined with others.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::ActivationBoundaryLossConfig;
///
/// let device = Device::default();
/// let teacher = Tensor::<4>::from_data([[[[-0.01, 5.0]]]], &device);
/// let student = Tensor::<4>::from_data([[[[-3.0, 1.0]]]], &device);
///
/// let loss = ActivationBoundaryLossConfig::new().init().forward(student, teacher);
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// B. Heo, M. Lee, S. Yun and J. Y. Choi, [Knowledge Transfer via Distillation of Activation
/// Boundaries Formed by Hidden Neurons](https://arxiv.org/abs/1811.03233), AAAI 2019. Agrees with
/// `criterion_alternative_L2` of the authors' AB_distillation and with `ABLoss` of RepDistiller.
#[doc(alias = "AB")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ActivationBoundaryLoss {
    /// Margin by which the student should exceed the boundary.
    pub margin: f64,
    /// Reduction of the violations.
    #[module(skip)]
    pub reduction: BoundaryReduction,
    /// Factor of `Sum`.
    pub scale: f64,
}

one_line_display!(
    ActivationBoundaryLoss: margin,
    ?reduction,
    scale = |loss| (loss.reduction == BoundaryReduction::Sum).then_some(&loss.scale)
);

impl ActivationBoundaryLoss {
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
    /// Panics if the batch sizes or the numbers of channels differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, channels, _, _] = student.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match_size(at_least_f32(student), teacher);

        let active = teacher.greater_scalar(0.0);
        let inactive = active.bool_not();
        // Where the teacher is inactive, the sign of the student is inverted.
        let towards = student.clone().mask_where(inactive, student.neg());
        let violation = relu(towards.neg().add_scalar(self.margin)).square();
        match self.reduction {
            BoundaryReduction::Sum => violation.sum().mul_scalar(self.scale / batch_size as f64),
            BoundaryReduction::Mean => violation.mean(),
        }
    }
}

impl NamedLoss for ActivationBoundaryLoss {
    fn name(&self) -> &'static str {
        "activation-boundaries"
    }
}

impl TapLoss for ActivationBoundaryLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns weights for a number of layers, each half of the next one: `…, ¼, ½, 1`.
///
/// ```
/// assert_eq!(burn_distill_feature::doubling_weights(3), [0.25, 0.5, 1.0]);
/// ```
pub fn doubling_weights(layers: usize) -> Vec<f64> {
    (0..layers)
        .rev()
        .map(|after| 0.5_f64.powi(after as i32))
        .collect()
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "activation-boundaries",
        abbreviation: "AB",
        about: "matches which neurons are active",
        kind: "feature",
        aliases: &["ab"],
        reference: "Heo et al., Knowledge Transfer via Distillation of Activation Boundaries \
            Formed by Hidden Neurons, AAAI 2019",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let defaults = Adapted {
            taps: DefaultTaps::BeforeActivation,
            check: |_, _| Ok(()),
            adapter: |_, _| FeatureAdapterConfig::new(AdapterKind::Connector),
            weights: doubling_weights,
            config: ActivationBoundaryLossConfig::new(),
        };
        adapted(builder, defaults, |config, _| config.init())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "`margin` should be finite and above 0, but is 0")]
    fn the_margin_must_be_positive() {
        ActivationBoundaryLossConfig::new().with_margin(0.0).init();
    }
}
