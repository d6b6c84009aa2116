use super::rows::{TeacherRows, assert_several, assert_teachers, divergences, entry_of_several};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{connected_zero, masked_mean};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, Input, Knowledge, LossEntry, LossTerm, NamedLoss,
    Targets, check, confidence_weights, one_line_display,
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
        assert_several(teachers);
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
    entry_of_several(
        catalog,
        ConfidenceAwareLossConfig::new(),
        ConfidenceAwareLossConfig::init,
    )
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
    }
}
