use super::rows::{TeacherRows, assert_several, assert_teachers, divergences, entry_of_several};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{
    connected_zero, masked_mean, smallest_combination, tempered_log_softmax, zero_rows,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, Input, Knowledge, LossEntry, LossTerm, NamedLoss,
    check, one_line_display,
};

/// Configuration to create an [adaptive ensemble loss](AdaptiveEnsembleLoss) using the [init
/// function](AdaptiveEnsembleLossConfig::init).
#[derive(Config, Debug)]
pub struct AdaptiveEnsembleLossConfig {
    /// Softmax temperature of student and teachers. Must be positive and finite. Default: `4.0`.
    #[config(default = 4.0)]
    pub temperature: f64,
    /// Largest weight of a teacher, the tolerance of disagreement. Above 0 and at most 1; less
    /// than `1 / teachers` is raised to it, so that all teachers count equally. Default: `0.6`.
    #[config(default = 0.6)]
    pub tolerance: f64,
}

impl AdaptiveEnsembleLossConfig {
    /// Creates an [adaptive ensemble loss](AdaptiveEnsembleLoss) for a number of teachers.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two teachers, or if a value is out of its range.
    pub fn init(&self, teachers: usize) -> AdaptiveEnsembleLoss {
        self.assert_valid();
        assert_several(teachers);
        AdaptiveEnsembleLoss {
            temperature: self.temperature,
            tolerance: self.tolerance,
            teachers,
        }
    }
}

impl Check for AdaptiveEnsembleLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::ensure(
            self.tolerance > 0.0 && self.tolerance <= 1.0, // This also rejects NaN
            "tolerance",
            "above 0 and at most 1",
            self.tolerance,
        )
    }
}

/// Adaptive ensemble distillation (AEKD), on logits: the [soft-target loss](crate::SoftTargetLoss)
/// against several teachers, weighted such that their gradients conflict least.
///
/// With `T` the `temperature`, `C` the `tolerance`, `q = softmax(student / T)` and `pₘ =
/// softmax(teacherₘ / T)`,
///
/// ```text
/// Lₘ = T² mean over rows of KL(pₘ ‖ q)
/// gₘ = mean over rows of T (q − pₘ)
/// α  = argmin ‖Σₘ αₘ gₘ‖²  over  Σₘ αₘ = 1, 0 ≤ αₘ ≤ C
/// L  = Σₘ αₘ Lₘ
/// ```
///
/// `gₘ` is the gradient of `Lₘ` by the logits of the student, averaged over the rows as in the
/// public code: a vector of one number per class. The weights `α` are constants, computed for every
/// batch by 50 accelerated steps of projected gradient descent on the device, to about three
/// digits. `C = 1` is the minimum-norm solution of multi-objective optimization, and `C = 1 / M`
/// the average. No gradient flows to the teachers. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::AdaptiveEnsembleLossConfig;
///
/// let device = Device::default();
/// let logits = |row: [f32; 2]| Tensor::<2>::from_data([row], &device);
/// let loss = AdaptiveEnsembleLossConfig::new().init(2);
///
/// // The teachers pull in opposite directions, equally strongly.
/// let weights = loss.weights(logits([0.0, 0.0]), &[logits([2.0, 0.0]), logits([0.0, 2.0])], None);
/// assert_eq!(weights.into_data(), [[0.5_f32, 0.5]].into());
/// ```
///
/// # Reference
///
/// S. Du, S. You, X. Li, J. Wu, F. Wang, C. Qian and C. Zhang, [Agree to Disagree: Adaptive Ensemble
/// Knowledge Distillation in Gradient
/// Space](https://proceedings.neurips.cc/paper/2020/hash/91c77393975889bd08f301c9e13a44b7-Abstract.html),
/// NeurIPS 2020. The weights agree with `AEKD` in the repository of CA-MKD, whose solver is that of a
/// one-class support vector machine.
#[doc(alias = "AEKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AdaptiveEnsembleLoss {
    /// Softmax temperature of student and teachers.
    pub temperature: f64,
    /// Largest weight of a teacher.
    pub tolerance: f64,
    /// Number of teachers.
    pub teachers: usize,
}

