use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{kl_divergence_rows, tempered_log_softmax};
use burn_distill_core::{
    Check, ConfigError, Context, Objective, PairedRows, Requirements, Terms, WeightSchedule, check,
    reduce_rows,
};

/// The number that is added to each probability of an ensemble.
const OFFSET: f64 = 1e-7;

/// The divergence of a branch or a peer from the ensemble that it is part of, for
/// [`NativeEnsembleDistiller`](crate::NativeEnsembleDistiller) (ONE) and
/// [`GroupLeaderDistiller`](crate::GroupLeaderDistiller) (OKDDip).
///
/// ```text
/// q = softmax(ensemble / T) + 1e-7        whose sum is slightly above 1
/// L = T² · mean over samples of Σₖ qₖ (log qₖ − log softmax(student / T)ₖ)
/// ```
///
/// This is as in the authors' code, so that a student that equals the ensemble has a loss of 2.7e-6
/// with three classes, and not of 0. All samples count, labeled or not.
///
/// Unlike the teacher of other losses, the ensemble is not a constant: gradients flow into it,
/// since its weights may have to be learned. Pass constant logits to prevent that.
///
/// # Reference
///
/// X. Lan, X. Zhu and S. Gong, [Knowledge Distillation by On-the-Fly Native
/// Ensemble](https://arxiv.org/abs/1806.04606), NeurIPS 2018. Agrees with `KLLoss` of the authors'
/// ONE_NeurIPS2018 and with `KL_Loss` of OKDDip-AAAI2020.
#[derive(Module, Debug)]
pub struct EnsembleKl {
    /// Softmax temperature, applied to the logits of student and ensemble.
    pub temperature: f64,
    /// Weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl EnsembleKl {
    /// Name of the term.
    pub const TERM: &'static str = "ensemble";

    /// Creates the objective from a temperature and a weight. The authors of both methods use a
    /// temperature of 3 and a [`SigmoidRampUp`](burn_distill_core::ChangingWeight) to 1 over 80
    /// epochs.
    ///
    /// # Panics
    ///
    /// Panics if the temperature or the weight is [out of its range](Check::check).
    pub fn new(temperature: f64, weight: impl Into<WeightSchedule>) -> Self {
        let objective = Self {
            temperature,
            weight: weight.into(),
        };
        objective.assert_valid();
        objective
    }

    /// Computes the loss without its weight.
    ///
    /// # Shapes
    ///
    /// - student, ensemble: logits `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn divergence(&self, student: Tensor<2>, ensemble: Tensor<2>) -> Tensor<1> {
        reduce_rows(self.rows(student, ensemble), None, &Reduction::Mean)
    }

    /// Computes the divergence of every row. Shape: `[batch_size]`.
    fn rows(&self, student: Tensor<2>, ensemble: Tensor<2>) -> Tensor<1> {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(ensemble, [batch_size, num_classes]);

        let probabilities = tempered_log_softmax(ensemble, self.temperature).exp();
        let log_q = probabilities.add_scalar(OFFSET).log();
        let log_p = tempered_log_softmax(student, self.temperature);
        kl_divergence_rows(log_q, log_p).mul_scalar(self.temperature.powi(2))
    }
}

impl Check for EnsembleKl {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        self.weight.check().map_err(|error| error.under("weight"))
    }
}

