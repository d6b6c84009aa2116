use super::peers::{class_logits, without_taps};
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor};
use burn_distill_core::numeric::{
    as_precise_as, at_least_f32, cross_entropy_rows, tempered_log_softmax,
};
use burn_distill_core::{
    Buffer, Clock, Context, Knowledge, Objective, Requirements, TapSelection, Targets, Terms,
};
use serde::{Deserialize, Serialize};

/// The number of steps towards the best weights of [`EnsembleTarget::Linear`], and their size.
const STEPS: usize = 20;
const STEP: f64 = 4.0;

/// The ridge that is added to the diagonal of the matrix of [`EnsembleTarget::General`], relative
/// to the mean of the diagonal: similar students make the matrix singular.
const RIDGE: f64 = 1e-3;

/// The smallest divisor.
const LEAST: f64 = 1e-12;

/// The way in which the logits `z₁ … zₘ` of students that learn together are combined into one
/// target.
///
/// `y` is the class of a sample. Where a target needs it and the sample has no label, the target is
/// [`Mean`](Self::Mean).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnsembleTarget {
    /// The mean of the logits: `1/m · Σᵢ zᵢ`.
    Mean,
    /// The logits of the student with the smallest cross-entropy on the sample.
    Naive,
    /// The best weighted mean for the sample: `Σᵢ wᵢ zᵢ` with the weights `w ≥ 0`, `Σᵢ wᵢ = 1` of
    /// the smallest cross-entropy, approximated by 20 steps of exponentiated gradient from equal
    /// weights.
    ///
    /// ```text
    /// log w ← log w − 4 / (r √t) · ∂crossentropy/∂w        at step t
    /// ```
    ///
    /// where `r` is the largest range of a student's logits about the mean of all. The best weights
    /// among the steps are taken. On random logits of three students, at every scale, the result
    /// misses on average at most 3 % of the possible gain over equal weights.
    Linear,
    /// The minimum of each logit after the logit of the class is subtracted: `minᵢ (zᵢ − zᵢ[y])`.
    MinLogit,
    /// The weighted mean with the smallest expected error: `Σᵢ wᵢ zᵢ` with
    ///
    /// ```text
    /// Cᵢⱼ = mean over samples of ⟨pᵢ − y, pⱼ − y⟩,    p = softmax(z)
    /// w = C⁻¹ 1 / (1ᵀ C⁻¹ 1),    negative ones set to zero and the rest divided by its sum
    /// ```
    ///
    /// over the labeled samples of the previous epoch. In the first epoch the weights are equal.
    /// The weights and the sums are part of the record. A validation uses the weights of the
    /// training epoch. It is for a training on one device: sums of other devices are lost.
    General,
    /// The mean of the probabilities of the others, without the student itself: `log(1/(m−1) · Σ
    /// pⱼ)` at temperature 1. The target of codistillation, and of mutual learning from an ensemble
    /// (DML_e).
    Others,
}

/// Collaborative learning (KDCL): an objective with one target that combines the logits of a
/// student and its peers.
///
/// ```text
/// L = objective(student, target(z of the student, z of its peers), targets)
/// ```
///
/// The target is a constant. The objective can be any on responses: with the cross-entropy and soft
/// targets this is KDCL. Each student processes a different view if the batch has several: see
/// [`MutualDistiller`](crate::MutualDistiller).
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_core::CrossEntropyObjective;
/// use burn_distill_strategy::{EnsembleObjective, EnsembleTarget};
///
/// let device = Device::default();
/// let inner = CrossEntropyObjective::new(0.5); // and soft targets at temperature 4 with 0.5
/// let objective = EnsembleObjective::new(EnsembleTarget::MinLogit, 3, inner, &device);
/// ```
///
/// # Reference
///
/// Q. Guo, X. Wang, Y. Wu, Z. Yu, D. Liang, X. Hu and P. Luo, [Online Knowledge Distillation via
/// Collaborative Learning](https://doi.org/10.1109/CVPR42600.2020.01103), CVPR 2020. The authors
/// have published no code: `Mean` agrees with shaoeric's
/// Online-Knowledge-Distillation-via-Collaborative-Learning, which uses a temperature of 4 and
/// weights of 0.5; the others are our interpretation. In the paper, `General` measures on held-out
/// samples; here it measures on the samples of the previous epoch.
#[doc(alias = "KDCL")]
#[derive(Module, Debug)]
pub struct EnsembleObjective<O> {
    /// Kind of target.
    #[module(skip)]
    pub target: EnsembleTarget,
    /// Training objective of the student with that target as the output of its teacher.
    pub objective: O,
    /// Errors of the students, for [`EnsembleTarget::General`].
    pub errors: Option<PeerErrors>,
    /// Number of students, including the one that is trained.
    pub students: usize,
}

