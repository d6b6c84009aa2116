use burn::module::Module;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::{connected_zero, tempered_log_softmax};
use burn_distill_core::{
    Context, CrossEntropyObjective, Knowledge, Objective, PairedRows, Requirements, Targets, Terms,
    WeightSchedule, one_line_display,
};

/// Confidence weighted by teacher max (CWTM): cross-entropy with the targets, in which each sample
/// is weighted by the largest probability of the teacher.
///
/// With `y` the targets,
///
/// ```text
/// w = maxₖ softmax(teacher)ₖ, divided by its sum over the labeled samples
/// L = −Σ over labeled samples of w Σₖ yₖ log softmax(student)ₖ
/// ```
///
/// Only the confidence of the teacher matters: neither whether it is right nor its other
/// probabilities. With a teacher that is equally confident about all samples, the loss is that of
/// [`CrossEntropyObjective`]. Batches without a labeled sample contribute zero. The teacher is a
/// constant: no gradient flows to it.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::Targets;
/// use burn_distill_response::ConfidenceWeighted;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0], [0.0, 20.0]], &device);
/// let teacher = Tensor::<2>::from_data([[30.0, 0.0], [0.0, 0.0]], &device);
/// let targets = Targets::classes(Tensor::from_data([0, 1], &device));
///
/// let loss = ConfidenceWeighted::cross_entropy(student, teacher, &targets);
/// // The teacher is twice as confident about the first: 2/3 ln 2 + 1/3 · 0
/// assert!((loss.into_scalar::<f32>() - 0.462098).abs() < 1e-5);
/// ```
///
/// # Reference
///
/// T. Furlanello, Z. C. Lipton, M. Tschannen, L. Itti and A. Anandkumar, [Born Again Neural
/// Networks](https://arxiv.org/abs/1805.04770), ICML 2018. The authors published no code. This is
/// our interpretation of the paper.
#[doc(alias = "CWTM")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ConfidenceWeighted {
    /// Weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
}

one_line_display!(ConfidenceWeighted: ?weight);

impl ConfidenceWeighted {
    /// Name of the term.
    pub const TERM: &'static str = "confidence-weighted";

    /// Creates the objective with a weight. As the only term and with a weight of 1, it is the
    /// variant that the authors compare with.
    pub fn new(weight: impl Into<WeightSchedule>) -> Self {
        Self {
            weight: weight.into(),
        }
    }

    /// Computes the loss without the weight of the term.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[rows, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ, or if the targets have another number of rows.
    pub fn cross_entropy(student: Tensor<2>, teacher: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let [rows, num_classes] = student.dims();
        assert_shape!(teacher, [rows, num_classes]);
        let labeled = CrossEntropyObjective::cross_entropy_no_reduction(student.clone(), targets);
        let Some((loss, labeled)) = labeled.filter(|_| rows > 0) else {
            return connected_zero(student);
        };

        let log_teacher = tempered_log_softmax(teacher.without_autodiff(), 1.0);
        let confidence: Tensor<1> = log_teacher.max_dim(1).exp().squeeze_dim(1);
        let (loss, confidence) = match labeled {
            None => (loss, confidence),
            // Both are masked, because either may be NaN where there is no label.
            Some(labeled) => {
                let unlabeled = labeled.bool_not();
                (
                    loss.mask_fill(unlabeled.clone(), 0.0),
                    confidence.mask_fill(unlabeled.without_autodiff(), 0.0),
                )
            }
        };
        let confidence = confidence.cast(loss.dtype());
        let sum = confidence.clone().sum();
        // The sum is zero only if no sample is labeled: the likeliest of K classes has at least
        // 1/K.
        let sum = sum.clone().mask_fill(sum.equal_scalar(0.0), 1.0);
        loss.mul(confidence).sum().div(sum)
    }
}

impl Objective<Knowledge, Knowledge> for ConfidenceWeighted {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let rows = PairedRows::new(&context.student.response, &context.teacher.response);
        let targets = context.targets.clone().labeled_where(rows.mask.as_ref());
        let loss = Self::cross_entropy(rows.student, rows.teacher, &targets);
        Terms::scheduled(Self::TERM, loss, &self.weight, &context.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display() {
        let objective = ConfidenceWeighted::new(0.5);
        assert_eq!(
            objective.to_string(),
            "ConfidenceWeighted {weight: Constant(0.5)}"
        );
    }
}
