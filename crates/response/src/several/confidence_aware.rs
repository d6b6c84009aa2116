use super::rows::{TeacherRows, assert_teachers, check_several, divergences};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{connected_zero, masked_mean};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, CrossEntropyObjective, Input, Knowledge, LossEntry,
    LossTerm, NamedLoss, Targets, check, one_line_display,
};

/// Configuration to create a [confidence-aware loss](ConfidenceAwareLoss) using the [init
/// function](ConfidenceAwareLossConfig::init).
#[derive(Config, Debug)]
pub struct ConfidenceAwareLossConfig {
    /// Softmax temperature of student and teachers in the divergence. Must be positive and finite.
    /// Default: `4.0`.
    #[config(default = 4.0)]
    pub temperature: f64,
}

impl ConfidenceAwareLossConfig {
    /// Creates a [confidence-aware loss](ConfidenceAwareLoss) for a number of teachers.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two teachers, or if a value is out of its range.
    pub fn init(&self, teachers: usize) -> ConfidenceAwareLoss {
        self.assert_valid();
        check::at_least("teachers", teachers, 2).unwrap_or_else(|error| panic!("{error}"));
        ConfidenceAwareLoss {
            temperature: self.temperature,
            teachers,
        }
    }
}

impl Check for ConfidenceAwareLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Confidence-aware distillation of several teachers (CA-MKD), on logits: the [soft-target
/// loss](crate::SoftTargetLoss) against each teacher, in which a teacher counts more for a sample
/// the better it predicts its label.
///
/// For every row, with `T` the `temperature`, `M` teachers and `CEₘ` the cross-entropy of
/// `softmax(teacherₘ)` with the target,
///
/// ```text
/// wₘ = (1 − exp(CEₘ) / Σₖ exp(CEₖ)) / (M − 1)
/// L  = T² / M · Σₘ wₘ KL(softmax(teacherₘ / T) ‖ softmax(student / T))
/// ```
///
/// and the loss of a batch is the mean of its rows. The weights sum to one; the further factor `1 /
/// M` is that of the public code. In rows without a label, all teachers count equally. No gradient
/// flows to the teachers. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::Targets;
/// use burn_distill_response::ConfidenceAwareLossConfig;
///
/// let device = Device::default();
/// let logits = |row: [f32; 2]| Tensor::<2>::from_data([row], &device);
/// let targets = Targets::classes(Tensor::from_data([0], &device));
///
/// // The second teacher is wrong and has no weight; the first has the weight 1, halved.
/// let loss = ConfidenceAwareLossConfig::new().with_temperature(1.0).init(2);
/// let teachers = vec![logits([50.0, 0.0]), logits([0.0, 50.0])];
/// let value = loss.forward(logits([0.0, 0.0]), teachers, &targets, None);
/// assert!((value.into_scalar::<f32>() - 0.5 * 2.0_f32.ln()).abs() < 1e-6);
/// ```
///
/// # Reference
///
/// H. Zhang, D. Chen and C. Wang, [Confidence-Aware Multi-Teacher Knowledge
/// Distillation](https://arxiv.org/abs/2201.00007), ICASSP 2022. Agrees with the first loss of
/// `CAMKD` in the authors' code.
#[doc(alias = "CA-MKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ConfidenceAwareLoss {
    /// Softmax temperature of student and teachers in the divergence.
    pub temperature: f64,
    /// Number of teachers.
    pub teachers: usize,
}

one_line_display!(ConfidenceAwareLoss: temperature, teachers);

impl ConfidenceAwareLoss {
    /// Computes the loss of a batch.
    ///
    /// # Shapes
    ///
    /// - student, each teacher: `[rows, num_classes]`
    /// - mask: `[rows]`, true for the rows that count; `None` if all rows count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the expected one, or if the targets have
    /// another number of rows.
    pub fn forward(
        &self,
        student: Tensor<2>,
        teachers: Vec<Tensor<2>>,
        targets: &Targets,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        assert_teachers(&student, self.teachers, &teachers);
        if student.dims()[0] == 0 {
            return connected_zero(student);
        }
        let divergences = divergences(student, &teachers, self.temperature);
        let teachers = teachers.into_iter().map(Tensor::without_autodiff).collect();
        let rows = match confidence_weights(teachers, targets) {
            Some(weights) => divergences
                .clone()
                .mul(weights.cast(divergences.dtype()))
                .mean_dim(1),
            None => divergences.mean_dim(1).div_scalar(self.teachers as f64),
        };
        masked_mean(rows.squeeze_dim(1), mask)
    }
}

