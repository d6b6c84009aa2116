use crate::{DistributionLoss, SoftTargetLossConfig};
use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, match_size};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, LossError, NamedLoss, Tap,
    TapLoss, check, check_same, one_line_display, reduce_rows,
};

/// Configuration to create a [pixel-wise loss](PixelWiseLoss) using the
/// [init function](PixelWiseLossConfig::init).
#[derive(Config, Debug)]
pub struct PixelWiseLossConfig {
    /// Softmax temperature, which divides the logits of student and teacher. Must be positive and
    /// finite. Default: `1.0`, because the authors have no temperature.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl PixelWiseLossConfig {
    /// Creates a [pixel-wise loss](PixelWiseLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite.
    pub fn init(&self) -> PixelWiseLoss {
        self.assert_valid();
        PixelWiseLoss {
            temperature: self.temperature,
        }
    }
}

impl Check for PixelWiseLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Pixel-wise distillation, of structured distillation (SKD): matches the class probabilities at
/// every position of a map of logits.
///
/// ```text
/// L = mean over samples and positions of the soft-target loss of the logits there
/// ```
///
/// The [soft-target loss](crate::SoftTargetLoss) is that between vectors of logits, with `T²`. The
/// larger map is pooled to the size of the smaller. The teacher is a constant: no gradient flows to
/// it. Half precision is widened to single.
///
/// # Weights
///
/// The authors use a weight of 10 beside the cross-entropy with the labels, for a sum over the
/// samples of a batch, where this is a mean.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::PixelWiseLossConfig;
///
/// let device = Device::default();
/// // Two classes at two positions.
/// let student = Tensor::<4>::from_data([[[[0.0, 0.0]], [[0.0, 0.0]]]], &device);
/// let teacher = Tensor::<4>::from_data([[[[0.0, 1e4]], [[0.0, 0.0]]]], &device);
///
/// let loss = PixelWiseLossConfig::new().init().forward(student, teacher);
///
/// assert!((loss.into_scalar::<f32>() - 0.5 * 2.0_f32.ln()).abs() < 1e-6);
/// ```
///
/// # Reference
///
/// Y. Liu et al., [Structured Knowledge Distillation for Semantic
/// Segmentation](https://arxiv.org/abs/1903.04197), CVPR 2019. The gradient at `T = 1` is that of
/// `CriterionPixelWise` of the authors' structure_knowledge_distillation, divided by the batch size;
/// the authors compute the cross-entropy, which differs by a constant.
#[doc(alias = "SKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct PixelWiseLoss {
    /// Softmax temperature, which divides the logits of student and teacher.
    pub temperature: f64,
}

one_line_display!(PixelWiseLoss: temperature);

impl PixelWiseLoss {
    /// Computes the loss of a batch of maps of logits.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, num_classes, height, width]`
    /// - teacher: `[batch_size, num_classes, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes or the numbers of classes differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, num_classes, _, _] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes, _, _]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match_size(at_least_f32(student), teacher);
        let rows = |map: Tensor<4>| map.permute([0, 2, 3, 1]).reshape([-1, num_classes as i32]);
        reduce_rows(
            self.rows(rows(student), rows(teacher)),
            None,
            &Reduction::Mean,
        )
    }

    /// Computes the soft-target loss of every row.
    fn rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let soft_target = SoftTargetLossConfig::new().with_temperature(self.temperature);
        soft_target.init().forward_no_reduction(student, teacher)
    }
}

impl NamedLoss for PixelWiseLoss {
    fn name(&self) -> &'static str {
        "pixel-wise"
    }
}

impl TapLoss for PixelWiseLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let Some(mask) = mask else {
            return self.forward(student.into_map(), teacher.into_map());
        };
        // The mean is over the tokens that count.
        let [student, teacher] = [student, teacher].map(|tap| {
            let tokens = tap.zero_padding(Some(&mask)).into_sequence();
            tokens.flatten::<2>(0, 1)
        });
        let rows = self.rows(student, teacher);
        reduce_rows(rows, Some(mask.flatten(0, 1)), &Reduction::Mean)
    }

    fn check_taps(&self, student: &Tap, teacher: &Tap) -> Result<(), LossError> {
        check_same("classes", student.channels()?, teacher.channels()?)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "pixel-wise",
        abbreviation: "SKD",
        about: "matches class probabilities at every position",
        kind: "response",
        aliases: &["skd-pixel"],
        reference: "Liu et al., Structured Knowledge Distillation for Semantic Segmentation, CVPR \
            2019",
    };
    LossEntry::new(catalog, 10.0, |builder| {
        builder.pairs_of(
            DefaultTaps::ClassMaps,
            PixelWiseLossConfig::new(),
            |config| config.init(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, Tolerance};

    #[test]
    fn a_map_of_one_position_is_a_row_of_logits() {
        let device = Device::default();
        let logits = || Tensor::<2>::random([3, 5], Distribution::Normal(0.0, 2.0), &device);
        let (student, teacher) = (logits(), logits());
        for temperature in [1.0, 4.0, 100.0] {
            let criterion = PixelWiseLossConfig::new().with_temperature(temperature);
            let [one, other] = [&student, &teacher].map(|rows| Tap::Vector(rows.clone()));
            let value = criterion.init().forward_taps(one, other, None);

            let soft_target = SoftTargetLossConfig::new()
                .with_temperature(temperature)
                .init();
            let rows = soft_target.forward(student.clone(), teacher.clone(), Reduction::Mean);
            value
                .into_data()
                .assert_approx_eq::<f32>(&rows.into_data(), Tolerance::default());
        }
    }

    #[test]
    fn other_numbers_of_classes_are_refused() {
        let device = Device::default();
        let map = |classes| Tap::Map(Tensor::zeros([2, classes, 4, 4], &device));

        let criterion = PixelWiseLossConfig::new().init();
        let error = criterion.check_taps(&map(3), &map(4)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "student and teacher should have the same number of classes, but have 3 and 4"
        );
    }

    #[test]
    #[should_panic(expected = "`temperature` should be above 0, from 1e-6 to 1e9, but is 0")]
    fn temperature_must_be_positive() {
        PixelWiseLossConfig::new().with_temperature(0.0).init();
    }

    #[test]
    fn display() {
        let loss = PixelWiseLossConfig::new().init();

        assert_eq!(format!("{loss}"), "PixelWiseLoss {temperature: 1}");
    }
}