/// The correlations of the errors of students that learn together.
#[derive(Module, Debug)]
pub struct PeerErrors {
    /// Weights from the previous epoch, with that of the trained student first. Shape:
    /// `[students]`.
    pub weights: Buffer<Tensor<1>>,
    /// Sums of products of errors over the samples of this epoch. Shape: `[students, students]`.
    pub products: Buffer<Tensor<2>>,
}

impl<O: Objective> EnsembleObjective<O> {
    /// Creates an objective with a kind of target for a number of students, including the one that
    /// is trained.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two students, or if the objective requires several views, or
    /// taps of the teacher, which an ensemble does not have.
    pub fn new(target: EnsembleTarget, students: usize, objective: O, device: &Device) -> Self {
        assert!(
            students >= 2,
            "An ensemble needs at least two students, but there are {students}."
        );
        let Requirements { teacher, views, .. } = objective.requirements();
        assert!(
            teacher == TapSelection::None,
            "An ensemble has no taps, but the objective requires {teacher:?} of it: use a loss on \
             responses."
        );
        assert_eq!(
            views, 1,
            "An ensemble has one view of each sample, but the objective requires {views} views."
        );
        let errors = (target == EnsembleTarget::General).then(|| PeerErrors {
            weights: Buffer::new(Tensor::full([students], 1.0 / students as f64, device)),
            products: Buffer::new(Tensor::zeros([students, students], device)),
        });
        Self {
            target,
            objective,
            errors,
            students,
        }
    }

    /// Computes the target from the logits of all students, with those of the trained student
    /// first.
    ///
    /// # Shapes
    ///
    /// - logits: `[batch_size, students, num_classes]`
    /// - output: `[batch_size, num_classes]`
    fn target(&self, logits: Tensor<3>, targets: &Targets) -> Tensor<2> {
        let [_, students, _] = logits.dims();
        let mean = logits.clone().mean_dim(1).squeeze_dim(1);
        let of_class: fn(Tensor<3>, &Labels) -> Tensor<2> = match self.target {
            EnsembleTarget::Mean => return mean,
            EnsembleTarget::Others => return others_mean(logits),
            EnsembleTarget::General => {
                let errors = self
                    .errors
                    .as_ref()
                    .expect("The errors are created with this target.");
                let weights = as_precise_as(errors.weights.get(), &logits);
                let weights = weights.reshape([1, students, 1]);
                return weighted(logits, weights);
            }
            EnsembleTarget::Naive => naive,
            EnsembleTarget::Linear => linear,
            EnsembleTarget::MinLogit => min_logit,
        };
        let Some(labels) = Labels::of(targets, &logits) else {
            return mean;
        };
        let target = of_class(logits, &labels);
        match labels.known {
            None => target,
            Some(known) => {
                let known = known.unsqueeze_dim::<2>(1).expand(target.shape());
                mean.mask_where(known, target)
            }
        }
    }
}

impl<O: Objective> Objective<Knowledge, Vec<Knowledge>> for EnsembleObjective<O> {
    fn requirements(&self) -> Requirements {
        self.objective.requirements()
    }

