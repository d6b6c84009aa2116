use crate::numeric::{
    as_precise_as, connected_zero, cross_entropy_rows, tempered_log_softmax, zero_rows,
};
use crate::{
    CatalogueEntry, Context, Input, Knowledge, LossEntry, LossError, Objective, Targets, Terms,
    Wanted, WeightSchedule, reduce_rows,
};
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Bool, Int, Tensor, assert_shape};

/// The hard half of a distillation: cross-entropy with the targets, where there are any.
///
/// ```text
/// L = −mean over labelled samples of Σₖ yₖ log softmax(student)ₖ
/// ```
///
/// A batch without a labelled sample contributes zero. Of a sequence, the tokens that count are the
/// samples.
#[derive(Module, Debug)]
pub struct Hard {
    /// The weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl Hard {
    /// The name of its term.
    pub const TERM: &'static str = "hard";

    /// What a list of losses says about it.
    pub const CATALOGUE: CatalogueEntry = CatalogueEntry {
        name: Self::TERM,
        kind: "targets",
        aliases: &["ce", "cross-entropy"],
        reference: "cross-entropy with the targets",
    };

    /// Returns its entry among the losses of recipes.
    pub fn entry<I: Input>() -> LossEntry<I> {
        LossEntry::new(Self::CATALOGUE, 1.0, |builder| {
            if builder.given_name().is_some() {
                return Err(LossError::of_key(
                    "name",
                    "the term of the targets has no other name: leave it out",
                ));
            }
            builder.only(&["kind", "weight", "views", "clip"])?;
            builder.objective(Self::TERM, |_, weight| Self::new(weight))
        })
    }

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
        match Self::cross_entropy_no_reduction(student.clone(), targets) {
            Some((rows, labelled)) => reduce_rows(rows, labelled, &Reduction::Mean),
            // Connected to the graph, so that a step over unlabelled samples alone still works.
            None => connected_zero(student),
        }
    }

    /// The unweighted loss of every row, and which of them are labelled, if not all; nothing if none
    /// is.
    ///
    /// # Shapes
    ///
    /// - student: logits `[rows, num_classes]`
    /// - output: `[rows]`, of which those without a label are anything
    ///
    /// # Panics
    ///
    /// Panics if the targets are not of as many rows.
    pub fn cross_entropy_no_reduction(
        student: Tensor<2>,
        targets: &Targets,
    ) -> Option<(Tensor<1>, Option<Tensor<1, Bool>>)> {
        let [rows, num_classes] = student.dims();
        let labelled = match targets {
            Targets::Classes { labelled, .. } | Targets::Probabilities { labelled, .. } => {
                labelled.clone()
            }
            _ => None,
        };
        let log_predictions = tempered_log_softmax(zero_rows(student, labelled.as_ref()), 1.0);
        let of_classes = |classes: &Tensor<1, Int>| {
            assert_shape!(classes, [rows]);
            let classes: Tensor<2, Int> = classes.clone().unsqueeze_dim(1);
            let log_predictions = log_predictions.clone();
            log_predictions.gather(1, classes).squeeze_dim(1).neg()
        };
        match targets {
            Targets::Classes { classes, .. } => Some((of_classes(classes), labelled)),
            Targets::Boxes { classes, .. } => Some((of_classes(classes), None)),
            Targets::Probabilities { probabilities, .. } => {
                assert_shape!(probabilities, [rows, num_classes]);
                let probabilities = probabilities.clone().without_autodiff();
                let probabilities = as_precise_as(probabilities, &log_predictions);
                let rows = cross_entropy_rows(probabilities, log_predictions);
                Some((rows, labelled))
            }
            Targets::Maps { .. } | Targets::Unlabelled => None,
        }
    }
}

impl<T> Objective<Knowledge, T> for Hard {
    fn wanted(&self) -> Wanted {
        Wanted::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, T>) -> Terms {
        let student = context.student.response.rows();
        let targets = context
            .targets
            .clone()
            .labelled_where(student.mask.as_ref());
        let loss = Self::cross_entropy(student.logits, &targets);
        Terms::one(Self::TERM, loss, self.weight.at(&context.clock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    const LOGITS: [[f32; 3]; 2] = [[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]];

    fn loss_and_gradient(targets: impl FnOnce(&Device) -> Targets) -> (f32, TensorData) {
        let device = Device::default().autodiff();
        let student = Tensor::<2>::from_data(LOGITS, &device).require_grad();

        let loss = Hard::cross_entropy(student.clone(), &targets(&device));
        let grads = loss.clone().backward();

        let gradient = student.grad(&grads).unwrap().into_data();
        (loss.into_scalar::<f32>(), gradient)
    }

    fn labels(labelled: Option<[bool; 2]>, device: &Device) -> Targets {
        Targets::Classes {
            classes: Tensor::from_data([1, 2], device),
            labelled: labelled.map(|labelled| Tensor::from_data(labelled, device)),
        }
    }

    #[test]
    fn is_the_cross_entropy_with_the_labels() {
        let (loss, gradient) = loss_and_gradient(|device| labels(None, device));

        // By hand: mean of ln(e⁻¹ + 1 + e⁻¹·⁵) and ln(e⁻³ + e⁻⁴ + 1); (softmax − one-hot) / 2.
        assert!((loss - 0.265126).abs() < 1e-5, "{loss}");
        let expected = TensorData::from([
            [0.115612, -0.185734, 0.070122],
            [0.023306, 0.008574, -0.031880],
        ]);
        gradient.assert_approx_eq::<f32>(&expected, Tolerance::absolute(2e-5));
    }

    #[test]
    fn unlabelled_samples_do_not_count() {
        let (loss, gradient) = loss_and_gradient(|device| labels(Some([true, false]), device));

        assert!((loss - 0.464369).abs() < 1e-5, "{loss}");
        let gradient = gradient.try_to_vec::<f32>().unwrap();
        assert_eq!(gradient[3..], [0.0, 0.0, 0.0]);
    }

    #[test]
    fn without_any_label_it_is_a_connected_zero() {
        for (loss, gradient) in [
            loss_and_gradient(|device| labels(Some([false, false]), device)),
            loss_and_gradient(|_| Targets::Unlabelled),
        ] {
            assert_eq!(loss, 0.0);
            assert_eq!(gradient.try_to_vec::<f32>().unwrap(), [0.0; 6]);
        }
    }

    #[test]
    fn one_hot_probabilities_agree_with_labels() {
        let (loss, gradient) = loss_and_gradient(|device| Targets::Probabilities {
            probabilities: Tensor::from_data([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], device),
            labelled: None,
        });
        let (expected, expected_gradient) = loss_and_gradient(|device| labels(None, device));

        assert!((loss - expected).abs() < 1e-6);
        gradient.assert_approx_eq::<f32>(&expected_gradient, Tolerance::absolute(1e-6));
    }
}
