use crate::spread::Spread;
use crate::{BatchLogitLoss, LabeledLoss, LogitLoss};
use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Bool, Int, Tensor, assert_shape};
use burn_distill_core::{Check, ConfigError, NamedLoss, check, one_line_display, reduce_rows};

/// Constant that is added to the standard deviation.
const EPS: f64 = 1e-7;

/// Configuration to [standardize](Standardized) the logits of a loss, using the
/// [init function](StandardizationConfig::init).
#[derive(Config, Debug)]
pub struct StandardizationConfig {
    /// Whether the deviation divides the sum of squares by the number of classes instead of one
    /// less. Default: `false`, as in the code of the authors.
    #[config(default = false)]
    pub population: bool,
    /// Lower bound on the standard deviation of the logits. Zero for no bound. Default: `1e-3`.
    #[config(default = 1e-3)]
    pub floor: f64,
}

impl StandardizationConfig {
    /// Creates a loss of standardized logits from a loss.
    ///
    /// # Panics
    ///
    /// Panics if `floor` is negative or not finite.
    pub fn init<L>(&self, loss: L) -> Standardized<L> {
        self.assert_valid();
        Standardized {
            loss,
            population: self.population,
            floor: self.floor,
        }
    }
}

impl Check for StandardizationConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::not_negative("floor", self.floor)
    }
}

/// Returns the logits of student and constant teacher, both standardized.
pub(crate) fn standardized(
    [student, teacher]: [Tensor<2>; 2],
    population: bool,
    floor: f64,
) -> [Tensor<2>; 2] {
    let [batch_size, num_classes] = student.dims();
    assert_shape!(teacher, [batch_size, num_classes]);
    [student, teacher.without_autodiff()].map(|logits| {
        let spread = Spread::of(logits, population, floor);
        let unit = spread.deviation.clone().add_scalar(EPS);
        spread.in_units_of(unit)
    })
}

/// Logit standardization (LSKD): a loss of logits that are standardized row by row, so that the
/// student matches the shape of the teacher's logits and not their scale.
///
/// For both student and teacher, row by row,
///
/// ```text
/// std(z) = max(√(Σₖ (zₖ − mean(z))² / (num_classes − 1)), floor)      num_classes if population
/// Z(z) = (z − mean(z)) / (1e-7 + std(z))
/// L = loss(Z(student), Z(teacher))
/// ```
///
/// The gradient flows through the mean and the deviation of the student. The loss does not depend
/// on the scale of the logits, so keep the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective), which does. A class excluded by a logit of −∞
/// stays excluded and counts in neither statistic. The teacher is a constant: no gradient flows to
/// it. Half precision is widened to single.
///
/// The loss may compare rows, [labeled rows](LabeledLoss) or [batches](BatchLogitLoss). Its
/// temperature divides the standardized logits, and a factor of `T²` stays: the authors replace the
/// logits only. The [learned temperature](crate::LearnedTemperature) and the [multi-level
/// loss](crate::MultiLevelLoss) have a field for standardization, the latter for its instance level
/// only, as in the code of the authors.
///
/// All logits of the teacher are needed, so [sparse logits](crate::SparseLogits) are not accepted:
///
/// ```compile_fail,E0308
/// # use burn::nn::loss::Reduction;
/// # use burn::tensor::Tensor;
/// # use burn_distill_response::{SoftTargetLossConfig, SparseLogits, StandardizationConfig};
/// # fn sparse(student: Tensor<2>, teacher: SparseLogits) {
/// let loss = StandardizationConfig::new().init(SoftTargetLossConfig::new().init());
/// loss.forward(student, teacher, Reduction::Mean); // expected `Tensor`, found `SparseLogits`
/// # }
/// ```
///
/// # Equal logits
///
/// If all logits of a sample are equal, their deviation is zero, and dividing by only `1e-7` makes
/// their gradient as large as `1e7`. For a single class, the unbiased deviation does not exist. The
/// `floor` bounds the gradient by a thousand and does not change logits that deviate by more.
///
/// # Weights
///
/// On CIFAR-100 the authors use weights of 9 for soft targets at `T = 2` and 0.1 for the
/// cross-entropy with the labels. For the [decoupled loss](crate::DecoupledLoss) they multiply
/// `alpha` and `beta` by 9.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{SoftTargetLossConfig, StandardizationConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 2.0, 4.0]], &device);
/// let teacher = student.clone().mul_scalar(7.0).add_scalar(3.0); // the same shape
///
/// let soft_target = SoftTargetLossConfig::new().with_temperature(2.0).init();
/// let loss = StandardizationConfig::new()
///     .init(soft_target)
///     .forward(student, teacher, Reduction::Mean);
///
/// assert!(loss.into_scalar::<f32>() < 1e-6);
/// ```
///
/// # Reference
///
/// S. Sun, W. Ren, J. Li, R. Wang and X. Cao, [Logit Standardization in Knowledge
/// Distillation](https://arxiv.org/abs/2403.01427), CVPR 2024. With [soft
/// targets](crate::SoftTargetLoss) it agrees with `KD` of the authors' logit-standardization-KD,
/// whose deviation is the unbiased one, and has no floor.
#[doc(alias = "LSKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Standardized<L> {
    /// Loss of standardized logits.
    pub loss: L,
    /// Whether the deviation divides the sum of squares by the number of classes instead of one
    /// less.
    pub population: bool,
    /// Lower bound on the standard deviation of the logits.
    pub floor: f64,
}

