use crate::columns::beside;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, IndexingUpdateOp, Int, Tensor, assert_shape};
use burn_distill_core::numeric::{as_precise_as, at_least_f32, tempered_log_softmax};

/// What a teacher says about the classes of each row: everything, or the most of it.
///
/// Every [`DistributionLoss`](crate::DistributionLoss) takes either.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "made once per step, and the size of a tensor depends on the backends that are built in"
)]
pub enum TeacherLogits {
    /// A logit for every class. Shape: `[rows, num_classes]`.
    Dense(Tensor<2>),
    /// The probabilities of a few classes.
    Sparse(SparseLogits),
}

impl From<Tensor<2>> for TeacherLogits {
    fn from(logits: Tensor<2>) -> Self {
        Self::Dense(logits)
    }
}

impl From<SparseLogits> for TeacherLogits {
    fn from(signal: SparseLogits) -> Self {
        Self::Sparse(signal)
    }
}

/// The probabilities that a teacher gives to a few classes of each row, and what is assumed of the
/// rest. Cached logits and teachers behind a network connection come in this form.
///
/// # References
///
/// Top-k with a tail: `server_distillation` of TRL and `kl` of DistillKit. Sampled: A. Anshumann et
/// al., Sparse Logit Sampling, ACL 2025.
#[derive(Clone, Debug)]
pub struct SparseLogits {
    /// The classes, none twice in a row. Where the log-probability is −∞ the id does not matter: it may
    /// be −1, −100 or any other number that a cache pads with. Shape: `[rows, k]`.
    pub ids: Tensor<2, Int>,
    /// Their log-probabilities among all classes; −∞ where a row has fewer, or where the teacher
    /// excludes the class. Shape: `[rows, k]`.
    pub log_probabilities: Tensor<2>,
    /// The temperature at which the teacher computed them.
    pub temperature: f64,
    /// What is assumed of the classes that are not named.
    pub rest: TailMode,
}

/// What is assumed of the classes that a [`SparseLogits`] does not name.
///
/// A signal of as many ids as there are classes leaves no rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TailMode {
    /// `Tail` at the temperature of the signal, where it is exact, and `Zero` at any other.
    #[default]
    Auto,
    /// The teacher gives them nothing: the probabilities of the named ones are rescaled to sum to 1.
    ///
    /// A divergence whose first part is the student, such as the [reverse
    /// KL](crate::ReverseKlLoss), is then infinite for any student that gives them anything, which is
    /// every one of finite logits: it takes a `floor`, or one of the assumptions below.
    Zero,
    /// They are one event, of the probability that is left. Away from the temperature of the signal
    /// that event is tempered as a whole, as DistillKit does.
    Tail,
    /// They share the probability that is left equally, also when it is tempered; together they
    /// are one event. At the temperature of the signal this is `Tail`.
    Uniform,
}

/// The log-probabilities that teacher and student give to the same events.
///
/// The events of a row are its classes, or some of them and one for all the others.
#[derive(Clone, Debug)]
pub struct PairedLogProbs {
    /// The teacher's, constant. Shape: `[rows, events]`.
    pub log_p: Tensor<2>,
    /// The student's. Shape: `[rows, events]`.
    pub log_q: Tensor<2>,
}

impl SparseLogits {
    /// The `k` most likely classes of each row, by the teacher's logits.
    ///
    /// # Shapes
    ///
    /// - logits: `[rows, num_classes]`
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than `k` classes.
    pub fn top_k(logits: Tensor<2>, k: usize, rest: TailMode) -> Self {
        let log_probabilities = tempered_log_softmax(logits.without_autodiff(), 1.0);
        let (log_probabilities, ids) = log_probabilities.topk_with_indices(k, 1);
        Self {
            ids,
            log_probabilities,
            temperature: 1.0,
            rest,
        }
    }