impl Objective for EnsembleKl {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let rows = PairedRows::new(&context.student.response, &context.teacher.response);
        let loss = self.rows(rows.student, rows.teacher);
        let loss = reduce_rows(loss, rows.mask, &Reduction::Mean);
        Terms::scheduled(Self::TERM, loss, &self.weight, &context.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use burn_distill_core::{Clock, Knowledge, Response, Taps, Targets};

    const STUDENT: [[f32; 3]; 4] = [
        [2.0, 0.5, -1.0],
        [0.0, 1.0, 0.5],
        [1.0, -1.0, 0.3],
        [0.2, 0.1, 2.0],
    ];
    const ENSEMBLE: [[f32; 3]; 4] = [
        [3.0, 0.0, -1.0],
        [0.5, 2.0, 0.0],
        [2.0, -2.0, 0.0],
        [0.0, 0.0, 3.0],
    ];

    fn value_and_norms(student: Tensor<2>, ensemble: Tensor<2>) -> (f64, f64, f64) {
        let [student, ensemble] = [student, ensemble].map(Tensor::require_grad);
        let loss = EnsembleKl::new(3.0, 1.0).divergence(student.clone(), ensemble.clone());
        let grads = loss.clone().backward();
        let norm = |of: Tensor<2>| {
            let square = of.grad(&grads).unwrap().square().sum();
            square.into_scalar::<f64>().sqrt()
        };
        (loss.into_scalar::<f64>(), norm(student), norm(ensemble))
    }

    #[test]
    fn agrees_with_the_authors_loss() {
        // `KL_Loss` of OKDDip-AAAI2020 with temperature 3, in double precision.
        let device = Device::default().autodiff();
        let (value, gradient, _) = value_and_norms(
            Tensor::from_data(STUDENT, &device),
            Tensor::from_data(ENSEMBLE, &device),
        );

        assert!((value - 0.224203496).abs() < 2e-6, "{value}");
        assert!((gradient - 0.201057952).abs() < 1e-6, "{gradient}");
    }

    #[test]
    fn a_student_that_equals_the_ensemble_has_almost_no_loss() {
        let device = Device::default().autodiff();
        let ensemble = || Tensor::<2>::from_data(ENSEMBLE, &device);

        let (value, gradient, _) = value_and_norms(ensemble(), ensemble());

        // 9 · Σ (q − p) over three classes, to first order.
        assert!((value - 2.7e-6).abs() < 1e-6, "{value}");
        assert!(gradient < 1e-6, "{gradient}");
    }

    #[test]
    fn the_ensemble_has_a_gradient_and_certain_predictions_are_finite() {
        let device = Device::default().autodiff();
        for (student, ensemble) in [
            ([[1.0, 0.0]], [[0.0, 1.0]]),
            ([[1e4, -1e4]], [[-1e4, 1e4]]),
            ([[0.0, 0.0]], [[1e4, 0.0]]),
        ] {
            let (value, student, ensemble) = value_and_norms(
                Tensor::from_data(student, &device),
                Tensor::from_data(ensemble, &device),
            );
            assert!(value.is_finite() && student.is_finite() && ensemble.is_finite());
            assert!(student > 0.0);
        }
        let (_, _, ensemble) = value_and_norms(
            Tensor::from_data(STUDENT, &device),
            Tensor::from_data(ENSEMBLE, &device),
        );
        assert!(ensemble > 0.0);
    }

    #[test]
    #[should_panic(expected = "`temperature` should be above 0, from 1e-6 to 1e9, but is 0")]
    fn temperature_must_be_positive() {
        EnsembleKl::new(0.0, 1.0);
    }

    #[test]
    fn values_out_of_range_are_named() {
        let mut objective = EnsembleKl::new(3.0, 1.0);
        assert!(objective.check().is_ok());
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            objective.temperature = temperature;
            assert_eq!(objective.check().unwrap_err().key, "temperature");
        }
    }

    #[test]
    fn tokens_that_count_on_one_side_only_have_no_influence() {
        let device = Device::default().autodiff();
        let tokens = |rows: Tensor<2>, mask: [bool; 4]| Knowledge {
            response: Response::Tokens {
                logits: rows.reshape([2, 2, 3]),
                mask: Tensor::<1, _>::from_data(mask, &device).reshape([2, 2]),
            },
            taps: Taps::default(),
        };
        let outcome = |anything: f32| {
            let student = Tensor::<2>::from_data(STUDENT, &device).require_grad();
            let ensemble = Tensor::<2>::from_data(ENSEMBLE, &device);
            let ensemble = ensemble.slice_fill([3..4, 0..3], anything);
            let (of_student, of_ensemble) = (
                tokens(student.clone(), [true, false, true, true]),
                tokens(ensemble, [true, true, true, false]),
            );
            let (targets, clock) = (Targets::Unlabeled, Clock::start());
            let context = Context::new(&of_student, &of_ensemble, &targets, &[], clock);
            let loss = EnsembleKl::new(3.0, 1.0).forward(&context).total();
            let grads = loss.clone().backward();
            let gradient = student.grad(&grads).unwrap().into_data();
            (
                loss.into_scalar::<f64>(),
                gradient.iter::<f64>().collect::<Vec<_>>(),
            )
        };

        let (value, gradient) = outcome(f32::NAN);
        assert!(value > 0.0);
        assert_eq!((value, gradient), outcome(0.5));
    }
}
