use super::rows::{TeacherRows, assert_several, assert_teachers, entry_of_several};
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

/// Configuration to create an [amalgamated-teachers loss](AmalgamatedTeachersLoss) using the [init
/// function](AmalgamatedTeachersLossConfig::init).
#[derive(Config, Debug)]
pub struct AmalgamatedTeachersLossConfig {
    /// Softmax temperature of student and teachers. Must be positive and finite. Default: `1.0`.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl AmalgamatedTeachersLossConfig {
    /// Creates an [amalgamated-teachers loss](AmalgamatedTeachersLoss) for a number of teachers.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two teachers, or if a value is out of its range.
    pub fn init(&self, teachers: usize) -> AmalgamatedTeachersLoss {
        self.assert_valid();
        assert_several(teachers);
        AmalgamatedTeachersLoss {
            temperature: self.temperature,
            teachers,
        }
    }
}

impl Check for AmalgamatedTeachersLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Knowledge amalgamation: the [soft-target loss](crate::SoftTargetLoss) against the concatenated
/// logits of several teachers, each of which knows other classes.
///
/// With `T` the `temperature`, for every row
///
/// ```text
/// zₖ = mean of teacherₘₖ over the teachers m that know class k, or −∞ if none does
/// L  = T² KL(softmax(z / T) ‖ softmax(student / T))
/// ```
///
/// and the loss of a batch is the mean of its rows. A teacher has a logit for each class of the
/// student, which is −∞ for a class that it does not know: `PlacedClasses` of the crate
/// `burn-distill-interchange` makes such a teacher of a network of any classes. If no two teachers
/// know the same class, `z` are their logits, one after the other. No gradient flows to the
/// teachers. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::AmalgamatedTeachersLossConfig;
///
/// const UNKNOWN: f32 = f32::NEG_INFINITY;
///
/// let device = Device::default();
/// let logits = |row: [f32; 3]| Tensor::<2>::from_data([row], &device);
///
/// // The first teacher knows two classes, and the second one the third.
/// let teachers = vec![logits([2.0, 0.5, UNKNOWN]), logits([UNKNOWN, UNKNOWN, 1.0])];
///
/// let loss = AmalgamatedTeachersLossConfig::new().init(2);
/// let value = loss.forward(logits([2.0, 0.5, 1.0]), teachers, None);
/// assert!(value.into_scalar::<f32>().abs() < 1e-6);
/// ```
///
/// # Reference
///
/// S. Luo, X. Wang, G. Fang, Y. Hu, D. Tao and M. Song, [Knowledge Amalgamation from Heterogeneous
/// Networks by Common Feature Learning](https://arxiv.org/abs/1906.10546), IJCAI 2019: the soft
/// targets of its method, which are also its baseline. The gradient is that of `SoftCELoss` in the
/// public code CommonFeatureLearning, whose value is larger by `T²` times the entropy of the
/// target. The mean over teachers that know the same class is our interpretation.
#[doc(alias = "knowledge amalgamation")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct AmalgamatedTeachersLoss {
    /// Softmax temperature of student and teachers.
    pub temperature: f64,
    /// Number of teachers.
    pub teachers: usize,
}

one_line_display!(AmalgamatedTeachersLoss: temperature, teachers);

impl AmalgamatedTeachersLoss {
    /// Computes the loss of a batch.
    ///
    /// # Shapes
    ///
    /// - student, each teacher: `[rows, num_classes]`; the logits of a teacher are −∞ for the
    ///   classes that it does not know
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
        let log_q = tempered_log_softmax(student, self.temperature);
        let target = amalgamated(teachers).cast(log_q.dtype());
        let log_p = tempered_log_softmax(target, self.temperature);
        let rows = kl_divergence_rows(log_p, log_q).mul_scalar(self.temperature.powi(2));
        masked_mean(rows, mask)
    }
}

