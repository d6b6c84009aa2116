use super::rows::{TeacherRows, assert_teachers, divergences};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, kl_divergence_rows, masked_mean, tempered_log_softmax,
};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, Input, Knowledge, LossEntry, LossTerm, NamedLoss,
    check, one_line_display,
};
use serde::{Deserialize, Serialize};

/// Quantity that an [`AveragedTeachersLoss`] averages over the teachers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TeacherAverage {
    /// The divergences of the student from each teacher.
    #[default]
    Losses,
    /// The softened class probabilities of the teachers. The gradient is that of
    /// [`Losses`](Self::Losses).
    Probabilities,
    /// The logits of the teachers.
    Logits,
}

/// Configuration to create an [averaged-teachers loss](AveragedTeachersLoss) using the [init
/// function](AveragedTeachersLossConfig::init).
#[derive(Config, Debug)]
pub struct AveragedTeachersLossConfig {
    /// Quantity that is averaged. Default: the losses.
    #[config(default = "TeacherAverage::Losses")]
    pub average: TeacherAverage,
    /// Softmax temperature of student and teachers. Must be positive and finite. Default: `4.0`.
    #[config(default = 4.0)]
    pub temperature: f64,
    /// Weight of each teacher. They are divided by their sum. Must be finite and not negative, and
    /// one of them above zero. Default: empty, equal weights.
    #[config(default = "Vec::new()")]
    pub teacher_weights: Vec<f64>,
}

impl AveragedTeachersLossConfig {
    /// Creates an [averaged-teachers loss](AveragedTeachersLoss) for a number of teachers.
    ///
    /// # Panics
    ///
    /// Panics if `teachers` is zero, if there are weights of another number of teachers, or if a
    /// value is out of its range.
    pub fn init(&self, teachers: usize) -> AveragedTeachersLoss {
        self.assert_valid();
        self.check_count(teachers)
            .unwrap_or_else(|error| panic!("{error}"));
        let weights = match self.teacher_weights.as_slice() {
            [] => vec![1.0; teachers],
            weights => weights.to_vec(),
        };
        let sum: f64 = weights.iter().sum();
        AveragedTeachersLoss {
            average: self.average,
            temperature: self.temperature,
            weights: weights.into_iter().map(|weight| weight / sum).collect(),
        }
    }

    fn check_count(&self, teachers: usize) -> Result<(), ConfigError> {
        check::ensure(teachers > 0, "teachers", "at least 1", teachers)?;
        let given = self.teacher_weights.len();
        check::ensure(
            given == 0 || given == teachers,
            "teacher_weights",
            format_args!("a list of {teachers} numbers, one for each teacher"),
            format_args!("a list of {given}"),
        )
    }
}

impl Check for AveragedTeachersLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        for (index, &weight) in self.teacher_weights.iter().enumerate() {
            check::weight(format_args!("teacher_weights.{index}"), weight)?;
        }
        let sum: f64 = self.teacher_weights.iter().sum();
        check::ensure(
            self.teacher_weights.is_empty() || sum > 0.0,
            "teacher_weights",
            "above zero for one of the teachers",
            "zero for all of them",
        )
    }
}

