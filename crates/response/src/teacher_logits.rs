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
