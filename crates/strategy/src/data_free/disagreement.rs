use super::{GeneratorContext, GeneratorObjective};
use burn::config::Config;
use burn::module::Module;
use burn_distill_core::numeric::{kl_divergence_rows, tempered_log_softmax};
use burn_distill_core::{Check, ConfigError, Requirements, Terms, check};

/// Configuration to create a [`DisagreementObjective`] using the [init
/// function](DisagreementObjectiveConfig::init).
#[derive(Config, Debug)]
pub struct DisagreementObjectiveConfig {
    /// Softmax temperature, which divides the logits of student and teacher. Must be positive and
    /// finite. Default: `1.0`, as in the authors' code.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl DisagreementObjectiveConfig {
    /// Creates a [`DisagreementObjective`].
    ///
    /// # Panics
    ///
    /// Panics if the temperature is not positive and finite.
    pub fn init(&self) -> DisagreementObjective {
        self.assert_valid();
        DisagreementObjective {
            temperature: self.temperature,
        }
    }
}

impl Check for DisagreementObjectiveConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// The objective of the generator in zero-shot knowledge transfer (ZSKT): it looks for images about
/// which student and teacher disagree.
///
/// ```text
/// p = softmax(teacher / T),    q = softmax(student / T)
/// L = −mean over images and classes of p (log p − log q)
/// ```
///
/// The gradient flows through both networks. Half precision is widened to single.
///
/// # Reference
///
/// P. Micaelli and A. Storkey, [Zero-shot Knowledge Transfer via Adversarial Belief
/// Matching](https://arxiv.org/abs/1905.09768), NeurIPS 2019. Agrees with `KT_loss_generator` of
/// the authors' ZeroShotKnowledgeTransfer, which divides by the number of classes and has no
/// factor `T²`.
#[doc(alias = "ZSKT")]
#[derive(Module, Debug)]
pub struct DisagreementObjective {
    /// Softmax temperature.
    pub temperature: f64,
}

impl DisagreementObjective {
    /// Name of the term.
    pub const TERM: &'static str = "disagreement";
}

impl GeneratorObjective for DisagreementObjective {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn uses_student(&self) -> bool {
        true
    }

    fn forward(&self, context: &GeneratorContext<'_>) -> Terms {
        let student = context.expect_student();
        let [log_p, log_q] = [context.teacher, student].map(|knowledge| {
            tempered_log_softmax(knowledge.response.rows().logits, self.temperature)
        });
        let [_, classes] = log_p.dims();
        let divergence = kl_divergence_rows(log_p, log_q).mean();
        Terms::one(
            Self::TERM,
            divergence.mul_scalar(1.0 / classes as f64),
            -1.0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use burn_distill_core::Knowledge;

    #[test]
    fn it_is_the_negative_divergence_by_images_and_classes() {
        let device = Device::default();
        let of = |logits: [[f32; 2]; 2]| Knowledge::from_logits(Tensor::from_data(logits, &device));
        // Probabilities of 3/4 and 1/4 against 1/2 each, and a row of agreement.
        let (teacher, student) = (of([[3.0_f32.ln(), 0.0], [5.0, 5.0]]), of([[0.0; 2]; 2]));
        let images = Tensor::<4>::zeros([2, 1, 1, 1], &device);
        let context = GeneratorContext::new(&images, &teacher).with_student(&student);

        let terms = DisagreementObjectiveConfig::new().init().forward(&context);

        let divergence = 0.75 * 1.5_f32.ln() + 0.25 * 0.5_f32.ln();
        let loss: f32 = terms.total().into_scalar();
        assert!((loss + divergence / 4.0).abs() < 1e-6, "{loss}");
        let softer = DisagreementObjectiveConfig::new().with_temperature(4.0);
        let softer: f32 = softer.init().forward(&context).total().into_scalar();
        assert!(softer > loss / 8.0);
    }

    #[test]
    #[should_panic(expected = "let `uses_student` return true")]
    fn the_output_of_the_student_is_needed() {
        let device = Device::default();
        let teacher = Knowledge::from_logits(Tensor::zeros([1, 2], &device));
        let images = Tensor::<4>::zeros([1, 1, 1, 1], &device);
        let objective = DisagreementObjectiveConfig::new().init();
        objective.forward(&GeneratorContext::new(&images, &teacher));
    }
}