    /// Classes that were drawn from the teacher, with how often each was.
    ///
    /// The shares of the draws are an unbiased estimate of the teacher's probabilities, which the
    /// probabilities of the most likely classes are not. The rest is [`TailMode::Zero`], with which the
    /// [reverse KL](crate::ReverseKlLoss) is infinite unless it has a `floor`. A row without any draw
    /// has a loss of zero, and no gradient.
    ///
    /// # Shapes
    ///
    /// - ids: `[rows, k]`, none twice in a row
    /// - counts: `[rows, k]`, zero where a row has fewer
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn sampled(ids: Tensor<2, Int>, counts: Tensor<2>) -> Self {
        let [rows, k] = ids.dims();
        assert_shape!(counts, [rows, k]);
        let counts = at_least_f32(counts.without_autodiff());
        let draws = counts.clone().sum_dim(1).clamp_min(1.0);
        Self {
            ids,
            log_probabilities: counts.div(draws).log(),
            temperature: 1.0,
            rest: TailMode::Zero,
        }
    }

    /// Checks that every id that counts is a class of the student.
    ///
    /// It reads the ids from the device, so it is for a signal that is made once and used often, such as
    /// one from a cache: a step on a GPU does not check the ids by itself, see
    /// [`TeacherLogits::events`].
    ///
    /// # Errors
    ///
    /// Returns an error that names the first id that is no class.
    pub fn check(&self, num_classes: usize) -> Result<(), UnknownClass> {
        let absent = absent(&self.log_probabilities.clone().without_autodiff());
        let ids = self.ids.clone().without_autodiff().mask_fill(absent, 0);
        let ids = ids.into_data();
        let unknown = ids
            .iter::<i64>()
            .find(|&id| usize::try_from(id).map_or(true, |id| id >= num_classes));
        match unknown {
            Some(class) => Err(UnknownClass { class, num_classes }),
            None => Ok(()),
        }
    }

    /// The signal for these logits of a student, in their precision, with ids that all are classes: 0
    /// where the id does not matter, and a log-probability of NaN where it counts and is no class.
    fn among_classes_of(self, student: &Tensor<2>) -> Self {
        let [_, num_classes] = student.dims();
        // Nothing is waited for: a CPU has computed the ids already.
        if is_on_host(&self.ids.device())
            && let Err(error) = self.check(num_classes)
        {
            panic!("{error}");
        }
        let log_probabilities = as_precise_as(self.log_probabilities.without_autodiff(), student);
        let ids = self.ids.without_autodiff();
        let ids = ids.mask_fill(absent(&log_probabilities), 0);
        let negative = ids.clone().lower_scalar(0);
        let unknown = ids.clone().greater_equal_scalar(num_classes as i64);
        let unknown = unknown.bool_or(negative);
        Self {
            ids: ids.mask_fill(unknown.clone(), 0),
            log_probabilities: log_probabilities.mask_fill(unknown, f32::NAN),
            ..self
        }
    }

    fn events(self, student: Tensor<2>, temperature: f64) -> PairedLogProbs {
        let [rows, num_classes] = student.dims();
        let [_, k] = self.ids.dims();
        assert!(
            k <= num_classes,
            "The signal names {k} classes of a row, but the student has {num_classes}."
        );
        let (teacher_ids, teacher) = (&self.ids, &self.log_probabilities);
        assert_shape!(teacher_ids, [rows, k]);
        assert_shape!(teacher, [rows, k]);

        let signal = self.among_classes_of(&student);
        let (ids, teacher) = (signal.ids, signal.log_probabilities);
        let absent = absent(&teacher);
        let named = absent.clone().bool_not().float().cast(teacher.dtype());
        let named = named.sum_dim(1);
        // A row that names nothing is one of a rest alone, about which the two agree.
        let silent = named.clone().equal_scalar(0.0);
        let power = signal.temperature / temperature;
        // Over all classes, not over the named ones: the student pays for what it gives to others.
        let log_q = tempered_log_softmax(student, temperature);
        let (teacher, log_p_rest, log_q_rest, log_q) = if k == num_classes {
            // There is no rest, and tempering would blow up what rounding leaves of it. What the
            // student gives to a class that the teacher excludes stays in its column: the columns are
            // the classes, whatever ids the excluded ones have.
            let teacher = in_order(teacher, ids, absent);
            let none = named.full_like(f32::NEG_INFINITY);
            let rest = none.mask_fill(silent.clone(), 0.0);
            // Not `expand`, which refuses a batch of no rows.
            let silent = silent.repeat_dim(1, k);
            let log_q = log_q.mask_fill(silent, f32::NEG_INFINITY);
            (teacher, rest.clone(), rest.cast(log_q.dtype()), log_q)
        } else {
            let log_q = log_q.gather(1, ids).mask_fill(absent, f32::NEG_INFINITY);
            let left = log_of_rest(teacher.clone());
            let log_p_rest = match signal.rest.at(power) {
                TailMode::Uniform => {
                    let others = named.neg().add_scalar(num_classes as f64).log();
                    left.sub(others.clone()).mul_scalar(power).add(others)
                }
                TailMode::Zero => left.mask_fill(silent.bool_not(), f32::NEG_INFINITY),
                TailMode::Auto | TailMode::Tail => left.mul_scalar(power),
            };
            (teacher, log_p_rest, log_of_rest(log_q.clone()), log_q)
        };
        let log_p = beside(teacher.mul_scalar(power), log_p_rest);
        PairedLogProbs {
            log_p: log_softmax(log_p, 1),
            log_q: beside(log_q, log_q_rest),
        }
    }
}

