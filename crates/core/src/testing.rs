//! Test suite for losses, on any device, and a small loss and small networks for tests.
//!
//! A [`Trial`] describes a loss and its known properties. [`Trial::run`] runs these checks:
//!
//! | Check | What must hold |
//! | --- | --- |
//! | golden values | value and gradient are those of the authors' code, or else of the formula |
//! | perfect student | the loss is minimal, with zero gradient, if student and teacher are equal |
//! | constant teacher | no gradient flows to the teacher, with or without autodiff |
//! | differences | the gradient agrees with central differences |
//! | extreme inputs | value and gradient are finite |
//! | impossible classes | value and gradient are finite for logits of −∞ |
//! | invariances | changes that should not matter do not change the value |
//! | reductions | `Sum` is the mean times the number of rows, all others are the mean |
//! | mismatches | another batch size of the teacher is refused, and the message names the teacher |
//! | half precision | the value agrees with that in single precision, if the device supports it |
//!
//! A check that cannot hold for a loss is [skipped](Trial::skip) with a reason, which is printed.
//! A check that the device cannot run, for lack of half or double precision, is skipped likewise.
//! Only losses [of rows](Trial::of_rows) have reductions.
//!
//! ```
//! use burn::tensor::Tensor;
//! use burn_distill_core::testing::{Trial, wave};
//!
//! let squares = |student: Tensor<2>, teacher: Tensor<2>| {
//!     student.sub(teacher.without_autodiff()).square().mean()
//! };
//! Trial::new("mean squared error", [4, 5], squares)
//!     .golden(wave(3.0, 0.7, 0.3), wave(3.0, 1.1, 1.67), 9.256481, 1.360623)
//!     .minimum(0.0)
//!     .in_any_order()
//!     .skip("impossible classes", "the difference of two infinities has no value")
//!     .skip("mismatches", "burn names the shapes, not the argument")
//!     .run();
//! ```

mod losses;
mod networks;

pub use losses::*;
pub use networks::*;

use burn::nn::loss::Reduction;
use burn::tensor::activation::sigmoid;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Description of a loss between a tensor of the student and one of the teacher, both of rank `D`
/// with the batch as the first axis, and of the checks that it should pass.
pub struct Trial<const D: usize> {
    name: String,
    shape: [usize; D],
    teacher_shape: [usize; D],
    loss: Loss<D>,
    of_rows: bool,
    golden: Vec<Golden>,
    minimum: Option<f64>,
    minimum_tolerance: f64,
    invariances: Vec<Invariance<D>>,
    skipped: BTreeMap<&'static str, &'static str>,
    half_tolerance: f64,
    kinks: bool,
}

type Loss<const D: usize> = Box<dyn Fn(Tensor<D>, Tensor<D>, Reduction) -> Tensor<1>>;

/// Function from the position in a tensor, counted row by row, to the value.
pub type Fill = Box<dyn Fn(usize) -> f64>;

struct Golden {
    student: Fill,
    teacher: Fill,
    value: f64,
    gradient_norm: f64,
}

type Change<const D: usize> = Box<dyn Fn(Tensor<D>, Tensor<D>) -> (Tensor<D>, Tensor<D>)>;

struct Invariance<const D: usize> {
    name: &'static str,
    change: Change<D>,
}

/// Returns the function `amplitude · sin(frequency · n + phase)`, the input of most golden values.
/// For a cosine, add a [quarter turn](QUARTER) to the phase.
pub fn wave(amplitude: f64, frequency: f64, phase: f64) -> Fill {
    Box::new(move |n| amplitude * (frequency * n as f64 + phase).sin())
}

/// Quarter turn: `wave(a, f, p + QUARTER)` is `a · cos(f · n + p)`.
pub const QUARTER: f64 = std::f64::consts::FRAC_PI_2;

/// Value of a loss, and its gradient with respect to the student.
struct Outcome {
    value: f64,
    gradient: Vec<f64>,
}

/// Result of a trial: a line for each skipped part and a line for each failed check.
#[derive(Default)]
struct Report {
    left_out: Vec<String>,
    failures: Vec<String>,
}

/// Converts a check that never skips a part.
fn whole(check: impl Fn()) -> impl Fn() -> Vec<String> {
    move || {
        check();
        Vec::new()
    }
}

