use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{kl_divergence_rows, tempered_log_softmax};
use burn_distill_core::{Check, ConfigError, check, one_line_display, reduce_rows};

/// The divergence between two predictions of a network for the same samples, for
/// [`DropoutDistiller`](crate::DropoutDistiller) (SD-Dropout).
///
/// ```text
/// p₁ = softmax(first / T)
/// p₂ = softmax(second / T)
/// L = T² · mean over samples of Σₖ p₂ₖ (log p₂ₖ − log p₁ₖ) + Σₖ p₁ₖ (log p₁ₖ − log p₂ₖ)
/// ```
///
/// Neither prediction is a constant: both directions have gradients for both predictions, including
/// the target. With `detach`, the target of each direction is a constant. All samples count,
/// labeled or not.
///
/// # Reference
///
/// H. Lee, Y. Park, H. Seo and M. Kang, [Self-knowledge Distillation via
/// Dropout](https://arxiv.org/abs/2208.05642), 2022. Agrees with `SD_Dropout` of the authors' code.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct DropoutDivergence {
    /// Softmax temperature, applied to both logits.
    pub temperature: f64,
    /// Whether the target of each direction is a constant.
    pub detach: bool,
}

one_line_display!(DropoutDivergence: temperature, detach);

impl DropoutDivergence {
    /// Name of the term.
    pub const TERM: &'static str = "dropout";

    /// Creates the divergence from a temperature.
    ///
    /// # Panics
    ///
    /// Panics if the temperature is [out of its range](Check::check).
    pub fn new(temperature: f64) -> Self {
        let divergence = Self {
            temperature,
            detach: false,
        };
        divergence.assert_valid();
        divergence
    }

    /// Sets whether the target of each direction is a constant. Default: false.
    pub fn with_detach(mut self, detach: bool) -> Self {
        self.detach = detach;
        self
    }

    /// Computes the loss without its weight.
    ///
    /// # Shapes
    ///
    /// - first, second: logits `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let [batch_size, num_classes] = first.dims();
        assert_shape!(second, [batch_size, num_classes]);

        let [first, second] =
            [first, second].map(|logits| tempered_log_softmax(logits, self.temperature));
        let towards = |target: &Tensor<2>, prediction: &Tensor<2>| {
            let target = match self.detach {
                true => target.clone().without_autodiff(),
                false => target.clone(),
            };
            kl_divergence_rows(target, prediction.clone())
        };
        let rows = towards(&second, &first).add(towards(&first, &second));
        let rows = rows.mul_scalar(self.temperature.powi(2));
        reduce_rows(rows, None, &Reduction::Mean)
    }
}

impl Check for DropoutDivergence {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    const FIRST: [[f64; 3]; 2] = [[2.0, 0.5, -1.0], [0.0, 1.0, 0.5]];
    const SECOND: [[f64; 3]; 2] = [[3.0, 0.0, -1.0], [0.5, 2.0, 0.0]];

    fn softmax(logits: [f64; 3], temperature: f64) -> [f64; 3] {
        let raised = logits.map(|logit| (logit / temperature).exp());
        raised.map(|part| part / raised.iter().sum::<f64>())
    }

    /// Computes `T² · Σ (KL(p₂‖p₁) + KL(p₁‖p₂)) / B` by the formula, with targets from separate
    /// logits.
    fn by_hand(
        [first, second]: [[[f64; 3]; 2]; 2],
        [first_target, second_target]: [[[f64; 3]; 2]; 2],
        temperature: f64,
    ) -> f64 {
        let kl = |p: [f64; 3], q: [f64; 3]| -> f64 {
            p.iter().zip(q).map(|(p, q)| p * (p.ln() - q.ln())).sum()
        };
        let of = |logits| softmax(logits, temperature);
        let rows = (0..2).map(|row| {
            kl(of(second_target[row]), of(first[row])) + kl(of(first_target[row]), of(second[row]))
        });
        rows.sum::<f64>() * temperature.powi(2) / 2.0
    }

