use crate::{
    Context, CrossEntropyObjective, Knowledge, Objective, Requirements, Terms, WeightSchedule,
};
use burn::module::Module;

/// Cross-entropy over the classes of the newest task, whose logits are the last ones.
///
/// ```text
/// L = −1 / N · Σ over labeled samples of log softmax(student[first..])[y − first]
/// ```
///
/// The logits of earlier tasks, the first ones, get no gradient. Samples of earlier classes count
/// as unlabeled.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_distill_core::{Context, Knowledge, NewClassCrossEntropy, Objective, Targets};
///
/// let device = Device::default();
/// // Three old classes and two new ones.
/// let student = Knowledge::from_logits(Tensor::from_data([[9.0, 0.0, 0.0, 1.0, 1.0]], &device));
/// let targets = Targets::classes(Tensor::<1, Int>::from_data([4], &device));
///
/// let objective = NewClassCrossEntropy::new(1.0, 3);
/// let context = Context::of(&student, &()).with_targets(&targets);
/// let loss = objective.forward(&context).total();
///
/// assert!((loss.into_scalar::<f32>() - 0.6931).abs() < 1e-4); // ln 2
/// ```
#[derive(Module, Debug)]
pub struct NewClassCrossEntropy {
    /// Weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
    /// Number of the classes of earlier tasks, and position of the first new class.
    pub first: usize,
}

impl NewClassCrossEntropy {
    /// Creates the objective from its weight and the number of classes of earlier tasks.
    pub fn new(weight: impl Into<WeightSchedule>, first: usize) -> Self {
        Self {
            weight: weight.into(),
            first,
        }
    }
}

/// The term has the name of [`CrossEntropyObjective`].
///
/// # Panics
///
/// The forward pass panics if the student has no class from `first` on.
impl<T> Objective<Knowledge, T> for NewClassCrossEntropy {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, T>) -> Terms {
        let student = context.student.response.rows();
        let [_, classes] = student.logits.dims();
        let first = self.first;
        assert!(
            first < classes,
            "The new classes begin at {first} (counted from 0), but the student has only {classes}: add \
             a head for the new task."
        );
        let targets = context.targets.clone().labeled_where(student.mask.as_ref());
        let loss = CrossEntropyObjective::cross_entropy(
            student.logits.narrow(1, first, classes - first),
            &targets.within_classes(first..classes),
        );
        Terms::one(
            CrossEntropyObjective::TERM,
            loss,
            self.weight.at(&context.clock),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Targets;
    use burn::tensor::{Device, Tensor, TensorData, Tolerance};

    #[test]
    fn only_samples_and_logits_of_new_classes_count() {
        let device = Device::default().autodiff();
        let logits = Tensor::<2>::from_data(
            [
                [5.0, 0.0, 0.0],
                [0.0, 1.0, 1.0],
                [7.0, -3.0, 2.0],
                [0.0, 4.0, 0.0],
            ],
            &device,
        )
        .require_grad();
        let student = Knowledge::from_logits(logits.clone());
        let targets = Targets::labels(&[Some(1), Some(2), Some(0), None], &device);
        let objective = NewClassCrossEntropy::new(0.5, 1);

        let context = Context::of(&student, &()).with_targets(&targets);
        let loss = objective.forward(&context).total();
        let grads = loss.clone().backward();

        // Two samples of new classes, each undecided: ln 2, times the weight.
        assert!((loss.into_scalar::<f32>() - 0.346_574).abs() < 1e-5);
        let expected = TensorData::from([
            [0.0, -0.125, 0.125],
            [0.0, 0.125, -0.125],
            [0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0],
        ]);
        logits
            .grad(&grads)
            .unwrap()
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn without_samples_of_new_classes_the_term_is_zero() {
        let device = Device::default().autodiff();
        let logits = Tensor::<2>::ones([1, 3], &device).require_grad();
        let student = Knowledge::from_logits(logits.clone());
        let targets = Targets::labels(&[Some(0)], &device);

        let context = Context::of(&student, &()).with_targets(&targets);
        let loss = NewClassCrossEntropy::new(1.0, 1).forward(&context).total();
        let grads = loss.clone().backward();

        assert_eq!(loss.into_scalar::<f32>(), 0.0);
        let gradient = logits.grad(&grads).unwrap().into_data();
        gradient.assert_eq(&[[0.0_f32; 3]].into(), false);
    }

    #[test]
    #[should_panic(expected = "begin at 2 (counted from 0), but the student has only 2")]
    fn a_student_without_new_classes_is_refused() {
        let student = Knowledge::from_logits(Tensor::zeros([1, 2], &Device::default()));
        NewClassCrossEntropy::new(1.0, 2).forward(&Context::of(&student, &()));
    }
}