/// Returns the mean logit of each class over the teachers that know it, −∞ if none does.
fn amalgamated(teachers: Vec<Tensor<2>>) -> Tensor<2> {
    let parts = teachers.into_iter().map(|teacher| {
        let teacher = at_least_f32(teacher.without_autodiff());
        let unknown = teacher.clone().equal_scalar(f32::NEG_INFINITY);
        let known = unknown.clone().bool_not().float().cast(teacher.dtype());
        (teacher.mask_fill(unknown, 0.0), known)
    });
    let (sum, count) = parts
        .reduce(|(sum, count), (logits, known)| (sum.add(logits), count.add(known)))
        .expect("There should be a teacher.");
    let nobody = count.clone().equal_scalar(0.0);
    sum.div(count.clamp_min(1.0))
        .mask_fill(nobody, f32::NEG_INFINITY)
}

impl NamedLoss for AmalgamatedTeachersLoss {
    fn name(&self) -> &'static str {
        "amalgamated-teachers"
    }
}

impl LossTerm<Knowledge, Vec<Knowledge>> for AmalgamatedTeachersLoss {
    fn value(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Tensor<1> {
        let rows = TeacherRows::of(context);
        self.forward(rows.student, rows.teachers, rows.mask)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "amalgamated-teachers",
        abbreviation: "KA",
        about: "learns the classes of several teachers that know different ones",
        kind: "response",
        aliases: &["ka", "knowledge-amalgamation"],
        reference: "Luo et al., Knowledge Amalgamation from Heterogeneous Networks by Common \
            Feature Learning, IJCAI 2019",
    };
    entry_of_several(
        catalog,
        AmalgamatedTeachersLossConfig::new(),
        AmalgamatedTeachersLossConfig::init,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::loss::Reduction;
    use burn::tensor::{Device, Tolerance};

    const UNKNOWN: f32 = f32::NEG_INFINITY;

    fn logits<const N: usize>(rows: [[f32; N]; 2]) -> Tensor<2> {
        Tensor::from_data(rows, &Device::default())
    }

    #[test]
    fn teachers_of_disjoint_classes_are_one_teacher_of_all() {
        let teachers = vec![
            logits([[1.0, UNKNOWN, 2.0, UNKNOWN], [0.0, UNKNOWN, -3.0, UNKNOWN]]),
            logits([[UNKNOWN, 4.0, UNKNOWN, 0.5], [UNKNOWN, 1.0, UNKNOWN, 2.0]]),
        ];
        let student = || logits([[0.3, -0.2, 1.0, 0.0], [1.0, 2.0, 0.0, -1.0]]);
        let config = AmalgamatedTeachersLossConfig::new().with_temperature(2.0);

        let found = config.init(2).forward(student(), teachers, None);

        let whole = logits([[1.0, 4.0, 2.0, 0.5], [0.0, 1.0, -3.0, 2.0]]);
        let soft = crate::SoftTargetLossConfig::new().with_temperature(2.0);
        let expected =
            crate::DistributionLoss::forward(&soft.init(), student(), whole, Reduction::Mean);
        found
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::relative(1e-6));
    }

    #[test]
    fn classes_of_several_teachers_are_averaged_and_those_of_none_are_impossible() {
        let teachers = vec![
            logits([[1.0, 3.0, UNKNOWN], [1.0, 0.0, UNKNOWN]]),
            logits([[UNKNOWN, 5.0, UNKNOWN], [2.0, UNKNOWN, UNKNOWN]]),
        ];

        let found = amalgamated(teachers).into_data();

        found.assert_eq(&[[1.0, 4.0, UNKNOWN], [1.5, 0.0, UNKNOWN]].into(), true);
    }

    #[test]
    fn gradients_are_finite_where_no_teacher_knows_a_class() {
        let device = Device::default().autodiff();
        let student = logits([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
            .autodiff()
            .require_grad();
        let teacher = || logits([[1.0, UNKNOWN, UNKNOWN], [0.0, UNKNOWN, UNKNOWN]]);
        let mask = Tensor::from_data([true, false], &device.without_autodiff());
        let loss = AmalgamatedTeachersLossConfig::new().init(2);

        let value = loss.forward(student.clone(), vec![teacher(), teacher()], Some(mask));
        let grads = value.clone().backward();

        let gradient = student.grad(&grads).unwrap().into_data();
        let gradient: Vec<f32> = gradient.iter().collect();
        assert!(gradient.iter().all(|part| part.is_finite()), "{gradient:?}");
        assert_eq!(gradient[3..], [0.0; 3]);
        assert!(value.into_scalar::<f32>().is_finite());
    }
}
