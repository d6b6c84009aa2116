use crate::numeric::{
    as_precise_as, connected_zero, cross_entropy_rows, masked_mean, tempered_log_softmax, zero_rows,
};
use crate::{
    CatalogEntry, Context, Input, Knowledge, LossEntry, LossError, Objective, Requirements,
    Targets, Terms, WeightSchedule, reduce_rows,
};
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Bool, Int, Tensor, assert_shape};

/// Cross-entropy between the student's predictions and the targets of the labeled samples.
///
/// ```text
/// L = −1 / denominator · Σ over labeled samples of Σₖ yₖ log softmax(student)ₖ
/// ```
///
/// By default, the denominator is the number of labeled samples, so that the loss is their mean;
/// see [`LossDenominator`]. A batch without a labeled sample contributes zero. The samples of a
/// sequence are the tokens that its mask selects.
#[derive(Module, Debug)]
pub struct CrossEntropyObjective {
    /// Weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
    /// Number of samples that the sum over the labeled ones is divided by.
    #[module(skip)]
    pub denominator: LossDenominator,
}

/// Number of samples that the sum of a [`CrossEntropyObjective`] is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossDenominator {
    /// The number of labeled samples.
    #[default]
    Labeled,
    /// The number of all samples, labeled or not. Then every label has the same weight, and a batch
    /// with fewer labels has a smaller loss.
    ///
    /// Reference: A. Tarvainen and H. Valpola, [Mean teachers are better role
    /// models](https://arxiv.org/abs/1703.01780), NIPS 2017, whose code divides by this number.
    All,
}

impl CrossEntropyObjective {
    /// Name of the term.
    pub const TERM: &'static str = "cross-entropy";

    /// Name, aliases and reference for lists of losses.
    pub const CATALOG: CatalogEntry = CatalogEntry {
        name: Self::TERM,
        abbreviation: "CE",
        about: "learns the targets of the labeled samples",
        kind: "targets",
        aliases: &["ce", "hard"],
        reference: "cross-entropy with the targets",
    };

    /// Returns the entry of the objective for lists and recipes.
    pub fn entry<I: Input>() -> LossEntry<I> {
        LossEntry::new(Self::CATALOG, 1.0, |builder| {
            if builder.given_name().is_some() {
                return Err(LossError::of_key(
                    "name",
                    "the term of the cross-entropy cannot be renamed: remove the key",
                ));
            }
            builder.only(&["kind", "weight", "views", "clip"])?;
            builder.objective(Self::TERM, |_, weight| Self::new(weight))
        })
        .for_labels()
    }

    /// Creates a cross-entropy objective with the given weight.
    pub fn new(weight: impl Into<WeightSchedule>) -> Self {
        Self {
            weight: weight.into(),
            denominator: LossDenominator::default(),
        }
    }

    /// Sets the number of samples that the sum over the labeled ones is divided by.
    pub fn with_denominator(mut self, denominator: LossDenominator) -> Self {
        self.denominator = denominator;
        self
    }

    /// Computes the unweighted mean over the labeled samples.
    ///
    /// # Shapes
    ///
    /// - student: logits `[rows, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the targets have another number of rows than the logits.
    pub fn cross_entropy(student: Tensor<2>, targets: &Targets) -> Tensor<1> {
        match Self::cross_entropy_no_reduction(student.clone(), targets) {
            Some((rows, labeled)) => reduce_rows(rows, labeled, &Reduction::Mean),
            // Connected to the graph, so that a step over only unlabeled samples still works.
            None => connected_zero(student),
        }
    }

    /// Computes the unweighted loss of every row. Returns it with the mask of the labeled rows,
    /// which is `None` if all rows are labeled. Returns `None` if no row is labeled.
    ///
    /// # Shapes
    ///
    /// - student: logits `[rows, num_classes]`
    /// - output: `[rows]`; values of unlabeled rows are undefined
    ///
    /// # Panics
    ///
    /// Panics if the targets have another number of rows than the logits.
    pub fn cross_entropy_no_reduction(
        student: Tensor<2>,
        targets: &Targets,
    ) -> Option<(Tensor<1>, Option<Tensor<1, Bool>>)> {
        let [rows, num_classes] = student.dims();
        let labeled = match targets {
            Targets::Classes { labeled, .. } | Targets::Probabilities { labeled, .. } => {
                labeled.clone()
            }
            _ => None,
        };
        let log_predictions = tempered_log_softmax(zero_rows(student, labeled.as_ref()), 1.0);
        let of_classes = |classes: &Tensor<1, Int>| {
            assert_shape!(classes, [rows]);
            let classes: Tensor<2, Int> = classes.clone().unsqueeze_dim(1);
            let log_predictions = log_predictions.clone();
            log_predictions.gather(1, classes).squeeze_dim(1).neg()
        };
        match targets {
            Targets::Classes { classes, .. } => Some((of_classes(classes), labeled)),
            Targets::Boxes { classes, .. } => Some((of_classes(classes), None)),
            Targets::Probabilities { probabilities, .. } => {
                assert_shape!(probabilities, [rows, num_classes]);
                let probabilities = probabilities.clone().without_autodiff();
                let probabilities = as_precise_as(probabilities, &log_predictions);
                let rows = cross_entropy_rows(probabilities, log_predictions);
                Some((rows, labeled))
            }
            Targets::Maps { .. } | Targets::Unlabeled => None,
        }
    }
}

