use crate::columns::beside;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, tempered_log_softmax};

/// What a teacher says about the classes of each row: everything, or the most of it.
///
/// Every [`DistributionLoss`](crate::DistributionLoss) takes either.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "made once per step, and the size of a tensor depends on the backends that are built in"
)]
pub enum TeacherSignal {
    /// A logit for every class. Shape: `[rows, num_classes]`.
    Dense(Tensor<2>),
    /// The probabilities of a few classes.
    Sparse(SparseSignal),
}

impl From<Tensor<2>> for TeacherSignal {
    fn from(logits: Tensor<2>) -> Self {
        Self::Dense(logits)
    }
}

impl From<SparseSignal> for TeacherSignal {
    fn from(signal: SparseSignal) -> Self {
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
pub struct SparseSignal {
    /// The classes, none twice in a row. Shape: `[rows, k]`.
    pub ids: Tensor<2, Int>,
    /// Their log-probabilities among all classes; −∞ where a row has fewer. Shape: `[rows, k]`.
    pub log_probabilities: Tensor<2>,
    /// The temperature at which the teacher computed them.
    pub temperature: f64,
    /// What is assumed of the classes that are not named.
    pub rest: Rest,
}

/// What is assumed of the classes that a [`SparseSignal`] does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// The teacher gives them nothing: the probabilities of the named ones are rescaled to sum to 1.
    Zero,
    /// They are one event, of the probability that is left. Away from the temperature of the signal
    /// that event is tempered as a whole, as DistillKit does.
    #[default]
    Tail,
    /// They share the probability that is left equally, also when it is tempered; together they
    /// are one event. At the temperature of the signal this is `Tail`.
    Uniform,
}

/// The log-probabilities that teacher and student give to the same events.
///
/// The events of a row are its classes, or some of them and one for all the others.
#[derive(Clone, Debug)]
pub struct Events {
    /// The teacher's, constant. Shape: `[rows, events]`.
    pub log_p: Tensor<2>,
    /// The student's. Shape: `[rows, events]`.
    pub log_q: Tensor<2>,
}

impl SparseSignal {
    /// The `k` most likely classes of each row, by the teacher's logits.
    ///
    /// # Shapes
    ///
    /// - logits: `[rows, num_classes]`
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than `k` classes.
    pub fn top_k(logits: Tensor<2>, k: usize, rest: Rest) -> Self {
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
    /// probabilities of the most likely classes are not.
    ///
    /// # Shapes
    ///
    /// - ids: `[rows, k]`, none twice in a row
    /// - counts: `[rows, k]`, zero where a row has fewer
    pub fn sampled(ids: Tensor<2, Int>, counts: Tensor<2>) -> Self {
        let [rows, k] = ids.dims();
        assert_shape!(counts, [rows, k]);
        let counts = at_least_f32(counts.without_autodiff());
        let draws = counts.clone().sum_dim(1).clamp_min(1.0);
        Self {
            ids,
            log_probabilities: counts.div(draws).log(),
            temperature: 1.0,
            rest: Rest::Zero,
        }
    }

    fn events(self, student: Tensor<2>, temperature: f64) -> Events {
        let [rows, num_classes] = student.dims();
        let [_, k] = self.ids.dims();
        assert!(
            k <= num_classes,
            "The signal names {k} classes of a row, but the student has {num_classes}."
        );
        let (teacher_ids, teacher) = (self.ids, self.log_probabilities);
        assert_shape!(teacher_ids, [rows, k]);
        assert_shape!(teacher, [rows, k]);

        let teacher = at_least_f32(teacher.without_autodiff());
        let absent = teacher.clone().equal_scalar(f32::NEG_INFINITY);
        // Over all classes, not over the named ones: the student pays for what it gives to others.
        let log_q = tempered_log_softmax(student, temperature)
            .gather(1, teacher_ids)
            .mask_fill(absent, f32::NEG_INFINITY);
        let power = self.temperature / temperature;
        if k == num_classes {
            // There is no rest, and tempering would blow up what rounding leaves of it.
            let log_p = log_softmax(teacher.mul_scalar(power), 1);
            return Events { log_p, log_q };
        }
        let log_q_rest = log_of_rest(log_q.clone());
        let log_p_rest = log_of_rest(teacher.clone());
        let log_p_rest = match self.rest {
            Rest::Zero => log_p_rest.full_like(f32::NEG_INFINITY),
            Rest::Tail => log_p_rest.mul_scalar(power),
            Rest::Uniform => {
                let others = ((num_classes - k) as f64).ln();
                log_p_rest
                    .sub_scalar(others)
                    .mul_scalar(power)
                    .add_scalar(others)
            }
        };
        let log_p = beside(teacher.mul_scalar(power), log_p_rest);
        Events {
            log_p: log_softmax(log_p, 1),
            log_q: beside(log_q, log_q_rest),
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

impl TeacherSignal {
    /// The events over which teacher and student are compared, at a temperature.
    ///
    /// # Shapes
    ///
    /// - student: logits `[rows, num_classes]`
    ///
    /// # Panics
    ///
    /// Panics if the signal is of other rows, or if a dense one is of other classes.
    pub fn events(self, student: Tensor<2>, temperature: f64) -> Events {
        match self {
            Self::Dense(teacher) => {
                let [batch_size, num_classes] = student.dims();
                assert_shape!(teacher, [batch_size, num_classes]);
                Events {
                    log_p: tempered_log_softmax(teacher.without_autodiff(), temperature),
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
        DistributionLoss, JensenShannonLossConfig, ReverseKlLossConfig, SkewKlLossConfig,
        SoftCrossEntropyLossConfig, SoftTargetLossConfig, TotalVariationLossConfig,
    };
    use burn::nn::loss::Reduction;
    use burn::tensor::{Device, TensorData, Tolerance};

    // Expected values: `sparse_kl_div_inner` of DistillKit and the tail bucket of TRL, which do not
    // multiply by T²; the formula in double precision for the uniform tail.
    #[test]
    fn soft_targets_of_the_two_likeliest_classes_match_the_references() {
        for (rest, temperature, value, norm) in [
            (Rest::Zero, 1.0, 2.17788895, 0.467485012),
            (Rest::Zero, 2.0, 1.23628429, 0.17793778),
            (Rest::Tail, 1.0, 1.80149803, 0.426096738),
            (Rest::Tail, 2.0, 0.680735334, 0.137127059),
            (Rest::Uniform, 1.0, 1.80149803, 0.426096738),
        ] {
            let criterion = SoftTargetLossConfig::new()
                .with_temperature(temperature)
                .init();
            let scale = temperature * temperature;
            assert_value_and_gradient(
                |student, teacher| {
                    let signal = SparseSignal::top_k(teacher, 2, rest);
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

        let signal = SparseSignal::top_k(teacher(&device), 2, Rest::Uniform);
        let loss = criterion.forward(student(&device), signal, Reduction::Mean);

        let loss = loss.into_scalar::<f64>() / 4.0;
        assert!((loss - 0.500863212).abs() < 1e-5, "{loss}");
    }

    /// Every loss between distributions, with a signal.
    fn losses(signal: impl Fn() -> TeacherSignal) -> Vec<(&'static str, Tensor<1>)> {
        fn of<L: DistributionLoss>(loss: L, signal: TeacherSignal) -> (&'static str, Tensor<1>) {
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
        for rest in [Rest::Tail, Rest::Uniform] {
            let sparse = losses(|| SparseSignal::top_k(teacher(&device), 5, rest).into());
            assert_same(sparse, losses(|| teacher(&device).into()));
        }
    }

    #[test]
    fn one_event_for_the_rest_costs_what_a_merged_class_costs() {
        let device = Device::default();
        let logits = |data: [[f64; 3]; 1]| Tensor::<2>::from_data(data, &device);
        // Two classes of probabilities ¼ and ¼ are one of ½.
        let (p, q) = ([[0.5, 0.3, 0.2]], [[0.2, 0.3, 0.5]]);
        let criterion = JensenShannonLossConfig::new().init();

        let signal = SparseSignal::top_k(logits(p).log(), 1, Rest::Tail);
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

        let signal = SparseSignal::sampled(ids, counts);
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
        let absent = SparseSignal {
            ids: Tensor::from_data([[2, 0]], &device),
            log_probabilities: Tensor::from_data([[-0.5, f32::NEG_INFINITY]], &device),
            temperature: 1.0,
            rest: Rest::Tail,
        };
        for signal in [
            SparseSignal::top_k(certain.clone(), 2, Rest::Zero),
            SparseSignal::top_k(certain.clone(), 2, Rest::Tail),
            SparseSignal::top_k(certain, 1, Rest::Uniform),
            absent,
        ] {
            for scale in [0.0, 1e-4, 1.0, 1e4] {
                fn check<L: DistributionLoss>(loss: L, student: Tensor<2>, signal: SparseSignal) {
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
}
