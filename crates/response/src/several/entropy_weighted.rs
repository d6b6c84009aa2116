use super::rows::{TeacherRows, assert_several, assert_teachers, divergences, entry_of_several};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{
    connected_zero, cross_entropy_rows, masked_mean, tempered_log_softmax,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, Input, Knowledge, LossEntry, LossTerm, NamedLoss,
    check, one_line_display,
};

/// Configuration to create an [entropy-weighted loss](EntropyWeightedLoss) using the [init
/// function](EntropyWeightedLossConfig::init).
#[derive(Config, Debug)]
pub struct EntropyWeightedLossConfig {
    /// Softmax temperature of student and teachers in the divergence. Must be positive and finite.
    /// Default: `4.0`.
    #[config(default = 4.0)]
    pub temperature: f64,
}

impl EntropyWeightedLossConfig {
    /// Creates an [entropy-weighted loss](EntropyWeightedLoss) for a number of teachers.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two teachers, or if a value is out of its range.
    pub fn init(&self, teachers: usize) -> EntropyWeightedLoss {
        self.assert_valid();
        assert_several(teachers);
        EntropyWeightedLoss {
            temperature: self.temperature,
            teachers,
        }
    }
}

impl Check for EntropyWeightedLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Entropy-based distillation of several teachers (EBKD): the [soft-target
/// loss](crate::SoftTargetLoss) against each teacher, in which a teacher counts more for a sample
/// the more certain it is.
///
/// For every row, with `T` the `temperature`, `M` teachers and `Hₘ` the entropy of
/// `softmax(teacherₘ)`,
///
/// ```text
/// wₘ = 1 − Hₘ / Σₖ Hₖ
/// L  = T² / M · Σₘ wₘ KL(softmax(teacherₘ / T) ‖ softmax(student / T))
/// ```
///
/// and the loss of a batch is the mean of its rows. The weights sum to `M − 1`, as in the public
/// code. If all teachers are certain, so that their entropies are zero, they count equally. No
/// gradient flows to the teachers. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::EntropyWeightedLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0]], &device);
/// let certain = Tensor::<2>::from_data([[50.0, 0.0]], &device);
///
/// // The second teacher is undecided and has no weight; the first has the weight 1, halved.
/// let config = EntropyWeightedLossConfig::new().with_temperature(1.0);
/// let loss = config.init(2).forward(student.clone(), vec![certain, student], None);
/// assert!((loss.into_scalar::<f32>() - 0.5 * 2.0_f32.ln()).abs() < 1e-6);
/// ```
///
/// # Reference
///
/// K. Kwon, H. Na, H. Lee and N. S. Kim, [Adaptive Knowledge Distillation Based on
/// Entropy](https://doi.org/10.1109/ICASSP40776.2020.9054698), ICASSP 2020. Agrees with `EBKD` in
/// the repository of CA-MKD.
#[doc(alias = "EBKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct EntropyWeightedLoss {
    /// Softmax temperature of student and teachers in the divergence.
    pub temperature: f64,
    /// Number of teachers.
    pub teachers: usize,
}

one_line_display!(EntropyWeightedLoss: temperature, teachers);

impl EntropyWeightedLoss {
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
    /// Panics if the number of teachers or a shape is not the expected one.
    pub fn forward(
        &self,
        student: Tensor<2>,
        teachers: Vec<Tensor<2>>,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        assert_teachers(&student, self.teachers, &teachers);
        if student.dims()[0] == 0 {
            return connected_zero(student);
        }
        let divergences = divergences(student, &teachers, self.temperature);
        let weights = self.weights(teachers).cast(divergences.dtype());
        let rows = divergences.mul(weights).mean_dim(1).squeeze_dim(1);
        masked_mean(rows, mask)
    }

    /// Returns the weight of each teacher for every row. Shape: `[rows, teachers]`.
    fn weights(&self, teachers: Vec<Tensor<2>>) -> Tensor<2> {
        let entropies = teachers.into_iter().map(|teacher| {
            let log_p = tempered_log_softmax(teacher.without_autodiff(), 1.0);
            let rows = cross_entropy_rows(log_p.clone().exp(), log_p);
            rows.unsqueeze_dim::<2>(1)
        });
        let entropies = Tensor::cat(entropies.collect(), 1);
        let sum = entropies.clone().sum_dim(1);
        let certain = sum.clone().equal_scalar(0.0);
        let share = entropies.div(sum.mask_fill(certain.clone(), 1.0));
        let certain = certain.repeat_dim(1, self.teachers);
        share
            .mask_fill(certain, 1.0 / self.teachers as f64)
            .neg()
            .add_scalar(1.0)
    }
}

impl NamedLoss for EntropyWeightedLoss {
    fn name(&self) -> &'static str {
        "entropy-weighted"
    }
}

impl LossTerm<Knowledge, Vec<Knowledge>> for EntropyWeightedLoss {
    fn value(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Tensor<1> {
        let rows = TeacherRows::of(context);
        self.forward(rows.student, rows.teachers, rows.mask)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "entropy-weighted",
        abbreviation: "EBKD",
        about: "weights several teachers by their certainty about a sample",
        kind: "response",
        aliases: &["ebkd"],
        reference: "Kwon, Na, Lee and Kim, Adaptive Knowledge Distillation Based on Entropy, \
            ICASSP 2020",
    };
    entry_of_several(
        catalog,
        EntropyWeightedLossConfig::new(),
        EntropyWeightedLossConfig::init,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn certain_teachers_count_equally_and_without_nan() {
        let device = Device::default();
        let logits = |row: [f32; 2]| Tensor::<2>::from_data([row], &device);
        let loss = EntropyWeightedLossConfig::new()
            .with_temperature(1.0)
            .init(2);
        let teachers = vec![logits([1e4, 0.0]), logits([0.0, 1e4])];
        let value = loss.forward(logits([0.0, 0.0]), teachers, None);
        assert!((value.into_scalar::<f32>() - 0.5 * 2.0_f32.ln()).abs() < 1e-6);
    }

    #[test]
    #[should_panic(expected = "`teachers` should be at least 2, but is 1")]
    fn one_teacher_is_refused() {
        EntropyWeightedLossConfig::new().init(1);
    }
}