/// Averaged teachers: the [soft-target loss](crate::SoftTargetLoss) against the average of several
/// teachers.
///
/// With `T` the `temperature`, `aₘ` the weight of a teacher, `Σₘ aₘ = 1`, and `q = softmax(student /
/// T)`, for every row
///
/// ```text
/// losses          L = T² Σₘ aₘ KL(softmax(teacherₘ / T) ‖ q)
/// probabilities   L = T² KL(Σₘ aₘ softmax(teacherₘ / T) ‖ q)
/// logits          L = T² KL(softmax(Σₘ aₘ teacherₘ / T) ‖ q)
/// ```
///
/// and the loss of a batch is the mean of its rows. The averages of losses and of probabilities
/// differ by a constant, which is the disagreement of the teachers, so that their gradients are
/// equal. The average of logits is another target: a teacher with large logits counts more in it.
/// No gradient flows to the teachers. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{AveragedTeachersLossConfig, TeacherAverage};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0]], &device);
/// let teachers = [[[4.0, 0.0]], [[0.0, 4.0]]].map(|rows| Tensor::<2>::from_data(rows, &device));
///
/// let config = AveragedTeachersLossConfig::new().with_average(TeacherAverage::Probabilities);
/// let loss = config.init(2).forward(student, teachers.to_vec(), None);
///
/// // The mean of the teachers is undecided, as the student is.
/// assert!(loss.into_scalar::<f32>().abs() < 1e-6);
/// ```
///
/// # Reference
///
/// S. You, C. Xu, C. Xu and D. Tao, [Learning from Multiple Teacher
/// Networks](https://doi.org/10.1145/3097983.3098135), KDD 2017, averages probabilities. The
/// average of losses agrees with `CA-MKD`'s `AVERAGE_LOSS`, that of logits with TextBrewer's
/// `MultiTeacherDistiller`.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AveragedTeachersLoss {
    /// Quantity that is averaged.
    #[module(skip)]
    pub average: TeacherAverage,
    /// Softmax temperature of student and teachers.
    pub temperature: f64,
    /// Weight of each teacher. They sum to one.
    #[module(skip)]
    pub weights: Vec<f64>,
}

one_line_display!(
    AveragedTeachersLoss: ?average,
    temperature,
    teachers = |loss| Some(&loss.weights.len())
);

impl AveragedTeachersLoss {
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
        assert_teachers(&student, self.weights.len(), &teachers);
        if student.dims()[0] == 0 {
            return connected_zero(student);
        }
        let rows = match self.average {
            TeacherAverage::Losses => {
                let weighted = divergences(student, &teachers, self.temperature)
                    .split(1, 1)
                    .into_iter()
                    .zip(&self.weights)
                    .map(|(column, weight)| column.mul_scalar(*weight));
                sum(weighted).squeeze_dim(1)
            }
            TeacherAverage::Probabilities => {
                let weighted = self.weighted(teachers, |teacher| {
                    tempered_log_softmax(teacher, self.temperature).exp()
                });
                self.divergence(weighted.log(), student)
            }
            TeacherAverage::Logits => {
                let weighted = self.weighted(teachers, at_least_f32);
                self.divergence(tempered_log_softmax(weighted, self.temperature), student)
            }
        };
        masked_mean(rows, mask)
    }

    /// Returns the weighted sum of a quantity of the teachers.
    fn weighted(
        &self,
        teachers: Vec<Tensor<2>>,
        quantity: impl Fn(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let weighted = teachers.into_iter().zip(&self.weights);
        sum(weighted
            .map(|(teacher, weight)| quantity(teacher.without_autodiff()).mul_scalar(*weight)))
    }

    fn divergence(&self, log_p: Tensor<2>, student: Tensor<2>) -> Tensor<1> {
        let log_q = tempered_log_softmax(student, self.temperature);
        kl_divergence_rows(log_p.cast(log_q.dtype()), log_q).mul_scalar(self.temperature.powi(2))
    }
}

fn sum(parts: impl Iterator<Item = Tensor<2>>) -> Tensor<2> {
    let sum = parts.reduce(Tensor::add);
    sum.expect("There should be a teacher.")
}

impl NamedLoss for AveragedTeachersLoss {
    fn name(&self) -> &'static str {
        "averaged-teachers"
    }
}

impl LossTerm<Knowledge, Vec<Knowledge>> for AveragedTeachersLoss {
    fn value(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Tensor<1> {
        let rows = TeacherRows::of(context);
        self.forward(rows.student, rows.teachers, rows.mask)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "averaged-teachers",
        abbreviation: "",
        about: "matches the average of several teachers: of losses, probabilities or logits",
        kind: "response",
        aliases: &[],
        reference: "You, Xu, Xu and Tao, Learning from Multiple Teacher Networks, KDD 2017",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let teachers = builder.contexts().len();
        let config = builder.configure(AveragedTeachersLossConfig::new())?;
        config.check_count(teachers)?;
        builder.joint_term(config.init(teachers))
    })
    .for_all_teachers()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    fn logits(rows: [[f32; 3]; 2]) -> Tensor<2> {
        Tensor::from_data(rows, &Device::default().autodiff())
    }

