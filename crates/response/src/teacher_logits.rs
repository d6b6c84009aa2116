use crate::columns::concat_columns;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, IndexingUpdateOp, Int, Tensor, assert_shape};
use burn_distill_core::numeric::{as_precise_as, at_least_f32, tempered_log_softmax};

/// Logits of a teacher for each row: of every class, or of a few.
///
/// Every [`DistributionLoss`](crate::DistributionLoss) accepts both.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "made once per step, and the size of a tensor depends on the backends that are built in"
)]
pub enum TeacherLogits {
    /// Logits of all classes. Shape: `[rows, num_classes]`.
    Dense(Tensor<2>),
    /// Log-probabilities of a few classes.
    Sparse(SparseLogits),
}

impl From<Tensor<2>> for TeacherLogits {
    fn from(logits: Tensor<2>) -> Self {
        Self::Dense(logits)
    }
}

impl From<SparseLogits> for TeacherLogits {
    fn from(logits: SparseLogits) -> Self {
        Self::Sparse(logits)
    }
}

/// Log-probabilities that a teacher gives to a few classes of each row, with an assumption about
/// the others, the tail. Cached logits and those of remote teachers come in this form.
///
/// # References
///
/// Top-k with a tail: `server_distillation` of TRL and `kl` of DistillKit. Sampled: A. Anshumann et
/// al., Sparse Logit Sampling, ACL 2025.
#[derive(Clone, Debug)]
pub struct SparseLogits {
    /// Classes, distinct within each row. Where the log-probability is −∞ the id does not matter:
    /// it may be −1, −100 or any other number that a cache pads with. Shape: `[rows, k]`.
    pub ids: Tensor<2, Int>,
    /// Log-probabilities of these classes among all classes; −∞ where a row has fewer, or where the
    /// teacher excludes the class. Shape: `[rows, k]`.
    pub log_probabilities: Tensor<2>,
    /// Temperature at which the teacher computed the log-probabilities.
    pub temperature: f64,
    /// Assumption about the classes that are not named.
    pub tail: TailMode,
}

/// Assumption about the classes that [`SparseLogits`] do not name, the tail.
///
/// If all classes are named, there is no tail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TailMode {
    /// `Tail` at the temperature of the sparse logits, where it is exact, and `Zero` at any other.
    #[default]
    Auto,
    /// The tail has no probability: the probabilities of the named classes are rescaled to sum to
    /// 1.
    ///
    /// A divergence whose first distribution is the student, such as the [reverse
    /// KL](crate::ReverseKlLoss), is then infinite for any student that gives the tail a
    /// probability, which every student with finite logits does: it needs a `floor`, or another
    /// assumption.
    Zero,
    /// The tail is one event, which has the remaining probability. Away from the temperature of the
    /// sparse logits that event is tempered as a whole, as in DistillKit.
    Tail,
    /// The classes of the tail share the remaining probability equally, also when it is tempered;
    /// together they are one event. At the temperature of the sparse logits this is the same as
    /// `Tail`.
    Uniform,
}

/// Log-probabilities that teacher and student give to the same events.
///
/// The events of a row are its classes, or some of them and one event for all others.
#[derive(Clone, Debug)]
pub struct PairedLogProbs {
    /// Log-probabilities of the teacher, constant. Shape: `[rows, events]`.
    pub log_p: Tensor<2>,
    /// Log-probabilities of the student. Shape: `[rows, events]`.
    pub log_q: Tensor<2>,
}

impl SparseLogits {
    /// Creates the log-probabilities of the `k` likeliest classes of each row from the logits of a
    /// teacher.
    ///
    /// # Shapes
    ///
    /// - logits: `[rows, num_classes]`
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than `k` classes.
    pub fn top_k(logits: Tensor<2>, k: usize, tail: TailMode) -> Self {
        let log_probabilities = tempered_log_softmax(logits.without_autodiff(), 1.0);
        let (log_probabilities, ids) = log_probabilities.topk_with_indices(k, 1);
        // On a GPU, burn 0.22.1 returns the least number and the index −1 in place of −∞.
        let excluded = log_probabilities.clone().lower_equal_scalar(f32::MIN);
        let log_probabilities = log_probabilities.mask_fill(excluded, f32::NEG_INFINITY);
        Self {
            ids,
            log_probabilities,
            temperature: 1.0,
            tail,
        }
    }

