use crate::numeric::masked_mean;
use crate::{Context, Hard, Knowledge, Objective, Targets, Terms, Wanted, WeightSchedule};
use burn::module::Module;
use burn::tensor::{Bool, Tensor};

/// [`Hard`] where few samples are labelled: what the labelled ones add up to is divided by the
/// number of all samples.
///
/// ```text
/// L = −1 / samples · Σ over labelled samples of Σₖ yₖ log softmax(student)ₖ
/// ```
///
/// As in the authors' mean-teacher: a batch that happens to have fewer labels counts less, so that
/// every label counts the same. Where all samples are labelled it is `Hard`.
///
/// # Reference
///
/// A. Tarvainen and H. Valpola, [Mean teachers are better role
/// models](https://arxiv.org/abs/1703.01780), NIPS 2017.
#[derive(Module, Debug)]
pub struct HardOfAll {
    /// The weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl HardOfAll {
    /// Cross-entropy with that weight.
    pub fn new(weight: impl Into<WeightSchedule>) -> Self {
        Self {
            weight: weight.into(),
        }
    }

    /// The unweighted loss.
    ///
    /// # Shapes
    ///
    /// - student: logits `[rows, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the targets are not of as many rows.
    pub fn cross_entropy(student: Tensor<2>, targets: &Targets) -> Tensor<1> {
        Self::cross_entropy_of(student, targets, None)
    }

    /// Computes the loss of the rows that count alone. Shape of the mask: `[rows]`.
    fn cross_entropy_of(
        student: Tensor<2>,
        targets: &Targets,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        let targets = targets.clone().labelled_where(mask.as_ref());
        let mean = Hard::cross_entropy(student, &targets);
        match targets.hard() {
            Some((_, Some(labelled))) => {
                let share = labelled.without_autodiff().float().cast(mean.dtype());
                // Of no samples, there is no share.
                match share.dims() {
                    [0] => mean,
                    _ => mean.mul(masked_mean(share, mask)),
                }
            }
            _ => mean,
        }
    }
}

impl<T> Objective<Knowledge, T> for HardOfAll {
    fn wanted(&self) -> Wanted {
        Wanted::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, T>) -> Terms {
        let student = context.student.response.rows();
        let loss = Self::cross_entropy_of(student.logits, context.targets, student.mask);
        Terms::one(Hard::TERM, loss, self.weight.at(&context.clock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    fn loss_and_gradient(labelled: Option<[bool; 2]>) -> (f32, TensorData) {
        let device = Device::default().autodiff();
        let student = Tensor::<2>::from_data([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], &device);
        let student = student.require_grad();
        let targets = Targets::Classes {
            classes: Tensor::from_data([1, 2], &device),
            labelled: labelled.map(|labelled| Tensor::from_data(labelled, &device)),
        };

        let loss = HardOfAll::cross_entropy(student.clone(), &targets);
        let grads = loss.clone().backward();

        let gradient = student.grad(&grads).unwrap().into_data();
        (loss.into_scalar::<f32>(), gradient)
    }

    #[test]
    fn a_label_counts_the_same_whatever_the_others_are() {
        // As in the tests of `Hard`: of the first sample ln(e⁻¹ + 1 + e⁻¹·⁵), halved.
        let (loss, gradient) = loss_and_gradient(Some([true, false]));

        assert!((loss - 0.464369 / 2.0).abs() < 1e-5, "{loss}");
        let expected = [[0.115612, -0.185734, 0.070122], [0.0, 0.0, 0.0]];
        gradient.assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(2e-5));
    }

    #[test]
    fn with_every_label_it_is_the_mean() {
        for labelled in [None, Some([true, true])] {
            let (loss, _) = loss_and_gradient(labelled);
            assert!((loss - 0.265126).abs() < 1e-5, "{loss}");
        }
    }

    #[test]
    fn without_a_label_it_is_a_connected_zero() {
        let (loss, gradient) = loss_and_gradient(Some([false, false]));

        assert_eq!(loss, 0.0);
        assert_eq!(gradient, TensorData::from([[0.0_f32; 3]; 2]));

        let device = Device::default();
        let nothing =
            HardOfAll::cross_entropy(Tensor::zeros([2, 3], &device), &Targets::Unlabelled);
        assert_eq!(nothing.into_scalar::<f32>(), 0.0);
        let nobody = Targets::Classes {
            classes: Tensor::zeros([0], &device),
            labelled: Some(Tensor::full([0], true, &device)),
        };
        let nothing = HardOfAll::cross_entropy(Tensor::zeros([0, 3], &device), &nobody);
        assert_eq!(nothing.into_scalar::<f32>(), 0.0);
    }
}