    /// Returns the value and the gradient of the student.
    fn result(config: &AveragedTeachersLossConfig, mask: Option<[bool; 2]>) -> (f32, Vec<f32>) {
        let student = logits([[0.5, -1.0, 2.0], [1.0, 0.0, 0.0]]).require_grad();
        let teachers = vec![
            logits([[2.0, 0.0, 1.0], [0.0, 3.0, -1.0]]),
            logits([[-4.0, 5.0, 1.0], [2.0, 0.5, 0.0]]),
        ];
        let device = Device::default();
        let mask = mask.map(|mask| Tensor::from_data(mask, &device));
        let loss = config.init(2).forward(student.clone(), teachers, mask);
        let grads = loss.clone().backward();
        let grad = student.grad(&grads).unwrap().into_data();
        (loss.into_scalar(), grad.iter().collect())
    }

    #[test]
    fn the_averages_of_losses_and_probabilities_have_the_same_gradient() {
        let config = AveragedTeachersLossConfig::new().with_temperature(2.0);
        let of = |average| result(&config.clone().with_average(average), None);
        let losses = of(TeacherAverage::Losses);
        let probabilities = of(TeacherAverage::Probabilities);
        let logits = of(TeacherAverage::Logits);

        assert!(losses.0 > probabilities.0 + 0.1);
        for (loss, probability) in losses.1.iter().zip(&probabilities.1) {
            assert!((loss - probability).abs() < 1e-6);
        }
        assert!((losses.1[0] - logits.1[0]).abs() > 1e-3);
    }

    #[test]
    fn a_weight_of_zero_leaves_a_teacher_out() {
        for average in [
            TeacherAverage::Losses,
            TeacherAverage::Probabilities,
            TeacherAverage::Logits,
        ] {
            let config = AveragedTeachersLossConfig::new()
                .with_average(average)
                .with_teacher_weights(vec![3.0, 0.0]);
            let student = logits([[0.5, -1.0, 2.0], [1.0, 0.0, 0.0]]);
            let teacher = logits([[2.0, 0.0, 1.0], [0.0, 3.0, -1.0]]);
            let other = logits([[-4.0, 5.0, 1.0], [2.0, 0.5, 0.0]]);
            let found = config
                .init(2)
                .forward(student.clone(), vec![teacher.clone(), other], None);
            let expected = crate::SoftTargetLossConfig::new().init();
            let expected = crate::DistributionLoss::forward(
                &expected,
                student,
                teacher,
                burn::nn::loss::Reduction::Mean,
            );
            let found = found.into_data();
            found.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::relative(1e-5));
        }
    }

    #[test]
    fn rows_outside_of_the_mask_do_not_count() {
        for average in [
            TeacherAverage::Losses,
            TeacherAverage::Probabilities,
            TeacherAverage::Logits,
        ] {
            let config = AveragedTeachersLossConfig::new().with_average(average);
            let (_, grad) = result(&config, Some([true, false]));
            assert!(grad[..3].iter().all(|grad| *grad != 0.0));
            assert_eq!(grad[3..], [0.0; 3]);
            let (value, grad) = result(&config, Some([false, false]));
            assert_eq!((value, grad), (0.0, vec![0.0; 6]));
        }
    }

    #[test]
    #[should_panic(
        expected = "`teacher_weights` should be a list of 3 numbers, one for each teacher, but is a list of 2"
    )]
    fn weights_of_another_number_of_teachers_are_refused() {
        let config = AveragedTeachersLossConfig::new().with_teacher_weights(vec![1.0, 2.0]);
        config.init(3);
    }
}