    /// Creates sparse logits from classes that were drawn from the teacher and the number of draws
    /// of each.
    ///
    /// The shares of the draws are an unbiased estimate of the teacher's probabilities, unlike the
    /// probabilities of the likeliest classes. The tail is [`TailMode::Zero`], with which the
    /// [reverse KL](crate::ReverseKlLoss) is infinite unless it has a `floor`. A row without any
    /// draw has a loss of zero, and no gradient.
    ///
    /// # Shapes
    ///
    /// - ids: `[rows, k]`, distinct within each row
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
            tail: TailMode::Zero,
        }
    }

    /// Checks that every id that counts is a class of the student.
    ///
    /// It reads the ids from the device, so it is for sparse logits that are made once and used
    /// often, such as those of a cache. A step on a GPU does not check the ids by itself: see
    /// [`TeacherLogits::paired_log_probs`].
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

    /// Returns the sparse logits in the precision of the student, with ids that all are classes: 0
    /// where the id does not matter, and a log-probability of NaN where it counts and is no class.
    fn among_classes_of(self, student: &Tensor<2>) -> Self {
        let [_, num_classes] = student.dims();
        // Reading the ids does not wait: on a CPU they are already computed.
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

    fn paired_log_probs(self, student: Tensor<2>, temperature: f64) -> PairedLogProbs {
        let [rows, num_classes] = student.dims();
        let [_, k] = self.ids.dims();
        assert!(
            k <= num_classes,
            "The sparse logits name {k} classes in a row, but the student has {num_classes} classes: \
             name fewer."
        );
        let (teacher_ids, teacher) = (&self.ids, &self.log_probabilities);
        assert_shape!(teacher_ids, [rows, k]);
        assert_shape!(teacher, [rows, k]);

        let sparse = self.among_classes_of(&student);
        let (ids, teacher) = (sparse.ids, sparse.log_probabilities);
        let absent = absent(&teacher);
        let named = absent.clone().bool_not().float().cast(teacher.dtype());
        let named = named.sum_dim(1);
        // A row that names no class has only a tail, about which student and teacher agree.
        let silent = named.clone().equal_scalar(0.0);
        let power = sparse.temperature / temperature;
        // Over all classes, not over the named ones, so that the probability that the student gives
        // to others is penalized.
        let log_q = tempered_log_softmax(student, temperature);
        let (teacher, log_p_tail, log_q_tail, log_q) = if k == num_classes {
            // There is no tail, and tempering would magnify a rounding error of it. The probability
            // that the student gives to a class that the teacher excludes stays in its column: the
            // columns are the classes, whatever ids the excluded ones have.
            let teacher = in_order(teacher, ids, absent);
            let none = named.full_like(f32::NEG_INFINITY);
            let tail = none.mask_fill(silent.clone(), 0.0);
            // Not `expand`, which refuses a batch of no rows.
            let silent = silent.repeat_dim(1, k);
            let log_q = log_q.mask_fill(silent, f32::NEG_INFINITY);
            (teacher, tail.clone(), tail.cast(log_q.dtype()), log_q)
        } else {
            let log_q = log_q.gather(1, ids).mask_fill(absent, f32::NEG_INFINITY);
            let left = log_of_tail(teacher.clone());
            let log_p_tail = match sparse.tail.at(power) {
                TailMode::Uniform => {
                    let others = named.neg().add_scalar(num_classes as f64).log();
                    left.sub(others.clone()).mul_scalar(power).add(others)
                }
                TailMode::Zero => left.mask_fill(silent.bool_not(), f32::NEG_INFINITY),
                TailMode::Auto | TailMode::Tail => left.mul_scalar(power),
            };
            (teacher, log_p_tail, log_of_tail(log_q.clone()), log_q)
        };
        let log_p = concat_columns(teacher.mul_scalar(power), log_p_tail);
        PairedLogProbs {
            log_p: log_softmax(log_p, 1),
            log_q: concat_columns(log_q, log_q_tail),
        }
    }
}

/// Class of sparse logits that the student does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sparse logits of a teacher give a probability to class {class}, but the student has \
     {num_classes} classes, counted from 0: give both the same vocabulary, or map the ids to the classes \
     of the student"
)]
pub struct UnknownClass {
    /// Id of the class.
    pub class: i64,
    /// Number of classes of the student.
    pub num_classes: usize,
}

/// Returns true where a class is not named. Shape: `[rows, k]`.
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

/// Returns whether tensors of the device are in memory that the host reads without waiting.
fn is_on_host(device: &Device) -> bool {
    // In burn 0.22.1 only the debug name of a device tells its backend, unless the backend is a
    // feature of this crate.
    let name = format!("{:?}", device.clone().without_autodiff());
    ["Flex", "NdArray"].iter().any(|host| name.contains(host))
}

impl TailMode {
    /// Returns the assumption for log-probabilities that are raised to a power.
    fn at(self, power: f64) -> Self {
        match self {
            Self::Auto if power == 1.0 => Self::Tail,
            Self::Auto => Self::Zero,
            chosen => chosen,
        }
    }
}

/// Computes `log(1 − Σ exp(log_probabilities))` of every row. Shape: `[rows, 1]`.
fn log_of_tail(log_probabilities: Tensor<2>) -> Tensor<2> {
    // Rounding may leave zero or less: then the tail is as small as single precision can tell.
    const LEAST: f64 = 1e-7;
    let named = log_probabilities.exp().sum_dim(1);
    named.neg().add_scalar(1.0).clamp_min(LEAST).log()
}

impl TeacherLogits {
    /// Returns the log-probabilities that teacher and student give to the same events, at a
    /// temperature.
    ///
    /// Ids of sparse logits whose log-probability is −∞ do not matter. An id that counts and is no
    /// class of the student panics on a CPU. On another device nothing is read back in a step:
    /// there the loss of its row is NaN, and [`SparseLogits::check`] returns the reason.
    ///
    /// # Shapes
    ///
    /// - student: logits `[rows, num_classes]`
    ///
    /// # Panics
    ///
    /// Panics if the numbers of rows differ, if the numbers of classes differ for dense logits, if
    /// sparse logits name more classes than there are, or, on a CPU, if an id that counts is no
    /// class.
    pub fn paired_log_probs(self, student: Tensor<2>, temperature: f64) -> PairedLogProbs {
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
            Self::Sparse(sparse) => sparse.paired_log_probs(student, temperature),
        }
    }
}