one_line_display!(AdaptiveEnsembleLoss: temperature, tolerance, teachers);

impl AdaptiveEnsembleLoss {
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
        let [rows, _] = student.dims();
        if rows == 0 {
            return connected_zero(student);
        }
        let weights = self.weights(student.clone(), &teachers, mask.as_ref());
        let divergences = divergences(student, &teachers, self.temperature);
        let weights = weights.cast(divergences.dtype()).repeat_dim(0, rows);
        masked_mean(divergences.mul(weights).sum_dim(1).squeeze_dim(1), mask)
    }

    /// Returns the weights of the teachers for a batch, as constants.
    ///
    /// # Shapes
    ///
    /// - student, each teacher: `[rows, num_classes]`
    /// - mask: `[rows]`, true for the rows that count; `None` if all rows count
    /// - output: `[1, teachers]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the expected one.
    pub fn weights(
        &self,
        student: Tensor<2>,
        teachers: &[Tensor<2>],
        mask: Option<&Tensor<1, Bool>>,
    ) -> Tensor<2> {
        assert_teachers(&student, self.teachers, teachers);
        let probabilities =
            |logits: Tensor<2>| tempered_log_softmax(logits, self.temperature).exp();
        let q = probabilities(student.without_autodiff());
        let gradients = teachers.iter().map(|teacher| {
            let p = probabilities(teacher.clone().without_autodiff()).cast(q.dtype());
            zero_rows(q.clone().sub(p), mask).sum_dim(0)
        });
        // A common factor of the gradients does not change the weights.
        let gradients = Tensor::cat(gradients.collect(), 0);
        let gram = gradients.clone().matmul(gradients.transpose());
        let least = 1.0 / self.teachers as f64;
        smallest_combination(gram, self.tolerance.max(least))
    }
}

impl NamedLoss for AdaptiveEnsembleLoss {
    fn name(&self) -> &'static str {
        "adaptive-ensemble"
    }
}

impl LossTerm<Knowledge, Vec<Knowledge>> for AdaptiveEnsembleLoss {
    fn value(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Tensor<1> {
        let rows = TeacherRows::of(context);
        self.forward(rows.student, rows.teachers, rows.mask)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "adaptive-ensemble",
        abbreviation: "AEKD",
        about: "weights several teachers such that their gradients conflict least",
        kind: "response",
        aliases: &["aekd"],
        reference: "Du, You, Li, Wu, Wang, Qian and Zhang, Agree to Disagree: Adaptive Ensemble \
            Knowledge Distillation in Gradient Space, NeurIPS 2020",
    };
    entry_of_several(
        catalog,
        AdaptiveEnsembleLossConfig::new(),
        AdaptiveEnsembleLossConfig::init,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn weights_are_capped_and_rows_outside_of_the_mask_do_not_count() {
        let device = Device::default();
        let logits = |rows: [[f32; 2]; 2]| Tensor::<2>::from_data(rows, &device);
        let student = logits([[0.0, 0.0], [0.0, 0.0]]);
        let teachers = [
            logits([[0.1, 0.0], [0.0, 9.0]]),
            logits([[9.0, 0.0], [0.0, 0.1]]),
        ];
        let mask = Tensor::from_data([true, false], &device);
        let loss = AdaptiveEnsembleLossConfig::new().init(2);
        let weights: Vec<f32> = loss
            .weights(student, &teachers, Some(&mask))
            .into_data()
            .iter()
            .collect();
        // The first teacher agrees with the student in the row that counts.
        assert!((weights[0] - 0.6).abs() < 1e-5 && (weights[1] - 0.4).abs() < 1e-5);
    }
}
