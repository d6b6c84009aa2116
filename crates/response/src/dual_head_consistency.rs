use crate::LogitLoss;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn_distill_core::numeric::{at_least_f32, masked_mean};
use burn_distill_core::{
    Context, Knowledge, Objective, PairedRows, Requirements, Response, TapSelection, Terms,
    WeightSchedule, one_line_display, reduce_rows,
};

/// A loss between the response of the teacher and a second head of the student, which is held near
/// to the first.
///
/// With `tap` the logits of the second head and `K` classes,
///
/// ```text
/// loss: mean of the loss(tap, teacher) over the samples
/// logit-distance: mean over samples and classes of (student − tap)²
/// ```
///
/// The first head learns from the labels and is not pulled to the teacher where the two disagree; a
/// small weight of the distance ties the heads. It has gradients to both of them. The teacher is a
/// constant, by its first head.
///
/// The authors of mean teacher weigh the distance by 0.01.
///
/// # Example
///
/// ```
/// use burn_distill_core::ChangingWeight;
/// use burn_distill_response::{ProbabilityMatchingLossConfig, DualHeadConsistency};
///
/// let ramp = ChangingWeight::sigmoid_ramp_up(100.0, 5);
/// let consistency = ProbabilityMatchingLossConfig::new().init();
/// let objective = DualHeadConsistency::new("consistency", consistency, ramp, 0.01);
///
/// assert_eq!(objective.name, "probability-matching");
/// ```
///
/// # Reference
///
/// A. Tarvainen and H. Valpola, [Mean teachers are better role
/// models](https://arxiv.org/abs/1703.01780), NIPS 2017. Agrees with the `logit_distance_cost` and
/// `symmetric_mse_loss` of the authors' mean-teacher.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct DualHeadConsistency<L> {
    /// The tap of the logits of the second head.
    pub tap: String,
    /// What compares it with the teacher.
    pub loss: L,
    /// The name of the term.
    pub name: String,
    /// The weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
    /// The weight of the distance.
    #[module(skip)]
    pub distance: WeightSchedule,
}

one_line_display!(DualHeadConsistency<L>: tap, loss, name, ?weight, ?distance);

impl<L: LogitLoss> DualHeadConsistency<L> {
    /// The name of the term of the distance.
    pub const DISTANCE: &'static str = "logit-distance";

    /// That loss of the head at that tap with that weight, and that of the distance.
    pub fn new(
        tap: impl Into<String>,
        loss: L,
        weight: impl Into<WeightSchedule>,
        distance: impl Into<WeightSchedule>,
    ) -> Self {
        Self {
            tap: tap.into(),
            name: loss.name().to_string(),
            loss,
            weight: weight.into(),
            distance: distance.into(),
        }
    }
}

impl<L: LogitLoss> Objective<Knowledge, Knowledge> for DualHeadConsistency<L> {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named([&self.tap]),
            ..Requirements::default()
        }
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let second = context.student.taps.expect(&self.tap).into_vectors();
        let second = Response::Classes(second);
        let rows = PairedRows::of(&second, &context.teacher.response);
        let loss = self.loss.forward_rows(rows.student, rows.teacher);
        let loss = reduce_rows(loss, rows.mask, &Reduction::Mean);

        let heads = PairedRows::of(&context.student.response, &second);
        let difference = at_least_f32(heads.student).sub(at_least_f32(heads.teacher));
        let square = difference.square();
        let distance = match heads.mask {
            Some(mask) => masked_mean(square.mean_dim(1).squeeze_dim::<1>(1), Some(mask)),
            None => masked_mean(square, None),
        };
        Terms::one(&self.name, loss, self.weight.at(&context.clock)).and(Terms::one(
            Self::DISTANCE,
            distance,
            self.distance.at(&context.clock),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{small_student, small_teacher};
    use crate::{ProbabilityMatchingLoss, ProbabilityMatchingLossConfig, SoftTargetLossConfig};
    use burn::tensor::{Device, Tensor};
    use burn_distill_core::{Clock, Tap, TapRecorder, Taps, Targets};

    fn two_headed() -> DualHeadConsistency<ProbabilityMatchingLoss> {
        let loss = ProbabilityMatchingLossConfig::new().init();
        DualHeadConsistency::new("second", loss, 100.0, 0.01)
    }

    fn knowledge(response: &Tensor<2>, second: Option<&Tensor<2>>) -> Knowledge {
        let mut taps = TapRecorder::new(TapSelection::All);
        if let Some(second) = second {
            taps.offer("second", || Tap::Vector(second.clone()));
        }
        Knowledge {
            response: Response::Classes(response.clone()),
            taps: taps.finish().unwrap_or_else(|_| Taps::default()),
        }
    }

    fn close(actual: f64, expected: f64) -> bool {
        (actual - expected).abs() < 3e-6 * expected.abs()
    }

    // Values: `softmax_mse_loss` and `symmetric_mse_loss` of mean-teacher, divided by the samples;
    // norms of the gradients: scripts/response.py.
    #[test]
    fn matches_the_reference_implementation() {
        let device = Device::default().autodiff();
        let (first, second) = (
            small_teacher(&device).require_grad(),
            small_student(&device).require_grad(),
        );
        let teacher = small_teacher(&device).require_grad();
        let student = knowledge(&first, Some(&second));
        let taught = knowledge(&teacher, None);
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &taught, &targets, &[], Clock::start());

        let terms = two_headed().forward(&context);
        let values: Vec<_> = terms
            .iter()
            .map(|term| {
                (
                    term.name.clone(),
                    term.weight,
                    term.value.clone().into_scalar::<f64>(),
                )
            })
            .collect();
        assert_eq!(
            (values[0].0.as_str(), values[0].1),
            ("probability-matching", 100.0)
        );
        assert_eq!(
            (values[1].0.as_str(), values[1].1),
            ("logit-distance", 0.01)
        );
        assert!(
            close(values[0].2, 0.022780948) && close(values[1].2, 0.490833333),
            "{values:?}"
        );

        let grads = terms.into_iter().nth(1).unwrap().value.backward();
        let norm = |tensor: &Tensor<2>| {
            let gradient = tensor.grad(&grads).unwrap();
            gradient.square().sum().into_scalar::<f64>().sqrt()
        };
        assert!(close(norm(&first), 0.404488703) && close(norm(&second), 0.404488703));
        assert!(teacher.grad(&grads).is_none());
    }

    #[test]
    fn the_first_head_is_not_pulled_to_the_teacher() {
        let device = Device::default().autodiff();
        let (first, second) = (
            small_student(&device).require_grad(),
            small_student(&device).require_grad(),
        );
        let student = knowledge(&first, Some(&second));
        let taught = knowledge(&small_teacher(&device), None);
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &taught, &targets, &[], Clock::start());
        let loss = SoftTargetLossConfig::new().with_temperature(1.0).init();

        let terms = DualHeadConsistency::new("second", loss, 1.0, 0.0).forward(&context);
        let value = terms.iter().next().unwrap().value.clone();
        let grads = value.clone().backward();

        // `softmax_kl_loss` of mean-teacher, divided by the samples.
        assert!(close(value.into_scalar::<f64>(), 0.116988909));
        assert!(first.grad(&grads).is_none() && second.grad(&grads).is_some());
    }

    #[test]
    fn display() {
        assert_eq!(
            two_headed().to_string(),
            "TwoHeaded {tap: second, loss: ProbabilityMatchingLoss, name: \
             probability-matching, weight: Constant(100.0), distance: Constant(0.01)}"
        );
    }
}