/// Returns the weight of each of several classifiers for every row, which is larger the better it
/// predicts the target; `None` if no row is labeled.
///
/// ```text
/// wₘ = (1 − exp(CEₘ) / Σₖ exp(CEₖ)) / (M − 1)
/// ```
///
/// In rows without a label, and if there is only one classifier, the weights are equal. Gradients
/// flow to logits on autodiff.
///
/// # Shapes
///
/// - each of the logits: `[rows, num_classes]`
/// - output: `[rows, classifiers]`
///
/// # Panics
///
/// Panics if there are no logits, or if the targets have another number of rows.
pub fn confidence_weights(logits: Vec<Tensor<2>>, targets: &Targets) -> Option<Tensor<2>> {
    let count = logits.len();
    let mut known = None;
    let columns = logits.into_iter().map(|logits| {
        let (rows, labeled) = CrossEntropyObjective::cross_entropy_no_reduction(logits, targets)?;
        known = labeled;
        Some(rows.unsqueeze_dim::<2>(1))
    });
    let columns: Vec<_> = columns.collect::<Option<_>>()?;
    if count == 1 {
        return columns.first().map(|column| column.ones_like());
    }
    let weights = softmax(Tensor::cat(columns, 1), 1)
        .neg()
        .add_scalar(1.0)
        .div_scalar((count - 1) as f64);
    Some(match known {
        None => weights,
        Some(labeled) => {
            let unlabeled = labeled.bool_not().unsqueeze_dim::<2>(1);
            weights.mask_fill(unlabeled.repeat_dim(1, count), 1.0 / count as f64)
        }
    })
}

impl NamedLoss for ConfidenceAwareLoss {
    fn name(&self) -> &'static str {
        "confidence-aware"
    }
}

impl LossTerm<Knowledge, Vec<Knowledge>> for ConfidenceAwareLoss {
    fn value(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Tensor<1> {
        let rows = TeacherRows::of(context);
        let targets = context.targets.clone().labeled_where(rows.mask.as_ref());
        self.forward(rows.student, rows.teachers, &targets, rows.mask)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "confidence-aware",
        abbreviation: "CA-MKD",
        about: "weights several teachers by their predictions of the label",
        kind: "response",
        aliases: &["ca-mkd"],
        reference: "Zhang, Chen and Wang, Confidence-Aware Multi-Teacher Knowledge Distillation, \
            ICASSP 2022",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let teachers = builder.contexts().len();
        let config = builder.configure(ConfidenceAwareLossConfig::new())?;
        check_several(teachers)?;
        builder.joint_term(config.init(teachers))
    })
    .for_all_teachers()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn all_teachers_count_equally_where_there_is_no_label() {
        let device = Device::default();
        let logits = |row: [f32; 3]| Tensor::<2>::from_data([row, row], &device);
        let teachers = || vec![logits([5.0, 0.0, 1.0]), logits([0.0, 5.0, -1.0])];
        let loss = ConfidenceAwareLossConfig::new().init(2);
        let student = logits([1.0, 0.0, 0.0]);
        let value = |targets: &Targets| -> f32 {
            loss.forward(student.clone(), teachers(), targets, None)
                .into_scalar()
        };

        let classes = Tensor::from_data([0, 0], &device);
        let partly = Targets::Classes {
            classes: classes.clone(),
            labeled: Some(Tensor::from_data([true, false], &device)),
        };
        let (all, none) = (
            value(&Targets::classes(classes)),
            value(&Targets::Unlabeled),
        );
        assert!((value(&partly) - 0.5 * (all + none)).abs() < 1e-6);
        let weights = confidence_weights(teachers(), &partly).unwrap().into_data();
        let weights: Vec<f32> = weights.iter().collect();
        assert!(weights[0] > 0.99 && (weights[0] + weights[1] - 1.0).abs() < 1e-6);
        assert_eq!(weights[2..], [0.5, 0.5]);
    }
}
