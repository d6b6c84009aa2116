use crate::TeacherFreeLoss;
use crate::entry::teacher_free;
use crate::target::is_target;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{kl_divergence_rows, tempered_log_softmax};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [virtual-teacher loss](VirtualTeacherLoss) using the
/// [init function](VirtualTeacherLossConfig::init).
#[derive(Config, Debug)]
pub struct VirtualTeacherLossConfig {
    /// Value of the label in the vector that the virtual teacher softens. Between 0 and 1. Default:
    /// `0.99`.
    #[config(default = 0.99)]
    pub correct: f64,
    /// Softmax temperature, which divides that vector, and the logits of the student if
    /// `soften_student` is set. Must be positive and finite. Default: `20.0`.
    #[config(default = 20.0)]
    pub temperature: f64,
    /// Factor of the divergence. Not negative. Default: `1.0`.
    #[config(default = 1.0)]
    pub multiplier: f64,
    /// Whether the logits of the student are divided by the temperature too. Default: `false`, as
    /// in the code of the authors; the paper divides them.
    #[config(default = false)]
    pub soften_student: bool,
}

impl VirtualTeacherLossConfig {
    /// Creates a [virtual-teacher loss](VirtualTeacherLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite, if `correct` is not between 0 and 1, or
    /// if `multiplier` is negative or not finite.
    pub fn init(&self) -> VirtualTeacherLoss {
        self.assert_valid();
        VirtualTeacherLoss {
            correct: self.correct,
            temperature: self.temperature,
            multiplier: self.multiplier,
            soften_student: self.soften_student,
        }
    }
}

impl Check for VirtualTeacherLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::in_range("correct", self.correct, 0.0..=1.0)?;
        check::weight("multiplier", self.multiplier)
    }
}

/// Teacher-free KD (Tf-KD) with a virtual teacher: matches a hand-made distribution that favors the
/// label and treats all other classes alike.
///
/// For every row of class `y` out of `K`, with `T` the `temperature`,
///
/// ```text
/// v_y = correct,    vₖ = (1 − correct) / (K − 1)
/// p = softmax(v / T)
/// q = softmax(student)                        of student / T if soften_student
/// L = multiplier · KL(p ‖ q)
/// ```
///
/// `v` sums to one and yet goes through another softmax, as in the code of the authors: at the
/// defaults and five classes `p` is 0.2080 for the label and 0.1980 for each other, little more
/// than uniform. The paper also divides the student by the temperature; the authors' code for CIFAR
/// does not, nor does this loss unless `soften_student` is set. Where the student excludes a class
/// by a logit of −∞ the loss is infinite, since this teacher excludes none. Half precision is
/// widened to single.
///
/// # Weights
///
/// The authors minimize `(1 − α) CE + α m KL`, where their `KL` is divided by the number of classes
/// too. In their terms `multiplier = m / K`, and `α` is the weight: 1 and 0.1 for ResNet-18 on
/// CIFAR-100 (`T = 20`, `m = 100`), 0.01 and 0.95 for MobileNet-V2 (`T = 40`, `m = 1`), 0.5 and 0.1
/// for GoogLeNet (`T = 40`, `m = 50`).
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{TeacherFreeLoss, VirtualTeacherLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.99, 0.01]], &device); // the vector of the teacher
/// let classes = Tensor::from_data([0], &device);
///
/// let criterion = VirtualTeacherLossConfig::new().with_temperature(1.0).init();
/// let loss = criterion.forward(student, classes, Reduction::Mean);
///
/// assert!(loss.into_scalar::<f32>().abs() < 1e-6);
/// ```
///
/// # Reference
///
/// L. Yuan et al., [Revisiting Knowledge Distillation via Label Smoothing
/// Regularization](https://arxiv.org/abs/1909.11723) (Tf-KD), CVPR 2020. Agrees with
/// `loss_kd_regularization` of Teacher-free-KD, the code of the authors, assembled as above.
#[doc(alias = "TfKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct VirtualTeacherLoss {
    /// Value of the label in the vector that the virtual teacher softens.
    pub correct: f64,
    /// Softmax temperature, which divides that vector.
    pub temperature: f64,
    /// Factor of the divergence.
    pub multiplier: f64,
    /// Whether the logits of the student are divided by the temperature too.
    pub soften_student: bool,
}

one_line_display!(VirtualTeacherLoss: correct, temperature, multiplier, soften_student);

impl VirtualTeacherLoss {
    /// Returns the log-probabilities that the virtual teacher gives to rows of these classes.
    ///
    /// # Shapes
    ///
    /// - classes: `[rows]`, each below `num_classes`
    /// - output: `[rows, num_classes]`
    pub fn log_probabilities(&self, classes: Tensor<1, Int>, num_classes: usize) -> Tensor<2> {
        // With one class, no other class can receive the rest.
        let wrong = (1.0 - self.correct) / num_classes.saturating_sub(1).max(1) as f64;
        let is_target = is_target(&classes, num_classes);
        let values = is_target
            .float()
            .mul_scalar(self.correct - wrong)
            .add_scalar(wrong);
        tempered_log_softmax(values.without_autodiff(), self.temperature)
    }
}

impl NamedLoss for VirtualTeacherLoss {
    fn name(&self) -> &'static str {
        "virtual-teacher"
    }
}

impl TeacherFreeLoss for VirtualTeacherLoss {
    fn forward_rows(&self, student: Tensor<2>, classes: Tensor<1, Int>) -> Tensor<1> {
        let [rows, num_classes] = student.dims();
        assert_shape!(classes, [rows]);

        let temperature = match self.soften_student {
            true => self.temperature,
            false => 1.0,
        };
        let log_q = tempered_log_softmax(student, temperature);
        let log_p = self
            .log_probabilities(classes, num_classes)
            .cast(log_q.dtype());
        kl_divergence_rows(log_p, log_q).mul_scalar(self.multiplier)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "virtual-teacher",
        abbreviation: "Tf-KD",
        about: "matches a hand-made teacher distribution",
        kind: "targets",
        aliases: &["tf-kd"],
        reference: "Yuan et al., Revisiting Knowledge Distillation via Label Smoothing \
            Regularization, CVPR 2020",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        teacher_free(builder, VirtualTeacherLossConfig::new(), |config| {
            config.init()
        })
    })
    .for_labels()
}

#[cfg(test)]
mod tests {
    use super::*;

    use burn::tensor::Device;

    fn criterion() -> VirtualTeacherLoss {
        VirtualTeacherLossConfig::new().init()
    }

    #[test]
    #[should_panic(expected = "assert_shape!(classes, [rows]): axis 0 expected 4, got 1")]
    fn numbers_of_labels_must_match() {
        let device = Device::default();
        criterion().forward_rows(
            Tensor::zeros([4, 5], &device),
            Tensor::from_data([0], &device),
        );
    }

    #[test]
    #[should_panic(expected = "`correct` should be from 0 to 1, but is 99")]
    fn correct_must_be_a_probability() {
        VirtualTeacherLossConfig::new().with_correct(99.0).init();
    }

    #[test]
    fn config_survives_json() {
        let config = VirtualTeacherLossConfig::new().with_temperature(40.0);

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(
            json,
            r#"{"correct":0.99,"temperature":40.0,"multiplier":1.0,"soften_student":false}"#
        );

        let config = VirtualTeacherLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.temperature, 40.0);
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", criterion()),
            "VirtualTeacherLoss {correct: 0.99, temperature: 20, multiplier: 1, \
             soften_student: false}"
        );
    }
}