const CHECKS: [&str; 10] = [
    "golden values",
    "perfect student",
    "constant teacher",
    "differences",
    "extreme inputs",
    "impossible classes",
    "invariances",
    "reductions",
    "mismatches",
    "half precision",
];

impl<const D: usize> Trial<D> {
    /// Creates a trial of a loss that is reduced to one value, for tensors of a shape.
    pub fn new(
        name: impl Into<String>,
        shape: [usize; D],
        loss: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<1> + 'static,
    ) -> Self {
        Self::of(name, shape, false, move |student, teacher, _| {
            loss(student, teacher)
        })
    }

    /// Creates a trial of a loss of rows with a reduction. All checks but that of the reductions
    /// use its mean.
    pub fn of_rows(
        name: impl Into<String>,
        shape: [usize; D],
        loss: impl Fn(Tensor<D>, Tensor<D>, Reduction) -> Tensor<1> + 'static,
    ) -> Self {
        Self::of(name, shape, true, loss)
    }

    fn of(
        name: impl Into<String>,
        shape: [usize; D],
        of_rows: bool,
        loss: impl Fn(Tensor<D>, Tensor<D>, Reduction) -> Tensor<1> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            shape,
            teacher_shape: shape,
            loss: Box::new(loss),
            of_rows,
            golden: Vec::new(),
            minimum: None,
            minimum_tolerance: 1e-5,
            invariances: Vec::new(),
            skipped: BTreeMap::new(),
            half_tolerance: 0.03,
            kinks: false,
        }
    }

    /// Sets the shape of the teacher's tensor. Default: the shape of the student's tensor.
    pub fn teacher_shape(mut self, shape: [usize; D]) -> Self {
        self.teacher_shape = shape;
        self
    }

    /// Adds a golden value from the authors' code, or else from the formula: the value of the loss
    /// and the L2 norm of its gradient.
    pub fn golden(mut self, student: Fill, teacher: Fill, value: f64, gradient_norm: f64) -> Self {
        self.golden.push(Golden {
            student,
            teacher,
            value,
            gradient_norm,
        });
        self
    }

    /// Sets the minimum of the loss, which it has if student and teacher are equal.
    pub fn minimum(mut self, value: f64) -> Self {
        self.minimum = Some(value);
        self
    }

    /// Sets the tolerance of the minimum, for a loss whose numerical safeguards change it. Default:
    /// 1e-5.
    pub fn minimum_tolerance(mut self, tolerance: f64) -> Self {
        self.minimum_tolerance = tolerance;
        self
    }

    /// Declares that the gradient of the loss has jumps, like that of an absolute value.
    ///
    /// On a device without double precision, rounding decides on which side of the minimum a
    /// perfect student is, and differences are so wide that they cross jumps. There, these two
    /// checks skip the gradient.
    pub fn kinks(mut self) -> Self {
        self.kinks = true;
        self
    }

    /// Adds a change of the inputs that should not change the value.
    pub fn invariant(
        mut self,
        name: &'static str,
        change: impl Fn(Tensor<D>, Tensor<D>) -> (Tensor<D>, Tensor<D>) + 'static,
    ) -> Self {
        self.invariances.push(Invariance {
            name,
            change: Box::new(change),
        });
        self
    }

    /// Declares that the order of the samples does not matter. It is for a loss without labels or
    /// masks, which belong to certain samples.
    pub fn in_any_order(self) -> Self {
        self.invariant("the order of the samples", |student, teacher| {
            (student.flip([0]), teacher.flip([0]))
        })
    }

    /// Sets the relative tolerance in half precision. Default: 0.03.
    pub fn half_tolerance(mut self, tolerance: f64) -> Self {
        self.half_tolerance = tolerance;
        self
    }

    /// Skips a check that cannot hold for the loss, with a reason.
    ///
    /// # Panics
    ///
    /// Panics if there is no such check.
    pub fn skip(mut self, check: &'static str, reason: &'static str) -> Self {
        assert!(
            CHECKS.contains(&check),
            "There is no check `{check}`: use one of {CHECKS:?}."
        );
        self.skipped.insert(check, reason);
        self
    }

    /// Runs all checks on burn's default device, which the environment variable `BURN_DEVICE`
    /// selects.
    ///
    /// # Panics
    ///
    /// Panics after all checks if some failed. The message lists them.
    pub fn run(&self) {
        let Report { left_out, failures } = self.report();
        for line in left_out {
            println!("{}: {line}", self.name);
        }
        assert!(
            failures.is_empty(),
            "{} fails:\n  {}",
            self.name,
            failures.join("\n  ")
        );
    }

    fn report(&self) -> Report {
        let checks: [(&'static str, &dyn Fn() -> Vec<String>); 10] = [
            (CHECKS[0], &whole(|| self.golden_values())),
            (CHECKS[1], &|| self.perfect_student()),
            (CHECKS[2], &whole(|| self.constant_teacher())),
            (CHECKS[3], &|| self.differences()),
            (CHECKS[4], &whole(|| self.extreme_inputs())),
            (CHECKS[5], &whole(|| self.impossible_classes())),
            (CHECKS[6], &whole(|| self.invariant_values())),
            (CHECKS[7], &whole(|| self.reductions())),
            (CHECKS[8], &whole(|| self.mismatches())),
            (CHECKS[9], &|| self.half_precision()),
        ];
        let whole_batches = (!self.of_rows).then_some("the loss is of whole batches, not of rows");
        let mut report = Report::default();
        for (name, check) in checks {
            let skipped = self.skipped.get(name).copied();
            let reasons = match skipped.or(whole_batches.filter(|_| name == "reductions")) {
                Some(reason) => vec![format!("skipped, {reason}")],
                None => match catch_unwind(AssertUnwindSafe(check)) {
                    Ok(left_out) => left_out,
                    Err(panic) => {
                        let failure = format!("{name}: {}", message(&*panic));
                        report.failures.push(failure);
                        continue;
                    }
                },
            };
            let lines = reasons.iter().map(|reason| format!("{name}: {reason}"));
            report.left_out.extend(lines);
        }
        report
    }

    fn golden_values(&self) {
        assert!(
            !self.golden.is_empty(),
            "no golden value is given: add one, or skip the check"
        );
        for golden in &self.golden {
            let outcome = self.outcome(
                tensor(self.shape, &golden.student, DType::F32),
                tensor(self.teacher_shape, &golden.teacher, DType::F32),
            );
            assert_close("value", outcome.value, golden.value, 1e-5);
            assert_close(
                "gradient",
                norm(&outcome.gradient),
                golden.gradient_norm,
                1e-4,
            );
        }
    }

    fn perfect_student(&self) -> Vec<String> {
        let Some(minimum) = self.minimum else {
            panic!("no minimum is given: set it, or skip the check");
        };
        let teacher = tensor(self.teacher_shape, &plain_teacher(), DType::F32);
        let perfect = self.outcome(teacher.clone(), teacher.clone());
        assert!(
            (perfect.value - minimum).abs() <= self.minimum_tolerance * (1.0 + minimum.abs()),
            "the value is {}, not {minimum}",
            perfect.value
        );
        let size = norm(&perfect.gradient);
        let jumps = self.kinks && !computes_in_double_precision();
        assert!(jumps || size < 1e-3, "the gradient has a norm of {size}");

        let other = self.outcome(tensor(self.shape, &plain_student(), DType::F32), teacher);
        assert!(
            other.value > perfect.value,
            "the loss of another student is not larger"
        );
        let reason = || "the gradient is skipped: in single precision, rounding decides on the side of a jump";
        jumps.then(reason).map(String::from).into_iter().collect()
    }

    fn constant_teacher(&self) {
        let student = self.student().autodiff().require_grad();
        let teacher = self.teacher().autodiff().require_grad();

        let loss = self.mean(student.clone(), teacher.clone());
        let grads = loss.clone().backward();
        assert!(
            student.grad(&grads).is_some(),
            "the student has no gradient"
        );
        assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");

        let off_autodiff = self.outcome(self.student(), self.teacher());
        assert_close("value off autodiff", off_autodiff.value, scalar(loss), 1e-6);
    }

    fn differences(&self) -> Vec<String> {
        // In single precision, the error of a wide step is due to the curvature of the loss and
        // that of a narrow one due to rounding, so one of the two has to agree.
        let (dtype, steps, tolerance) = match computes_in_double_precision() {
            true => (DType::F64, &[1e-4][..], 1e-5),
            false if self.kinks => {
                return vec!["skipped, in single precision they cross jumps".into()];
            }
            false => (DType::F32, &[3e-2, 1e-2][..], 3e-2),
        };
        let student = tensor(self.shape, &plain_student(), dtype);
        let teacher = tensor(self.teacher_shape, &plain_teacher(), dtype);
        let gradient = self.outcome(student.clone(), teacher.clone()).gradient;
        let size = norm(&gradient).max(1e-6);
        let precision = self.mean(student.clone(), teacher.clone()).dtype();
        assert_eq!(
            precision, dtype,
            "the precision of the loss is not the student's"
        );

        let values: Vec<f64> = student.into_data().iter::<f64>().collect();
        for (index, expected) in gradient.iter().enumerate() {
            let value = |step: f64| {
                let mut moved = values.clone();
                moved[index] += step;
                let student = from_values(self.shape, moved, dtype);
                scalar(self.mean(student, teacher.clone()))
            };
            let difference = |step: &f64| (value(*step) - value(-step)) / (2.0 * step);
            let error = |difference: f64| (difference - expected).abs() / size;
            assert!(
                steps.iter().any(|step| error(difference(step)) < tolerance),
                "element {index}: the gradient is {expected}, differences give {:?}",
                steps.iter().map(difference).collect::<Vec<_>>()
            );
        }
        Vec::new()
    }

    fn extreme_inputs(&self) {
        let row: usize = self.shape[1..].iter().product();
        let constant = |value: f64| -> Fill { Box::new(move |_| value) };
        let scaled = |scale: f64| -> Fill { Box::new(move |n| scale * (0.7 * n as f64).sin()) };
        let same_rows = || -> Fill { Box::new(move |n| (0.7 * (n % row) as f64).sin()) };
        let zero_row =
            || -> Fill { Box::new(move |n| if n < row { 0.0 } else { (0.7 * n as f64).sin() }) };
        let inputs: [(&str, Fill, Fill); 9] = [
            ("all zero", constant(0.0), constant(0.0)),
            ("a zero student", constant(0.0), plain_teacher()),
            ("a zero teacher", plain_student(), constant(0.0)),
            ("all equal", constant(1.0), constant(-2.0)),
            ("identical", plain_student(), plain_student()),
            ("equal rows", same_rows(), same_rows()),
            ("a zero row", zero_row(), plain_teacher()),
            ("huge values", scaled(1e4), scaled(-1e4)),
            ("tiny values", scaled(1e-4), scaled(-1e-4)),
        ];
        for (name, student, teacher) in inputs {
            for batch_size in [self.shape[0], 1, 2] {
                self.assert_finite(name, |shape| shape[0] = batch_size, &student, &teacher);
            }
            // One and two classes, or features.
            for last in [1, 2] {
                let narrow = |shape: &mut [usize; D]| {
                    shape[0] = 2;
                    shape[D - 1] = last;
                };
                self.assert_finite(name, narrow, &student, &teacher);
            }
            // Maps that are taller than wide, and wider than tall.
            for axis in [2, 3].into_iter().filter(|_| D == 4) {
                self.assert_finite(name, |shape| shape[axis] *= 2, &student, &teacher);
            }
        }
    }

    fn impossible_classes(&self) {
        let last = self.shape[D - 1];
        let excluded = |fill: Fill| -> Fill {
            Box::new(move |n| match n % last {
                1 => f64::NEG_INFINITY,
                _ => fill(n),
            })
        };
        let student = excluded(plain_student());
        let teacher = excluded(plain_teacher());
        for batch_size in [self.shape[0], 1, 2] {
            let name = "a class that both exclude";
            self.assert_finite(name, |shape| shape[0] = batch_size, &student, &teacher);
        }
    }

    fn invariant_values(&self) {
        assert!(
            !self.invariances.is_empty(),
            "no invariance is given: add one with `invariant`, or skip the check"
        );
        let before = self.outcome(self.student(), self.teacher()).value;
        for Invariance { name, change } in &self.invariances {
            let (student, teacher) = change(self.student(), self.teacher());
            let after = self.outcome(student, teacher).value;
            assert_close(name, after, before, 1e-4);
        }
    }

    fn reductions(&self) {
        let mean = scalar(self.mean(self.student(), self.teacher()));
        for reduction in [
            Reduction::Mean,
            Reduction::Auto,
            Reduction::BatchMean,
            Reduction::Sum,
        ] {
            let name = format!("{reduction:?}");
            let expected = match reduction {
                Reduction::Sum => mean * self.shape[0] as f64,
                Reduction::Mean | Reduction::Auto | Reduction::BatchMean => mean,
            };
            let value = (self.loss)(self.student(), self.teacher(), reduction.clone());
            assert_close(&name, scalar(value), expected, 1e-5);

            // A training step on an empty batch should work.
            let none = |mut shape: [usize; D]| {
                shape[0] = 0;
                tensor(shape, &plain_student(), DType::F32)
            };
            let student = none(self.shape).autodiff().require_grad();
            let teacher = none(self.teacher_shape);
            let value = (self.loss)(student.clone(), teacher, reduction);
            let grads = value.clone().backward();
            assert_eq!(scalar(value), 0.0, "{name} of no rows");
            assert!(
                student.grad(&grads).is_some(),
                "{name} of no rows is not connected to the graph"
            );
        }
    }

    fn mismatches(&self) {
        let mut shape = self.teacher_shape;
        shape[0] += 1;
        let teacher = tensor(shape, &plain_teacher(), DType::F32);
        let refused = catch_unwind(AssertUnwindSafe(|| {
            self.mean(self.student(), teacher).into_data()
        }));
        match refused {
            Ok(_) => panic!("a teacher of another batch size is accepted"),
            Err(panic) => {
                let message = message(&*panic);
                assert!(
                    message.contains("teacher"),
                    "the teacher is not named: {message}"
                );
            }
        }
    }

    fn half_precision(&self) -> Vec<String> {
        let expected = self.outcome(self.student(), self.teacher()).value;
        let mut left_out = Vec::new();
        for dtype in [DType::F16, DType::BF16] {
            if !Device::default().supports_dtype(dtype) {
                left_out.push(format!("{dtype:?} skipped, the device does not have it"));
                continue;
            }
            let outcome = self.outcome(
                tensor(self.shape, &plain_student(), dtype),
                tensor(self.teacher_shape, &plain_teacher(), dtype),
            );
            assert_close(
                &format!("{dtype:?}"),
                outcome.value,
                expected,
                self.half_tolerance,
            );
            assert!(outcome.gradient.iter().all(|value| value.is_finite()));
        }
        left_out
    }

    /// Asserts that value and gradient are finite for tensors of a changed shape.
    fn assert_finite(
        &self,
        name: &str,
        change: impl Fn(&mut [usize; D]),
        student: &Fill,
        teacher: &Fill,
    ) {
        let changed = |mut shape: [usize; D]| {
            change(&mut shape);
            shape
        };
        let student = tensor(changed(self.shape), student, DType::F32);
        let teacher = tensor(changed(self.teacher_shape), teacher, DType::F32);
        let place = format!("{name}, shape {:?}", student.dims());
        // A GPU reports an error only when the result is read.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.outcome(student, teacher)));
        let outcome = outcome.unwrap_or_else(|panic| panic!("{place}: {}", message(&*panic)));
        assert!(
            outcome.value.is_finite(),
            "{place}: the value is {}",
            outcome.value
        );
        assert!(
            outcome.gradient.iter().all(|value| value.is_finite()),
            "{place}: the gradient is {:?}",
            outcome.gradient
        );
    }

    fn mean(&self, student: Tensor<D>, teacher: Tensor<D>) -> Tensor<1> {
        (self.loss)(student, teacher, Reduction::Mean)
    }

    fn outcome(&self, student: Tensor<D>, teacher: Tensor<D>) -> Outcome {
        let student = student.autodiff().require_grad();
        let loss = self.mean(student.clone(), teacher);
        assert_eq!(loss.dims(), [1], "a loss is one value");
        let grads = loss.clone().backward();
        let gradient = student.grad(&grads).expect("the student has a gradient");
        Outcome {
            value: scalar(loss),
            gradient: gradient.into_data().iter::<f64>().collect(),
        }
    }

    fn student(&self) -> Tensor<D> {
        tensor(self.shape, &plain_student(), DType::F32)
    }

    fn teacher(&self) -> Tensor<D> {
        tensor(self.teacher_shape, &plain_teacher(), DType::F32)
    }
}