/// A class of a sparse signal that the student does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sparse signal of a teacher gives a probability to class {class}, but the student has \
     {num_classes} classes, from 0 on: give the two one vocabulary, or map the ids of the signal to the \
     classes of the student"
)]
pub struct UnknownClass {
    /// The id of the class.
    pub class: i64,
    /// The number of classes of the student.
    pub num_classes: usize,
}

/// Returns where a class is not named. Shape: `[rows, k]`.
fn absent(log_probabilities: &Tensor<2>) -> Tensor<2, Bool> {
    log_probabilities.clone().equal_scalar(f32::NEG_INFINITY)
}

/// Returns the log-probabilities with the classes as columns, −∞ where a class is not named.
///
/// # Shapes
///
/// - all, output: `[rows, num_classes]`
fn in_order(teacher: Tensor<2>, ids: Tensor<2, Int>, absent: Tensor<2, Bool>) -> Tensor<2> {
    if teacher.shape().num_elements() == 0 {
        return teacher;
    }
    let zeros = teacher.zeros_like();
    let place = |values: Tensor<2>| {
        let zeros = zeros.clone();
        zeros.scatter(1, ids.clone(), values, IndexingUpdateOp::Add)
    };
    let named = place(absent.clone().bool_not().float().cast(teacher.dtype()));
    let missing = named.equal_scalar(0.0);
    place(teacher.mask_fill(absent, 0.0)).mask_fill(missing, f32::NEG_INFINITY)
}

/// Whether tensors of the device are in memory that the host reads without waiting.
fn is_on_host(device: &Device) -> bool {
    // burn 0.22.1 tells which backend a device is of by its debug name alone, unless the backend is a
    // feature of this crate.
    let name = format!("{:?}", device.clone().without_autodiff());
    ["Flex", "NdArray"].iter().any(|host| name.contains(host))
}

impl TailMode {
    /// What it is for a signal that is raised to a power.
    fn at(self, power: f64) -> Self {
        match self {
            Self::Auto if power == 1.0 => Self::Tail,
            Self::Auto => Self::Zero,
            chosen => chosen,
        }
    }
}

/// `log(1 − Σ exp(log_probabilities))` of every row. Shape: `[rows, 1]`.
fn log_of_rest(log_probabilities: Tensor<2>) -> Tensor<2> {
    // Rounding may leave nothing, or less: then the rest is as small as single precision can tell.
    const LEAST: f64 = 1e-7;
    let named = log_probabilities.exp().sum_dim(1);
    named.neg().add_scalar(1.0).clamp_min(LEAST).log()
}