    fn forward(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Terms {
        let all = std::iter::once(context.student).chain(context.teacher);
        let logits: Vec<_> = all
            .map(|student| at_least_f32(class_logits(&student.response).without_autodiff()))
            .collect();
        assert_eq!(
            logits.len(),
            self.students,
            "The target combines {} students, but there are {}.",
            self.students,
            logits.len()
        );
        let logits: Tensor<3> = Tensor::stack(logits, 1);
        let training = class_logits(&context.student.response).is_autodiff();
        if let Some(errors) = self.errors.as_ref().filter(|_| training) {
            errors.measure(&logits, context.targets, context.clock);
        }
        let target = self.target(logits, context.targets);
        self.objective
            .forward(&context.with_teacher(&without_taps(target)))
    }
}

/// The labels of a batch in two forms.
struct Labels {
    /// Class of each sample, with any value where it is unknown. Shape: `[batch_size]`.
    classes: Tensor<1, Int>,
    /// Classes as probabilities. Shape: `[batch_size, num_classes]`.
    probabilities: Tensor<2>,
    /// True where the class is known; `None` if all are. Shape: `[batch_size]`.
    known: Option<Tensor<1, Bool>>,
}

impl Labels {
    /// Returns the labels of samples, if there are any, in the precision of their logits. Shape of
    /// the logits: `[batch_size, students, num_classes]`.
    fn of(targets: &Targets, logits: &Tensor<3>) -> Option<Self> {
        let [_, _, num_classes] = logits.dims();
        let (classes, known) = targets.class_labels()?;
        let classes = classes.without_autodiff();
        let probabilities = match targets {
            Targets::Probabilities { probabilities, .. } => {
                probabilities.clone().without_autodiff()
            }
            _ => classes.clone().one_hot(num_classes).float(),
        };
        let probabilities = as_precise_as(probabilities, logits);
        Some(Self {
            classes,
            probabilities,
            known: known.map(Tensor::without_autodiff),
        })
    }
}

/// Computes `Σᵢ wᵢ zᵢ`. Shapes: `[batch_size, students, num_classes]` and
/// `[batch_size or 1, students, 1]`.
fn weighted(logits: Tensor<3>, weights: Tensor<3>) -> Tensor<2> {
    logits.mul(weights).sum_dim(1).squeeze_dim(1)
}

fn others_mean(logits: Tensor<3>) -> Tensor<2> {
    let [_, students, _] = logits.dims();
    let others = softmax(logits.narrow(1, 1, students - 1), 2).mean_dim(1);
    // The logarithm of zero is not finite.
    others.squeeze_dim::<2>(1).clamp_min(1e-30).log()
}

fn naive(logits: Tensor<3>, labels: &Labels) -> Tensor<2> {
    let [batch_size, students, num_classes] = logits.dims();
    let rows = [batch_size * students, num_classes];
    let labels = labels.probabilities.clone().unsqueeze_dim::<3>(1);
    let labels = labels
        .expand([batch_size, students, num_classes])
        .reshape(rows);
    let log_predictions = tempered_log_softmax(logits.clone().reshape(rows), 1.0);
    let loss = cross_entropy_rows(labels, log_predictions).reshape([batch_size, students]);
    let best: Tensor<3, Int> = loss.argmin(1).unsqueeze_dim(2);
    let best = best.expand([batch_size, 1, num_classes]);
    logits.gather(1, best).squeeze_dim(1)
}

fn linear(logits: Tensor<3>, labels: &Labels) -> Tensor<2> {
    let [batch_size, students, _] = logits.dims();
    let mean: Tensor<2> = logits.clone().mean_dim(1).squeeze_dim(1);
    // The mean of all students does not depend on the weights.
    let deviations = logits.clone().sub(mean.clone().unsqueeze_dim(1));
    let range = deviations
        .clone()
        .max_dim(2)
        .sub(deviations.clone().min_dim(2));
    let range: Tensor<2> = range.max_dim(1).squeeze_dim(2);
    let rate = range.clamp_min(LEAST).recip().mul_scalar(STEP);

    let options = (&logits.device(), logits.dtype());
    let mut log_weights = Tensor::zeros([batch_size, students], options);
    let mut best = mean.clone();
    let mut least = Tensor::full([batch_size], f32::INFINITY, options);
    for step in 1..=STEPS {
        let weights = softmax(log_weights.clone(), 1).unsqueeze_dim::<3>(2);
        let target = mean.clone().add(weighted(deviations.clone(), weights));
        let log_predictions = tempered_log_softmax(target.clone(), 1.0);
        let loss = cross_entropy_rows(labels.probabilities.clone(), log_predictions.clone());
        let better = loss.clone().lower(least.clone());
        let each = better.clone().unsqueeze_dim::<2>(1).expand(target.shape());
        best = best.mask_where(each, target);
        least = least.mask_where(better, loss);

        let error = log_predictions.exp().sub(labels.probabilities.clone());
        let gradient = deviations.clone().mul(error.unsqueeze_dim(1)).sum_dim(2);
        let gradient: Tensor<2> = gradient.squeeze_dim(2);
        let rate = rate.clone().div_scalar((step as f64).sqrt());
        log_weights = log_weights.sub(gradient.mul(rate));
    }
    best
}

fn min_logit(logits: Tensor<3>, labels: &Labels) -> Tensor<2> {
    let [batch_size, students, _] = logits.dims();
    let classes: Tensor<3, Int> = labels.classes.clone().reshape([batch_size, 1, 1]);
    let of_class = logits
        .clone()
        .gather(2, classes.expand([batch_size, students, 1]));
    logits.sub(of_class).min_dim(1).squeeze_dim(1)
}

impl PeerErrors {
    /// Adds the errors of the students on a batch. An epoch starts with the weights from the
    /// previous one.
    fn measure(&self, logits: &Tensor<3>, targets: &Targets, clock: Clock) {
        if clock.batch == 0 && clock.epoch > 1 {
            let products = self.products.get();
            self.products.set(products.zeros_like());
            self.weights.set(least_error(products));
        }
        let Some(labels) = Labels::of(targets, logits) else {
            return;
        };
        let errors = softmax(logits.clone(), 2).sub(labels.probabilities.unsqueeze_dim(1));
        let errors = match labels.known {
            None => errors,
            Some(known) => {
                let unknown: Tensor<3, Bool> = known.bool_not().unsqueeze_dims(&[1, 2]);
                let unknown = unknown.expand(errors.shape());
                errors.mask_fill(unknown, 0.0)
            }
        };
        let products = errors.clone().matmul(errors.swap_dims(1, 2));
        let products: Tensor<2> = products.sum_dim(0).squeeze_dim(0);
        let before = as_precise_as(self.products.get(), &products);
        self.products.set(before.add(products));
    }
}

/// Returns the weights with the smallest error, from sums of products of errors at any scale.
fn least_error(products: Tensor<2>) -> Tensor<1> {
    let [students, _] = products.dims();
    let (device, dtype) = (products.device(), products.dtype());
    let eye = Tensor::<2>::eye(students, &device).cast(dtype);
    let trace: Tensor<2> = products.clone().mul(eye.clone()).sum().reshape([1, 1]);
    let ridge = trace.mul_scalar(RIDGE / students as f64).add_scalar(LEAST);
    let matrix = products.add(eye.mul(ridge));

    // Gauss–Jordan elimination: a positive definite matrix needs no pivoting.
    let mut rows = Tensor::cat(
        vec![matrix, Tensor::ones([students, 1], (&device, dtype))],
        1,
    );
    for pivot in 0..students {
        let row = rows.clone().narrow(0, pivot, 1);
        let row = row.clone().div(row.narrow(1, pivot, 1));
        let cleared = rows
            .clone()
            .sub(rows.narrow(1, pivot, 1).matmul(row.clone()));
        rows = cleared.slice_assign([pivot..pivot + 1, 0..students + 1], row);
    }
    let weights = rows.narrow(1, students, 1).clamp_min(0.0);
    let sum = weights.clone().sum_dim(0);
    weights.div(sum).reshape([students])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{TensorData, Tolerance};
    use burn_distill_core::CrossEntropyObjective;

    const CLASSES: usize = 3;

    fn objective(
        target: EnsembleTarget,
        students: usize,
    ) -> EnsembleObjective<CrossEntropyObjective> {
        EnsembleObjective::new(
            target,
            students,
            CrossEntropyObjective::new(1.0),
            &Device::default(),
        )
    }

    fn at(epoch: usize, batch: usize) -> Clock {
        Clock {
            epoch,
            batch,
            batches: 2,
        }
    }

    /// Logits of two students for two samples.
    fn logits() -> Tensor<3> {
        let values = [
            [[2.0, 0.5, -1.0], [0.0, 1.0, 0.5]],
            [[1.0, -1.0, 0.3], [0.2, 0.1, 2.0]],
        ];
        Tensor::from_data(values, &Device::default())
    }

    fn labels(known: Option<[bool; 2]>) -> Targets {
        let device = Device::default();
        Targets::Classes {
            classes: Tensor::from_data([0, 2], &device),
            labeled: known.map(|known| Tensor::from_data(known, &device)),
        }
    }

    fn assert_target(target: EnsembleTarget, targets: &Targets, expected: [[f32; 3]; 2]) {
        let actual = objective(target, 2).target(logits(), targets);
        actual
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(1e-5));
    }