/// Returns whether the default device computes correctly in double precision. Some devices accept
/// it but compute wrong values, some compute a sigmoid in single precision.
pub fn computes_in_double_precision() -> bool {
    let device = Device::default();
    device.supports_dtype(DType::F64) && {
        let one = Tensor::<1>::from_data([1.0_f64], (&device, DType::F64));
        let root = one.exp().add_scalar(1.0).log().into_scalar::<f64>();
        let half = Tensor::<1>::from_data([0.5_f64], (&device, DType::F64));
        let logistic = sigmoid(half).into_scalar::<f64>();
        (root - (1.0_f64.exp() + 1.0).ln()).abs() < 1e-12
            && (logistic - 1.0 / (1.0 + (-0.5_f64).exp())).abs() < 1e-12
    }
}

/// Returns values without special properties.
fn plain_student() -> Fill {
    wave(1.5, 0.7, 0.3)
}

fn plain_teacher() -> Fill {
    wave(1.5, 1.1, 0.1 + QUARTER)
}

fn tensor<const D: usize>(shape: [usize; D], fill: &Fill, dtype: DType) -> Tensor<D> {
    let values = (0..shape.iter().product()).map(fill).collect();
    from_values(shape, values, dtype)
}

fn from_values<const D: usize>(shape: [usize; D], values: Vec<f64>, dtype: DType) -> Tensor<D> {
    let device = Device::default();
    Tensor::from_data(TensorData::new(values, shape), (&device, dtype))
}