impl TeacherLogits {
    /// Returns the events over which teacher and student are compared, at a temperature.
    ///
    /// The ids of a sparse signal whose log-probability is −∞ do not matter. An id that counts and is no
    /// class of the student panics on a CPU. On another device nothing is read back in a step: there the
    /// loss of its row is NaN, and [`SparseLogits::check`] tells why.
    ///
    /// # Shapes
    ///
    /// - student: logits `[rows, num_classes]`
    ///
    /// # Panics
    ///
    /// Panics if the signal is of other rows, if a dense one is of other classes, if a sparse one names
    /// more classes than there are, or, on a CPU, if an id that counts is no class.
    pub fn events(self, student: Tensor<2>, temperature: f64) -> PairedLogProbs {
        match self {
            Self::Dense(teacher) => {
                let [batch_size, num_classes] = student.dims();
                assert_shape!(teacher, [batch_size, num_classes]);
                PairedLogProbs {
                    log_p: tempered_log_softmax(
                        as_precise_as(teacher.without_autodiff(), &student),
                        temperature,
                    ),
                    log_q: tempered_log_softmax(student, temperature),
                }
            }
            Self::Sparse(signal) => signal.events(student, temperature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{assert_value_and_gradient, student, teacher};
    use crate::{
        Chunked, DistributionLoss, JensenShannonLossConfig, ReverseKlLossConfig, SkewKlLossConfig,
        SoftCrossEntropyLossConfig, SoftTargetLossConfig, TotalVariationLossConfig,
    };
    use burn::nn::loss::Reduction;
    use burn::tensor::{Device, TensorData, Tolerance};

    // Expected values: `sparse_kl_div_inner` of DistillKit and the tail bucket of TRL, which do not
    // multiply by T²; the formula in double precision for the uniform tail.
    #[test]
    fn soft_targets_of_the_two_likeliest_classes_match_the_references() {
        for (rest, temperature, value, norm) in [
            (TailMode::Zero, 1.0, 2.17788895, 0.467485012),
            (TailMode::Zero, 2.0, 1.23628429, 0.17793778),
            (TailMode::Tail, 1.0, 1.80149803, 0.426096738),
            (TailMode::Tail, 2.0, 0.680735334, 0.137127059),
            (TailMode::Uniform, 1.0, 1.80149803, 0.426096738),
        ] {
            let criterion = SoftTargetLossConfig::new()
                .with_temperature(temperature)
                .init();
            let scale = temperature * temperature;
            assert_value_and_gradient(
                |student, teacher| {
                    let signal = SparseLogits::top_k(teacher, 2, rest);
                    criterion.forward(student, signal, Reduction::Mean)
                },
                scale * value,
                scale * norm,
            );
        }
    }

    #[test]
    fn a_uniform_tail_is_tempered_class_by_class() {
        let device = Device::default();
        let criterion = SoftTargetLossConfig::new().with_temperature(2.0).init();

        let signal = SparseLogits::top_k(teacher(&device), 2, TailMode::Uniform);
        let loss = criterion.forward(student(&device), signal, Reduction::Mean);

        let loss = loss.into_scalar::<f64>() / 4.0;
        assert!((loss - 0.500863212).abs() < 1e-5, "{loss}");
    }

    /// Every loss between distributions, with a signal.
    fn losses(signal: impl Fn() -> TeacherLogits) -> Vec<(&'static str, Tensor<1>)> {
        fn of<L: DistributionLoss>(loss: L, signal: TeacherLogits) -> (&'static str, Tensor<1>) {
            let student = student(&Device::default());
            (loss.name(), loss.forward_no_reduction(student, signal))
        }
        vec![
            of(SoftTargetLossConfig::new().init(), signal()),
            of(SoftCrossEntropyLossConfig::new().init(), signal()),
            of(ReverseKlLossConfig::new().init(), signal()),
            of(JensenShannonLossConfig::new().init(), signal()),
            of(TotalVariationLossConfig::new().init(), signal()),
            of(SkewKlLossConfig::new().init(), signal()),
            of(SkewKlLossConfig::new().with_reverse(true).init(), signal()),
        ]
    }

    fn assert_same(sparse: Vec<(&str, Tensor<1>)>, dense: Vec<(&str, Tensor<1>)>) {
        for ((name, sparse), (_, dense)) in sparse.into_iter().zip(dense) {
            let (sparse, dense) = (sparse.into_data(), dense.into_data());
            println!("{name}");
            sparse.assert_approx_eq::<f32>(&dense, Tolerance::rel_abs(1e-4, 1e-5));
        }
    }

    #[test]
    fn a_signal_of_all_classes_is_the_dense_one() {
        let device = Device::default();
        for rest in [TailMode::Tail, TailMode::Uniform] {
            let sparse = losses(|| SparseLogits::top_k(teacher(&device), 5, rest).into());
            assert_same(sparse, losses(|| teacher(&device).into()));
        }
    }

    /// The value and the gradient of every loss between distributions, row by row.
    fn rows_and_gradients(
        logits: &Tensor<2>,
        signal: impl Fn() -> TeacherLogits,
    ) -> Vec<(String, TensorData, TensorData)> {
        fn of<L: DistributionLoss>(
            loss: L,
            student: &Tensor<2>,
            signal: TeacherLogits,
        ) -> (String, TensorData, TensorData) {
            let student = student.clone().require_grad();
            let rows = loss.forward_no_reduction(student.clone(), signal);
            let grads = rows.clone().sum().backward();
            let gradient = student.grad(&grads).unwrap().into_data();
            (format!("{loss:?}"), rows.into_data(), gradient)
        }
        let reverse = ReverseKlLossConfig::new();
        let floored = reverse.clone().with_floor(Some(-50.0)).init();
        vec![
            of(SoftTargetLossConfig::new().init(), logits, signal()),
            of(SoftCrossEntropyLossConfig::new().init(), logits, signal()),
            of(reverse.init(), logits, signal()),
            of(floored, logits, signal()),
            of(JensenShannonLossConfig::new().init(), logits, signal()),
            of(TotalVariationLossConfig::new().init(), logits, signal()),
            of(SkewKlLossConfig::new().init(), logits, signal()),
            of(
                SkewKlLossConfig::new().with_reverse(true).init(),
                logits,
                signal(),
            ),
        ]
    }

    const NONE: f32 = f32::NEG_INFINITY;

    #[test]
    fn a_signal_of_all_classes_keeps_what_the_student_gives_to_excluded_ones() {
        let device = Device::default().autodiff();
        let teacher =
            Tensor::<2>::from_data([[1.0, NONE, 0.0, 2.0], [0.5, 0.2, NONE, NONE]], &device);
        let finite =
            Tensor::<2>::from_data([[0.3, 1.5, -1.0, 0.2], [2.0, 0.0, 1.0, -0.5]], &device);
        // Both exclude some of the same.
        let excluding =
            Tensor::<2>::from_data([[0.3, NONE, -1.0, 0.2], [2.0, 0.0, NONE, -0.5]], &device);
        for (student, reverse_is_infinite) in [(finite, true), (excluding, false)] {
            for rest in [
                TailMode::Auto,
                TailMode::Zero,
                TailMode::Tail,
                TailMode::Uniform,
            ] {
                let sparse = rows_and_gradients(&student, || {
                    SparseLogits::top_k(teacher.clone(), 4, rest).into()
                });
                let dense = rows_and_gradients(&student, || teacher.clone().into());
                let reverse = sparse[2].1.iter::<f32>().next().unwrap();
                assert_eq!(reverse.is_infinite(), reverse_is_infinite, "{rest:?}");
                for ((name, value, gradient), (_, other, expected)) in sparse.iter().zip(&dense) {
                    println!("{name}, {rest:?}");
                    let tolerance = Tolerance::rel_abs(1e-4, 1e-5);
                    for (ours, theirs) in value.iter::<f32>().zip(other.iter::<f32>()) {
                        let same = ours == theirs || (ours - theirs).abs() < 1e-4;
                        assert!(same, "{name}: {ours} is not {theirs}");
                    }
                    if other.iter::<f32>().all(f32::is_finite) {
                        gradient.assert_approx_eq::<f32>(expected, tolerance);
                    }
                }
            }
        }
    }

    #[test]
    fn draws_of_all_classes_are_a_dense_teacher() {
        let device = Device::default().autodiff();
        let student = Tensor::<2>::from_data([[0.3, 1.5, -1.0]], &device);
        let sparse = rows_and_gradients(&student, || {
            let ids = Tensor::from_data([[2, 0, 1]], &device);
            let counts = Tensor::from_data([[3.0, 1.0, 0.0]], &device);
            SparseLogits::sampled(ids, counts).into()
        });
        let dense = rows_and_gradients(&student, || {
            Tensor::<2>::from_data([[0.25, 0.0, 0.75]], &device)
                .log()
                .into()
        });

        for ((name, value, _), (_, expected, _)) in sparse.iter().zip(&dense) {
            println!("{name}");
            if name.contains("floor: None") {
                let infinite = |data: &TensorData| data.iter::<f32>().all(f32::is_infinite);
                assert!(infinite(value) && infinite(expected));
            } else {
                value.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-5, 1e-6));
            }
        }
        // |½ − …| written out: the student gives 0.727 to the class that was never drawn.
        let difference: f64 = [(0.25, 0.3), (0.0, 1.5), (0.75, -1.0)]
            .map(|(p, logit): (f64, f64)| {
                let sum = 0.3_f64.exp() + 1.5_f64.exp() + (-1.0_f64).exp();
                (p - logit.exp() / sum).abs() / 2.0
            })
            .iter()
            .sum();
        let total_variation = sparse[5].1.iter::<f64>().next().unwrap();
        assert!((total_variation - difference).abs() < 1e-6);
    }

    #[test]
    fn a_row_without_draws_is_a_connected_zero() {
        let device = Device::default().autodiff();
        let ids = [[2, 0, 1], [0, 1, 2]];
        let student = Tensor::<2>::from_data([[0.3, 1.5, -1.0], [0.0, 2.0, 1.0]], &device);
        for k in [2, 3] {
            let rows = rows_and_gradients(&student, || {
                let ids = Tensor::<2, Int>::from_data(ids, &device).narrow(1, 0, k);
                let counts = Tensor::<2>::from_data([[0.0; 3], [3.0, 1.0, 2.0]], &device);
                SparseLogits::sampled(ids, counts.narrow(1, 0, k)).into()
            });
            for (name, value, gradient) in rows {
                let value: Vec<f32> = value.iter().collect();
                let gradient: Vec<f32> = gradient.iter().collect();
                assert!(value[0].abs() < 1e-6, "{name}: {value:?}");
                assert_eq!(gradient[..3], [0.0; 3], "{name}");
                assert!(value[1] > 0.0, "{name}: {value:?}");
                let infinite = k == 2 && name.contains("floor: None");
                assert_eq!(value[1].is_infinite(), infinite, "{name}: {value:?}");
                assert!(infinite || gradient.iter().all(|v| v.is_finite()), "{name}");
            }
        }
    }

    #[test]
    fn reverse_kl_of_a_rest_of_zero_needs_a_floor() {
        let device = Device::default();
        let loss = |floor, rest| {
            let signal = SparseLogits::top_k(teacher(&device), 2, rest);
            let loss = ReverseKlLossConfig::new().with_floor(floor).init();
            let loss = loss.forward(student(&device), signal, Reduction::Mean);
            loss.into_scalar::<f32>()
        };

        assert_eq!(loss(None, TailMode::Zero), f32::INFINITY);
        assert!(loss(Some(-50.0), TailMode::Zero).is_finite());
        assert!(loss(None, TailMode::Tail).is_finite());
        assert!(loss(None, TailMode::Uniform).is_finite());
    }

    #[test]
    fn an_automatic_rest_is_a_tail_where_that_is_exact() {
        let loss = |temperature, rest| {
            let device = Device::default();
            let signal = SparseLogits::top_k(teacher(&device), 2, rest);
            let loss = SoftTargetLossConfig::new().with_temperature(temperature);
            let loss = loss
                .init()
                .forward(student(&device), signal, Reduction::Mean);
            loss.into_scalar::<f32>()
        };

        assert_eq!(loss(1.0, TailMode::default()), loss(1.0, TailMode::Tail));
        assert_eq!(loss(2.0, TailMode::default()), loss(2.0, TailMode::Zero));
        assert_ne!(loss(2.0, TailMode::Tail), loss(2.0, TailMode::Zero));
    }

    #[test]
    fn a_uniform_rest_is_shared_by_the_classes_that_a_row_does_not_name() {
        let device = Device::default();
        // The second id is padding: two classes of a quarter each share the rest, and one of a half
        // is named.
        let signal = SparseLogits {
            ids: Tensor::from_data([[0, 0]], &device),
            log_probabilities: Tensor::from_data([[0.5_f32.ln(), NONE]], &device),
            temperature: 1.0,
            rest: TailMode::Uniform,
        };
        let teacher = Tensor::<2>::from_data([[0.5, 0.25, 0.25]], &device).log();
        // Equal within the rest, so that one event is as good as two.
        let student = Tensor::<2>::from_data([[0.3, 1.0, 1.0]], &device);
        let loss = SoftTargetLossConfig::new().with_temperature(3.0).init();

        let sparse = loss.forward(student.clone(), signal, Reduction::Mean);
        let dense = loss.forward(student, teacher, Reduction::Mean);

        let difference = sparse.sub(dense).abs().into_scalar::<f32>();
        assert!(difference < 1e-5, "{difference}");
    }

    #[test]
    fn one_event_for_the_rest_costs_what_a_merged_class_costs() {
        let device = Device::default();
        let logits = |data: [[f64; 3]; 1]| Tensor::<2>::from_data(data, &device);
        // Two classes of probabilities ¼ and ¼ are one of ½.
        let (p, q) = ([[0.5, 0.3, 0.2]], [[0.2, 0.3, 0.5]]);
        let criterion = JensenShannonLossConfig::new().init();

        let signal = SparseLogits::top_k(logits(p).log(), 1, TailMode::Tail);
        let sparse = criterion.forward(logits(q).log(), signal, Reduction::Mean);

        let merged = |data: [[f64; 2]; 1]| Tensor::<2>::from_data(data, &device).log();
        let dense = criterion.forward(merged([[0.2, 0.8]]), merged([[0.5, 0.5]]), Reduction::Mean);
        let difference = sparse.sub(dense).abs().into_scalar::<f32>();
        assert!(difference < 1e-6, "{difference}");
    }

    #[test]
    fn sampled_counts_are_shares() {
        let device = Device::default();
        let ids = Tensor::from_data([[4, 1, 0]], &device);
        let counts = Tensor::from_data([[3.0, 1.0, 0.0]], &device);

        let signal = SparseLogits::sampled(ids, counts);
        let student = Tensor::<2>::zeros([1, 5], &device);
        let loss = SoftTargetLossConfig::new()
            .with_temperature(1.0)
            .init()
            .forward(student, signal, Reduction::Mean)
            .into_scalar::<f32>();

        // ¾ ln(¾ · 5) + ¼ ln(¼ · 5); the class that was never drawn does not count.
        assert!((loss - 1.0471025).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn absent_classes_and_certain_teachers_have_finite_gradients() {
        let device = Device::default().autodiff();
        let certain = Tensor::<2>::from_data([[1e4, 0.0, 0.0, 0.0, 0.0]], &device);
        let absent = SparseLogits {
            ids: Tensor::from_data([[2, 0]], &device),
            log_probabilities: Tensor::from_data([[-0.5, f32::NEG_INFINITY]], &device),
            temperature: 1.0,
            rest: TailMode::Tail,
        };
        for signal in [
            SparseLogits::top_k(certain.clone(), 2, TailMode::Zero),
            SparseLogits::top_k(certain.clone(), 2, TailMode::Tail),
            SparseLogits::top_k(certain, 1, TailMode::Uniform),
            absent,
        ] {
            for scale in [0.0, 1e-4, 1.0, 1e4] {
                fn check<L: DistributionLoss>(loss: L, student: Tensor<2>, signal: SparseLogits) {
                    let student = student.require_grad();
                    let loss_value = loss.forward(student.clone(), signal, Reduction::Mean);
                    let grads = loss_value.clone().backward();
                    let gradient = student.grad(&grads).unwrap().into_data();
                    let finite = gradient.iter::<f32>().all(f32::is_finite);
                    assert!(finite, "{loss:?}: {gradient}");
                    assert!(!loss_value.into_scalar::<f32>().is_nan(), "{loss:?}");
                }
                let device = Device::default().autodiff();
                let data = TensorData::from([[0.3, -1.0, 0.5, 2.0, 0.0]]);
                let student = Tensor::<2>::from_data(data, &device).mul_scalar(scale);
                check(
                    SoftTargetLossConfig::new().init(),
                    student.clone(),
                    signal.clone(),
                );
                check(
                    JensenShannonLossConfig::new().init(),
                    student.clone(),
                    signal.clone(),
                );
                check(
                    TotalVariationLossConfig::new().init(),
                    student.clone(),
                    signal.clone(),
                );
                check(
                    SkewKlLossConfig::new().init(),
                    student.clone(),
                    signal.clone(),
                );
            }
        }
    }

    /// The signal of two rows with these ids, of which every second entry is absent.
    fn padded(ids: [[i64; 3]; 2]) -> SparseLogits {
        let device = Device::default();
        SparseLogits {
            ids: Tensor::from_data(ids, &device),
            log_probabilities: Tensor::from_data([[-0.9, NONE, -1.4], [NONE, -0.9, NONE]], &device),
            temperature: 1.0,
            rest: TailMode::Tail,
        }
    }

    #[test]
    fn the_ids_of_absent_entries_do_not_matter() {
        let device = Device::default().autodiff();
        for classes in [3, 6] {
            let student = Tensor::<1, Int>::arange(0..2 * classes as i64, &device).float();
            let student = student.mul_scalar(0.7).sin().reshape([2, classes]);
            for rest in [
                TailMode::Auto,
                TailMode::Zero,
                TailMode::Tail,
                TailMode::Uniform,
            ] {
                let rows = |id: i64| {
                    rows_and_gradients(&student, || {
                        let signal = padded([[0, id, 2], [id, 1, id]]);
                        SparseLogits { rest, ..signal }.into()
                    })
                };
                let expected = rows(0);
                for id in [-1, -100, 1, classes as i64, 32_000] {
                    for (row, expected) in rows(id).iter().zip(&expected) {
                        let what = format!("{}, {rest:?}, {classes} classes, id {id}", row.0);
                        assert!(row.1.iter::<f32>().eq(expected.1.iter::<f32>()), "{what}");
                        let bits = |of: &TensorData| {
                            of.iter::<f32>().map(f32::to_bits).collect::<Vec<_>>()
                        };
                        assert_eq!(bits(&row.2), bits(&expected.2), "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_ids_of_classes_that_were_never_drawn_do_not_matter() {
        let device = Device::default();
        let loss = |id: i64| {
            let ids = Tensor::from_data([[2, id, 0]], &device);
            let counts = Tensor::from_data([[3.0, 0.0, 1.0]], &device);
            let signal = SparseLogits::sampled(ids, counts);
            let student = Tensor::<2>::from_data([[0.3, 1.5, -1.0, 0.2]], &device);
            let loss = Chunked::new(SoftTargetLossConfig::new().init()).with_chunk_rows(1);
            let loss = loss.forward(student, signal, Reduction::Mean);
            loss.into_scalar::<f32>()
        };

        for id in [-1, -100, 4] {
            assert_eq!(loss(id), loss(1));
        }
    }

    #[test]
    fn an_id_that_counts_and_is_no_class_is_named() {
        for (signal, class) in [
            (padded([[0, 0, -1], [0, 1, 0]]), -1),
            (padded([[0, -1, 2], [-1, 7, -1]]), 7),
        ] {
            let error = signal.check(6).unwrap_err();
            assert_eq!(
                error,
                UnknownClass {
                    class,
                    num_classes: 6
                }
            );

            let text = error.to_string();
            assert!(text.contains(&format!("class {class}")), "{text}");
            assert!(
                text.contains("sparse signal") && text.contains("6 classes"),
                "{text}"
            );
        }
        assert_eq!(padded([[0, -1, 5], [-100, 3, 9]]).check(6), Ok(()));
    }

    #[test]
    fn on_a_cpu_a_loss_refuses_an_id_that_is_no_class() {
        let device = Device::flex();
        let student = Tensor::<2>::zeros([2, 6], &device);
        for chunked in [false, true] {
            let signal = padded([[0, -1, 6], [-1, 3, -1]]);
            let student = student.clone();
            let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let loss = JensenShannonLossConfig::new().init();
                match chunked {
                    true => Chunked::new(loss).forward_no_reduction(student, signal),
                    false => loss.forward_no_reduction(student, signal),
                }
            }));
            let panic = refused.expect_err("class 6 is none of six");
            let text = panic.downcast_ref::<String>().unwrap();
            assert!(
                text.contains("class 6, but the student has 6 classes"),
                "{text}"
            );
        }
    }
}
