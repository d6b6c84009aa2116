use crate::LogitLoss;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn_distill_core::numeric::{at_least_f32, masked_mean};
use burn_distill_core::{
    Context, Knowledge, Objective, PairedRows, Requirements, Response, TapSelection, Terms,
    WeightSchedule, one_line_display, reduce_rows,
};

/// Consistency of a second head: a loss between the teacher and a second head of the student, which
/// is kept close to the first head.
///
/// With `tap` the logits of the second head and `K` classes,
///
/// ```text
/// loss: mean of the loss(tap, teacher) over the samples
/// logit-distance: mean over samples and classes of (student − tap)²
/// ```
///
/// The first head is trained on the labels and is not drawn to the teacher where the two disagree;
/// a small weight of the distance ties the heads. The gradient of the distance flows to both heads.
/// The teacher is a constant, of which the first head is used.
///
/// The authors of mean teacher give the distance a weight of 0.01.
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
    /// Name of the tap that holds the logits of the second head.
    pub tap: String,
    /// Loss between the second head and the teacher.
    pub loss: L,
    /// Name of the term of the loss.
    pub name: String,
    /// Weight of the term of the loss.
    #[module(skip)]
    pub weight: WeightSchedule,
    /// Weight of the distance.
    #[module(skip)]
    pub distance: WeightSchedule,
}

one_line_display!(DualHeadConsistency<L>: tap, loss, name, ?weight, ?distance);

impl<L: LogitLoss> DualHeadConsistency<L> {
    /// Name of the term of the distance.
    pub const DISTANCE: &'static str = "logit-distance";

    /// Creates the objective from the tap of the second head, the loss and its weight, and the
    /// weight of the distance.
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
        let rows = PairedRows::new(&second, &context.teacher.response);
        let loss = self.loss.forward_rows(rows.student, rows.teacher);
        let loss = reduce_rows(loss, rows.mask, &Reduction::Mean);

        let heads = PairedRows::new(&context.student.response, &second);
        let difference = at_least_f32(heads.student).sub(at_least_f32(heads.teacher));
        let square = difference.square();
        let distance = match heads.mask {
            Some(mask) => masked_mean(square.mean_dim(1).squeeze_dim::<1>(1), Some(mask)),
            None => masked_mean(square, None),
        };
        let clock = &context.clock;
        Terms::scheduled(&self.name, loss, &self.weight, clock).and(Terms::scheduled(
            Self::DISTANCE,
            distance,
            &self.distance,
            clock,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProbabilityMatchingLossConfig;

    #[test]
    fn display() {
        let loss = ProbabilityMatchingLossConfig::new().init();
        let objective = DualHeadConsistency::new("second", loss, 100.0, 0.01);
        assert_eq!(
            objective.to_string(),
            "DualHeadConsistency {tap: second, loss: ProbabilityMatchingLoss, name: \
             probability-matching, weight: Constant(100.0), distance: Constant(0.01)}"
        );
    }
}