    /// Returns the value and both gradients.
    fn outcome(divergence: &DropoutDivergence) -> (f64, [Vec<f64>; 2]) {
        let device = Device::default().autodiff();
        let both = [FIRST, SECOND].map(|logits| Tensor::<2>::from_data(logits, &device));
        let [first, second] = both.map(Tensor::require_grad);
        let loss = divergence.forward(first.clone(), second.clone());
        let grads = loss.clone().backward();
        let gradient = |of: Tensor<2>| of.grad(&grads).unwrap().into_data().iter().collect();
        (loss.into_scalar(), [gradient(first), gradient(second)])
    }

    fn moved(logits: [[f64; 3]; 2], index: usize, by: f64) -> [[f64; 3]; 2] {
        let mut logits = logits;
        logits[index / 3][index % 3] += by;
        logits
    }

    #[test]
    fn both_directions_have_gradients_for_both_predictions_unless_detached() {
        const APART: f64 = 1e-5;
        for detach in [false, true] {
            let (value, gradients) = outcome(&DropoutDivergence::new(3.0).with_detach(detach));

            let both = [FIRST, SECOND];
            let expected = by_hand(both, both, 3.0);
            assert!((value - expected).abs() < 1e-5, "{value} is not {expected}");
            for (which, gradient) in gradients.iter().enumerate() {
                for (index, gradient) in gradient.iter().enumerate() {
                    let at = |by: f64| {
                        let mut predictions = both;
                        predictions[which] = moved(both[which], index, by);
                        let targets = if detach { both } else { predictions };
                        by_hand(predictions, targets, 3.0)
                    };
                    let slope = (at(APART) - at(-APART)) / (2.0 * APART);
                    assert!((gradient - slope).abs() < 1e-4, "{gradient} is not {slope}");
                }
            }
        }
    }

    #[test]
    fn equal_predictions_have_no_divergence() {
        let device = Device::default().autodiff();
        let logits = Tensor::<2>::from_data(FIRST, &device).require_grad();

        let loss = DropoutDivergence::new(3.0).forward(logits.clone(), logits.clone());
        let grads = loss.clone().backward();

        assert!(loss.into_scalar::<f64>().abs() < 1e-6);
        let gradient = logits.grad(&grads).unwrap().into_data();
        let none = TensorData::from([[0.0_f32; 3]; 2]);
        gradient.assert_approx_eq::<f32>(&none, Tolerance::absolute(1e-6));
    }

    #[test]
    fn certain_predictions_and_empty_batches_are_finite() {
        let device = Device::default().autodiff();
        for (first, second) in [([[1e4, -1e4]], [[-1e4, 1e4]]), ([[0.0, 0.0]], [[1e4, 0.0]])] {
            let both = [first, second].map(|logits| Tensor::<2>::from_data(logits, &device));
            let [first, second] = both.map(Tensor::require_grad);
            let loss = DropoutDivergence::new(3.0).forward(first.clone(), second.clone());
            let grads = loss.clone().backward();
            assert!(loss.into_scalar::<f64>().is_finite());
            for of in [first, second] {
                let gradient = of.grad(&grads).unwrap().into_data();
                assert!(gradient.iter::<f64>().all(f64::is_finite));
            }
        }
        let none = Tensor::<2>::zeros([0, 3], &device).require_grad();
        let loss = DropoutDivergence::new(3.0).forward(none.clone(), none);
        assert_eq!(loss.into_scalar::<f64>(), 0.0);
    }

    #[test]
    #[should_panic(expected = "`temperature` should be above 0, from 1e-6 to 1e9, but is 0")]
    fn temperature_must_be_positive() {
        DropoutDivergence::new(0.0);
    }

    #[test]
    fn display() {
        assert_eq!(
            DropoutDivergence::new(3.0).to_string(),
            "DropoutDivergence {temperature: 3, detach: false}"
        );
    }
}