one_line_display!(Standardized<L>: loss, population, floor);

impl<L> Standardized<L> {
    fn standardize(&self, student: Tensor<2>, teacher: Tensor<2>) -> [Tensor<2>; 2] {
        standardized([student, teacher], self.population, self.floor)
    }
}

impl<L: LogitLoss> Standardized<L> {
    /// Computes the loss of every row and reduces the losses to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// rows.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        reduction: Reduction,
    ) -> Tensor<1> {
        reduce_rows(self.forward_rows(student, teacher), None, &reduction)
    }
}

impl<L: NamedLoss> NamedLoss for Standardized<L> {
    /// Returns the name of the loss inside, whose term it is.
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: LogitLoss> LogitLoss for Standardized<L> {
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [student, teacher] = self.standardize(student, teacher);
        self.loss.forward_rows(student, teacher)
    }
}

impl<L: LabeledLoss> LabeledLoss for Standardized<L> {
    fn forward_rows(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> Tensor<1> {
        let [student, teacher] = self.standardize(student, teacher);
        self.loss.forward_rows(student, teacher, classes)
    }
}

impl<L: BatchLogitLoss> BatchLogitLoss for Standardized<L> {
    fn forward_masked(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        let [student, teacher] = self.standardize(student, teacher);
        self.loss.forward_masked(student, teacher, mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SoftTargetLoss, SoftTargetLossConfig};
    use burn::tensor::Device;

    fn soft_target() -> SoftTargetLoss {
        SoftTargetLossConfig::new().with_temperature(2.0).init()
    }

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, num_classes]): axis 0 expected 4"
    )]
    fn batch_sizes_must_match() {
        let device = Device::default();
        let criterion = StandardizationConfig::new().init(soft_target());
        criterion.forward_rows(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([3, 5], &device),
        );
    }

    #[test]
    #[should_panic(expected = "`floor` should be finite and not negative")]
    fn floor_must_not_be_negative() {
        StandardizationConfig::new()
            .with_floor(-1.0)
            .init(soft_target());
    }

    #[test]
    fn config_survives_json() {
        let json = serde_json::to_string(&StandardizationConfig::new()).unwrap();
        assert_eq!(json, r#"{"population":false,"floor":0.001}"#);
        let config = StandardizationConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.floor, 1e-3);
    }

    #[test]
    fn the_name_is_that_of_the_loss_inside() {
        let criterion = StandardizationConfig::new().init(soft_target());
        assert_eq!(NamedLoss::name(&criterion), "soft-target");
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", StandardizationConfig::new().init(soft_target())),
            "Standardized {loss: SoftTargetLoss {temperature: 2}, population: false, floor: 0.001}"
        );
    }
}