impl<T> Objective<Knowledge, T> for CrossEntropyObjective {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, T>) -> Terms {
        let student = context.student.response.rows();
        let targets = context.targets.clone().labeled_where(student.mask.as_ref());
        let loss = match self.denominator {
            LossDenominator::Labeled => Self::cross_entropy(student.logits, &targets),
            LossDenominator::All => over_all_samples(student.logits, &targets, student.mask),
        };
        Terms::scheduled(Self::TERM, loss, &self.weight, &context.clock)
    }
}

/// Computes the sum over the labeled samples, divided by the number of samples in the mask. Shape
/// of the mask: `[rows]`.
fn over_all_samples(
    student: Tensor<2>,
    targets: &Targets,
    mask: Option<Tensor<1, Bool>>,
) -> Tensor<1> {
    let mean = CrossEntropyObjective::cross_entropy(student, targets);
    match targets.class_labels() {
        Some((_, Some(labeled))) => {
            let share = labeled.without_autodiff().float().cast(mean.dtype());
            // The fraction of labeled samples is undefined without samples.
            match share.dims() {
                [0] => mean,
                _ => mean.mul(masked_mean(share, mask)),
            }
        }
        _ => mean,
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

        let loss = CrossEntropyObjective::cross_entropy(student.clone(), &targets(&device));
        let grads = loss.clone().backward();

        let gradient = student.grad(&grads).unwrap().into_data();
        (loss.into_scalar::<f32>(), gradient)
    }

    fn labels(labeled: Option<[bool; 2]>, device: &Device) -> Targets {
        Targets::Classes {
            classes: Tensor::from_data([1, 2], device),
            labeled: labeled.map(|labeled| Tensor::from_data(labeled, device)),
        }
    }

    #[test]
    fn it_is_the_cross_entropy_with_the_labels() {
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
    fn unlabeled_samples_do_not_count() {
        let (loss, gradient) = loss_and_gradient(|device| labels(Some([true, false]), device));

        assert!((loss - 0.464369).abs() < 1e-5, "{loss}");
        let gradient = gradient.try_to_vec::<f32>().unwrap();
        assert_eq!(gradient[3..], [0.0, 0.0, 0.0]);
    }

    #[test]
    fn without_any_label_it_is_a_connected_zero() {
        for (loss, gradient) in [
            loss_and_gradient(|device| labels(Some([false, false]), device)),
            loss_and_gradient(|_| Targets::Unlabeled),
        ] {
            assert_eq!(loss, 0.0);
            assert_eq!(gradient.try_to_vec::<f32>().unwrap(), [0.0; 6]);
        }
    }

    #[test]
    fn one_hot_probabilities_agree_with_labels() {
        let (loss, gradient) = loss_and_gradient(|device| Targets::Probabilities {
            probabilities: Tensor::from_data([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], device),
            labeled: None,
        });
        let (expected, expected_gradient) = loss_and_gradient(|device| labels(None, device));

        assert!((loss - expected).abs() < 1e-6);
        gradient.assert_approx_eq::<f32>(&expected_gradient, Tolerance::absolute(1e-6));
    }

    fn over_all(labeled: Option<[bool; 2]>) -> (f32, TensorData) {
        let device = Device::default().autodiff();
        let student = Tensor::<2>::from_data(LOGITS, &device).require_grad();

        let loss = over_all_samples(student.clone(), &labels(labeled, &device), None);
        let grads = loss.clone().backward();

        let gradient = student.grad(&grads).unwrap().into_data();
        (loss.into_scalar::<f32>(), gradient)
    }

    #[test]
    fn over_all_samples_every_label_has_the_same_weight() {
        // The loss of the first sample ln(e⁻¹ + 1 + e⁻¹·⁵), halved.
        let (loss, gradient) = over_all(Some([true, false]));

        assert!((loss - 0.464369 / 2.0).abs() < 1e-5, "{loss}");
        let expected = [[0.115612, -0.185734, 0.070122], [0.0, 0.0, 0.0]];
        gradient.assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(2e-5));
    }

    #[test]
    fn over_all_samples_with_every_label_it_is_the_mean() {
        for labeled in [None, Some([true, true])] {
            let (loss, _) = over_all(labeled);
            assert!((loss - 0.265126).abs() < 1e-5, "{loss}");
        }
    }

    #[test]
    fn over_all_samples_without_a_label_it_is_a_connected_zero() {
        let (loss, gradient) = over_all(Some([false, false]));

        assert_eq!(loss, 0.0);
        assert_eq!(gradient, TensorData::from([[0.0_f32; 3]; 2]));

        let device = Device::default();
        let nothing = over_all_samples(Tensor::zeros([2, 3], &device), &Targets::Unlabeled, None);
        assert_eq!(nothing.into_scalar::<f32>(), 0.0);
        let empty = Targets::Classes {
            classes: Tensor::zeros([0], &device),
            labeled: Some(Tensor::full([0], true, &device)),
        };
        let nothing = over_all_samples(Tensor::zeros([0, 3], &device), &empty, None);
        assert_eq!(nothing.into_scalar::<f32>(), 0.0);
    }
}