    const MEAN: [[f32; 3]; 2] = [[1.0, 0.75, -0.25], [0.6, -0.45, 1.15]];

    #[test]
    fn targets_agree_with_those_computed_by_hand() {
        let known = labels(None);
        assert_target(EnsembleTarget::Mean, &known, MEAN);
        // The first student is correct on the first sample, the second on the second.
        let naive = [[2.0, 0.5, -1.0], [0.2, 0.1, 2.0]];
        assert_target(EnsembleTarget::Naive, &known, naive);
        // (0, −1.5, −3) and (0, 1, 0.5); (0.7, −1.3, 0) and (−1.8, −1.9, 0)
        let least = [[0.0, -1.5, -3.0], [-1.8, -1.9, 0.0]];
        assert_target(EnsembleTarget::MinLogit, &known, least);
        // Without a previous epoch the weights are equal.
        assert_target(EnsembleTarget::General, &known, MEAN);
    }

    #[test]
    fn the_target_of_the_others_excludes_the_student() {
        let target = objective(EnsembleTarget::Others, 2).target(logits(), &Targets::Unlabeled);

        let second = logits().narrow(1, 1, 1).squeeze_dim(1);
        let expected = tempered_log_softmax(second, 1.0);
        target
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn unlabeled_samples_have_the_mean() {
        for target in [
            EnsembleTarget::Naive,
            EnsembleTarget::Linear,
            EnsembleTarget::MinLogit,
        ] {
            assert_target(target, &Targets::Unlabeled, MEAN);
            assert_target(target, &labels(Some([false, false])), MEAN);
            let half = objective(target, 2).target(logits(), &labels(Some([true, false])));
            let all = objective(target, 2).target(logits(), &labels(None));
            let [half, all]: [Vec<f32>; 2] =
                [half, all].map(|target| target.into_data().try_to_vec().unwrap());
            assert_eq!(half[..3], all[..3]);
            assert_eq!(half[3..], MEAN[1]);
        }
    }

    #[test]
    fn linear_weights_are_close_to_the_best() {
        // Logits of three students.
        for scale in [1.0, 10.0, 100.0, 1e4] {
            let device = Device::default();
            let count = 8 * 3 * CLASSES;
            let values: Vec<f32> = (0..count)
                .map(|i| scale * (1.7 * i as f32 + 0.3).sin())
                .collect();
            let logits =
                Tensor::<1>::from_data(values.as_slice(), &device).reshape([8, 3, CLASSES]);
            let classes = Tensor::from_data([0, 1, 2, 0, 1, 2, 0, 1], &device);
            let labels = Labels::of(&Targets::classes(classes), &logits).unwrap();
            let loss = |target: Tensor<2>| -> Vec<f32> {
                let log = tempered_log_softmax(target, 1.0);
                let loss = cross_entropy_rows(labels.probabilities.clone(), log);
                loss.into_data().try_to_vec().unwrap()
            };

            let found = loss(linear(logits.clone(), &labels));
            // Every mean of the three with weights in steps of 1/40.
            let mut best = [f32::INFINITY; 8];
            for first in 0..=40 {
                for second in 0..=40 - first {
                    let weights = [first, second, 40 - first - second].map(|w| w as f32 / 40.0);
                    let weights = Tensor::<1>::from_data(weights, &device).reshape([1, 3, 1]);
                    for (best, loss) in best.iter_mut().zip(loss(weighted(logits.clone(), weights)))
                    {
                        *best = best.min(loss);
                    }
                }
            }
            let equal = loss(logits.mean_dim(1).squeeze_dim(1));
            assert!(found.iter().zip(&equal).all(|(f, e)| *f <= e + 1e-6));
            let sum = |values: &[f32]| values.iter().sum::<f32>();
            let (found, best, equal) = (sum(&found), sum(&best), sum(&equal));
            let left = (found - best) / (equal - best);
            assert!(left < 0.03, "{scale}: {left}");
        }
    }

    #[test]
    fn general_weights_are_from_the_previous_epoch() {
        let objective = objective(EnsembleTarget::General, 2);
        let errors = objective.errors.as_ref().unwrap();
        let targets = labels(None);
        let before: Vec<f32> = errors.weights.get().into_data().try_to_vec().unwrap();
        errors.measure(&logits(), &targets, at(1, 0));
        errors.measure(&logits(), &targets, at(1, 1));
        let during: Vec<f32> = errors.weights.get().into_data().try_to_vec().unwrap();
        assert_eq!(before, [0.5, 0.5]);
        assert_eq!(during, before);

        errors.measure(&logits(), &targets, at(2, 0));
        let target = objective.target(logits(), &targets);

        // By hand, in double precision: C of both samples, plus a thousandth of its mean diagonal.
        let softmax = |z: [f64; 3]| {
            let sum: f64 = z.iter().map(|z| z.exp()).sum();
            z.map(|z| z.exp() / sum)
        };
        let wrong = |z: [f64; 3], class: usize| {
            let mut p = softmax(z);
            p[class] -= 1.0;
            p
        };
        let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let firsts = [wrong([2.0, 0.5, -1.0], 0), wrong([1.0, -1.0, 0.3], 2)];
        let seconds = [wrong([0.0, 1.0, 0.5], 0), wrong([0.2, 0.1, 2.0], 2)];
        let sum = |left: [[f64; 3]; 2], right: [[f64; 3]; 2]| {
            dot(left[0], right[0]) + dot(left[1], right[1])
        };
        let (mut a, b, mut d) = (
            sum(firsts, firsts),
            sum(firsts, seconds),
            sum(seconds, seconds),
        );
        let ridge = RIDGE * (a + d) / 2.0;
        (a, d) = (a + ridge, d + ridge);
        let first = (d - b) / (a + d - 2.0 * b);
        let expected =
            |i: usize| (first * [2.0, 0.5, -1.0][i] + (1.0 - first) * [0.0, 1.0, 0.5][i]) as f32;
        let actual: Vec<f32> = target.into_data().try_to_vec().unwrap();
        for (class, actual) in actual[..3].iter().enumerate() {
            assert!((actual - expected(class)).abs() < 1e-4);
        }
        // The sums of the previous epoch do not count again.
        let products = errors.products.get();
        let diagonal = products.slice([0..1, 0..1]).into_scalar::<f32>();
        assert!((f64::from(diagonal) - (a - ridge)).abs() < 1e-4);
    }

    #[test]
    fn weights_sum_to_one_for_equal_perfect_and_useless_students() {
        let device = Device::default();
        for (products, expected) in [
            ([[0.0, 0.0], [0.0, 0.0]], [0.5, 0.5]),
            ([[3.0, 3.0], [3.0, 3.0]], [0.5, 0.5]),
            // Without the bound, the second would have a negative weight.
            ([[1.0, 2.0], [2.0, 5.0]], [1.0, 0.0]),
            ([[1e-8, 0.0], [0.0, 3e-8]], [0.75, 0.25]),
        ] {
            let weights = least_error(Tensor::from_data(products, &device));
            weights
                .into_data()
                .assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::absolute(2e-3));
        }
    }

    #[test]
    fn samples_without_labels_are_not_measured() {
        let objective = objective(EnsembleTarget::General, 2);
        for targets in [Targets::Unlabeled, labels(Some([false, false]))] {
            objective
                .errors
                .as_ref()
                .unwrap()
                .measure(&logits(), &targets, at(1, 0));
        }
        let products = objective.errors.unwrap().products.get();
        assert_eq!(products.abs().sum().into_scalar::<f32>(), 0.0);
    }

    #[test]
    #[should_panic(expected = "The target combines 3 students, but there are 2.")]
    fn another_number_of_students_is_refused() {
        let own = without_taps(logits().narrow(1, 0, 1).squeeze_dim(1));
        let others = vec![own.clone()];
        let context = Context::new(&own, &others, &Targets::Unlabeled, &[], at(1, 0));
        objective(EnsembleTarget::General, 3).forward(&context);
    }
}