fn scalar(value: Tensor<1>) -> f64 {
    value.into_scalar::<f64>()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn assert_close(what: &str, actual: f64, expected: f64, tolerance: f64) {
    let error = (actual - expected).abs();
    assert!(
        error <= tolerance * expected.abs().max(1e-2),
        "{what}: {actual} is not {expected}"
    );
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()))
        .unwrap_or_else(|| "a panic without a message".into())
}

/// Asserts that a type can be shared between threads and moved.
pub fn assert_shareable<T: Send + Sync + Unpin>() {}

/// Asserts that a configuration does not change if it is written as JSON and read again.
///
/// # Panics
///
/// Panics if it changes.
pub fn assert_round_trip<C: burn::config::Config + std::fmt::Display>(config: &C) {
    let text = config.to_string();
    let read = C::load_binary(text.as_bytes()).expect("the configuration is read back");
    assert_eq!(read.to_string(), text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, features] = student.dims();
        assert_eq!(teacher.dims(), [batch_size, features], "of the teacher");
        student.sub(teacher.without_autodiff()).square().mean()
    }

    fn trial(loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1> + 'static) -> Trial<2> {
        Trial::new("squares", [4, 5], loss)
            .minimum(0.0)
            .skip("golden values", "above")
            .skip("impossible classes", "infinities have no difference")
    }

    #[test]
    fn skipped_checks_are_reported() {
        let report = trial(squares).in_any_order().report();

        assert_eq!(report.failures, [""; 0]);
        let device = Device::default();
        let halves = [DType::F16, DType::BF16];
        let missing = halves.iter().filter(|half| !device.supports_dtype(**half));
        let mut expected = vec![
            "golden values: skipped, above".to_string(),
            "impossible classes: skipped, infinities have no difference".into(),
            "reductions: skipped, the loss is of whole batches, not of rows".into(),
        ];
        expected.extend(
            missing.map(|half| {
                format!("half precision: {half:?} skipped, the device does not have it")
            }),
        );
        assert_eq!(report.left_out, expected);
    }

    #[test]
    fn jumps_are_skipped_only_in_single_precision() {
        let absolute = |student: Tensor<2>, teacher: Tensor<2>| {
            let [batch_size, features] = student.dims();
            assert_eq!(teacher.dims(), [batch_size, features], "of the teacher");
            student.sub(teacher.without_autodiff()).abs().mean()
        };
        let report = trial(absolute).in_any_order().kinks().report();

        assert_eq!(report.failures, [""; 0]);
        let jumps = |line: &&String| line.contains("jumps");
        let expected = if computes_in_double_precision() { 0 } else { 2 };
        assert_eq!(report.left_out.iter().filter(jumps).count(), expected);
    }

    #[test]
    fn a_trial_needs_an_invariance_or_a_reason_for_none() {
        let silent = trial(squares).report();
        assert_eq!(
            silent.failures,
            ["invariances: no invariance is given: add one with `invariant`, or skip the check"]
        );

        let excused = trial(squares).skip("invariances", "all matters").report();
        assert_eq!(excused.failures, [""; 0]);

        // A change that does matter is detected.
        let shifted = trial(squares).invariant("a shift", |student, teacher| {
            (student.add_scalar(1.0), teacher)
        });
        let [failure] = &shifted.report().failures[..] else {
            panic!("one check fails");
        };
        assert!(failure.starts_with("invariances: a shift: "), "{failure}");
    }
}
