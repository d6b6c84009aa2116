//! Trial of a loss over several layers, with the checks that `Trial` has for a loss on one.

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use burn_distill_core::testing::{Fill, QUARTER, computes_in_double_precision, wave};
use burn_distill_core::{MultiLayerLoss, Tap};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Creates a tensor with these values.
pub fn filled<const D: usize>(shape: [usize; D], fill: &Fill) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(fill).collect();
    let device = Device::default();
    Tensor::from_data(TensorData::new(values, shape), (&device, DType::F32))
}

/// Returns the values of the `index`-th parameter in the golden values of losses with several.
pub fn parameter<const D: usize>(index: usize, shape: [usize; D]) -> Param<Tensor<D>> {
    let fill = wave(0.3, 0.5, 0.1 * (index + 1) as f64);
    Param::from_tensor(filled(shape, &fill))
}

pub fn norm<const D: usize>(gradient: Tensor<D>) -> f64 {
    gradient.square().sum().into_scalar::<f64>().sqrt()
}

pub fn assert_close(what: &str, actual: f64, expected: f64) {
    let error = (actual - expected).abs();
    assert!(
        error < 1e-4 * expected.abs().max(1e-2),
        "{what}: {actual} is not {expected}"
    );
}

const CHECKS: [&str; 3] = ["perfect student", "invariances", "differences"];

/// Loss over several layers on trial.
pub struct LayersTrial<L> {
    name: &'static str,
    loss: L,
    student: Vec<[usize; 4]>,
    teacher: Vec<[usize; 4]>,
    dtype: DType,
    /// Maps of a perfect student, computed from those of its teacher.
    perfect: Option<fn(Vec<Tensor<4>>) -> Vec<Tensor<4>>>,
    skipped: Vec<(&'static str, &'static str)>,
}

impl<L: MultiLayerLoss> LayersTrial<L> {
    /// Creates the trial of a loss, which is on autodiff, between maps of these shapes. Fixed
    /// parameters replace those that the loss was initialized with.
    pub fn new(
        loss: L,
        student: impl Into<Vec<[usize; 4]>>,
        teacher: impl Into<Vec<[usize; 4]>>,
    ) -> Self {
        Self {
            name: loss.name(),
            loss: loss.map(&mut Settle(0)),
            student: student.into(),
            teacher: teacher.into(),
            dtype: DType::F32,
            perfect: None,
            skipped: Vec::new(),
        }
    }

    /// Sets the maps of a perfect student, whose loss and gradient are zero.
    pub fn perfect(mut self, student: fn(Vec<Tensor<4>>) -> Vec<Tensor<4>>) -> Self {
        self.perfect = Some(student);
        self
    }

    /// Leaves out a check that cannot hold.
    pub fn skip(mut self, check: &'static str, reason: &'static str) -> Self {
        assert!(CHECKS.contains(&check), "There is no check `{check}`.");
        self.skipped.push((check, reason));
        self
    }

    /// Runs every check.
    pub fn run(self) {
        self.unless_skipped(CHECKS[0], Self::perfect_student);
        self.constant_teacher();
        self.extreme_inputs();
        self.unless_skipped(CHECKS[1], Self::any_order);
        self.mismatches();
        self.half_precision();
        self.differences();
    }

    fn unless_skipped(&self, check: &str, run: impl FnOnce(&Self)) {
        if !self.skips(check) {
            run(self);
        }
    }

    /// Returns whether a check is left out, and prints the reason if it is.
    fn skips(&self, check: &str) -> bool {
        let mut skipped = self.skipped.iter();
        let reason = skipped.find_map(|(skipped, reason)| (*skipped == check).then_some(reason));
        if let Some(reason) = reason {
            println!("{}: {check}: skipped, {reason}", self.name);
        }
        reason.is_some()
    }

    fn maps(&self, shapes: &[[usize; 4]], batch_size: usize, fill: &Fill) -> Vec<Tensor<4>> {
        let shapes = shapes.iter().map(|&[_, c, h, w]| [batch_size, c, h, w]);
        shapes
            .map(|shape| filled(shape, fill).cast(self.dtype))
            .collect()
    }

    fn student(&self) -> Vec<Tensor<4>> {
        let batch_size = self.student[0][0];
        self.maps(&self.student, batch_size, &wave(1.5, 0.7, 0.3))
    }

    fn teacher(&self) -> Vec<Tensor<4>> {
        let batch_size = self.teacher[0][0];
        self.maps(&self.teacher, batch_size, &wave(1.5, 1.1, 0.1 + QUARTER))
    }

    fn value(&self, student: &[Tensor<4>], teacher: &[Tensor<4>]) -> Tensor<1> {
        let taps = |maps: &[Tensor<4>]| maps.iter().cloned().map(Tap::Map).collect();
        self.loss.forward_layers(taps(student), taps(teacher), None)
    }

    /// Computes the value, the gradients of the student, and all gradients.
    fn outcome(
        &self,
        student: Vec<Tensor<4>>,
        teacher: &[Tensor<4>],
    ) -> (f64, Vec<Tensor<4>>, Gradients) {
        let student: Vec<_> = student
            .into_iter()
            .map(|map| map.autodiff().require_grad())
            .collect();
        let value = self.value(&student, teacher);
        assert_eq!(value.dims(), [1], "a loss is one value");
        let grads = value.clone().backward();
        let gradients = student
            .iter()
            .map(|map| map.grad(&grads).unwrap_or_else(|| map.zeros_like()))
            .collect();
        (value.into_scalar::<f64>(), gradients, grads)
    }

    fn perfect_student(&self) {
        let perfect = self.perfect.expect("a perfect student is given");
        let (value, gradients, _) = self.outcome(perfect(self.teacher()), &self.teacher());
        assert!(value.abs() < 1e-5, "the value is {value}");
        let size = size(&gradients);
        assert!(size < 1e-3, "the gradient has a norm of {size}");

        let (other, ..) = self.outcome(self.student(), &self.teacher());
        assert!(other > value, "another student is not worse");
    }

    fn constant_teacher(&self) {
        let teacher: Vec<_> = self
            .teacher()
            .into_iter()
            .map(|map| map.autodiff().require_grad())
            .collect();
        let (value, _, grads) = self.outcome(self.student(), &teacher);

        assert!(teacher.iter().all(|map| map.grad(&grads).is_none()));
        let (off_autodiff, ..) = self.outcome(self.student(), &self.teacher());
        assert_close("value off autodiff", off_autodiff, value);
    }

    /// Checks that every element of the gradient agrees with central differences where the device
    /// computes in double precision. Elsewhere it checks that the loss changes by the norm of its
    /// gradient along it.
    fn differences(self) {
        if self.skips(CHECKS[2]) {
            return;
        }
        if !computes_in_double_precision() {
            println!(
                "{}: differences: only along the gradient, in single precision",
                self.name
            );
            return self.along_the_gradient(0.002, 0.02);
        }
        // `valid` first: running statistics that wait for their update would stay in single
        // precision.
        let double = Self {
            loss: self.loss.valid().train().map(&mut InDouble),
            dtype: DType::F64,
            ..self
        };
        double.along_the_gradient(1e-5, 1e-6);

        const STEP: f64 = 1e-5;
        let (_, gradients, _) = double.outcome(double.student(), &double.teacher());
        let size = size(&gradients);
        for (layer, gradient) in gradients.into_iter().enumerate() {
            let gradient: Vec<f64> = gradient.into_data().iter::<f64>().collect();
            for (index, expected) in gradient.into_iter().enumerate() {
                let value = |step: f64| {
                    let mut moved = double.student();
                    moved[layer] = step_at(moved[layer].clone(), index, step);
                    double.plain_value(moved)
                };
                let difference = (value(STEP) - value(-STEP)) / (2.0 * STEP);
                assert!(
                    (difference - expected).abs() < 1e-5 * size,
                    "layer {layer}, element {index}: the gradient is {expected}, differences give \
                     {difference}"
                );
            }
        }
    }

    fn along_the_gradient(&self, step: f64, tolerance: f64) {
        let (_, gradients, _) = self.outcome(self.student(), &self.teacher());
        let size = size(&gradients);
        assert!(size > 1e-6, "the student has no gradient");

        let value = |step: f64| {
            let student = self.student().into_iter().zip(&gradients);
            let moved = student
                .map(|(map, gradient)| map.add(gradient.clone().mul_scalar(step / size)))
                .collect();
            self.plain_value(moved)
        };
        let difference = (value(step) - value(-step)) / (2.0 * step);
        assert!(
            (difference - size).abs() < tolerance * size,
            "the gradient is {size}, differences give {difference}"
        );
    }

    /// Computes the value of a student, as in training but without its gradient.
    fn plain_value(&self, student: Vec<Tensor<4>>) -> f64 {
        let student: Vec<_> = student.into_iter().map(Tensor::autodiff).collect();
        self.value(&student, &self.teacher()).into_scalar::<f64>()
    }

    fn extreme_inputs(&self) {
        let constant = |value: f64| -> Fill { Box::new(move |_| value) };
        let plain = || wave(1.5, 0.7, 0.3);
        // At least the first two rows of pixels are zero, as dead channels are.
        let dead = || -> Fill { Box::new(|n| if n < 8 { 0.0 } else { (0.7 * n as f64).sin() }) };
        let inputs: [(&str, Fill, Fill); 8] = [
            ("all zero", constant(0.0), constant(0.0)),
            ("a zero student", constant(0.0), plain()),
            ("a zero teacher", plain(), constant(0.0)),
            ("all equal", constant(1.0), constant(-2.0)),
            ("identical", plain(), plain()),
            ("dead channels", dead(), dead()),
            ("huge values", wave(1e4, 0.7, 0.0), wave(-1e4, 1.1, 0.0)),
            ("tiny values", wave(1e-4, 0.7, 0.0), wave(-1e-4, 1.1, 0.0)),
        ];
        for batch_size in [self.student[0][0], 1, 2] {
            for (name, student, teacher) in &inputs {
                let teacher = self.maps(&self.teacher, batch_size, teacher);
                let student = self.maps(&self.student, batch_size, student);
                self.assert_finite(&format!("{name}, {batch_size} samples"), student, &teacher);
            }
            let equal = |maps: Vec<Tensor<4>>| -> Vec<_> {
                let rows = maps.into_iter().map(|map| map.narrow(0, 0, 1));
                rows.map(|row| row.repeat_dim(0, batch_size)).collect()
            };
            self.assert_finite(
                &format!("equal rows, {batch_size} samples"),
                equal(self.student()),
                &equal(self.teacher()),
            );
        }
    }

    /// Asserts that the value and all gradients are finite.
    fn assert_finite(&self, place: &str, student: Vec<Tensor<4>>, teacher: &[Tensor<4>]) {
        let (value, gradients, grads) = self.outcome(student, teacher);
        assert!(value.is_finite(), "{place}: the value is {value}");
        for gradient in gradients {
            assert_finite(gradient, place);
        }
        self.loss.visit(&mut Finite {
            grads: &grads,
            place,
        });
    }

    /// Checks that the order of the samples does not matter and that gradients follow their
    /// samples.
    fn any_order(&self) {
        let flip = |maps: Vec<Tensor<4>>| -> Vec<_> {
            maps.into_iter().map(|map| map.flip([0])).collect()
        };
        let (expected, gradients, _) = self.outcome(self.student(), &self.teacher());
        let (value, turned, _) = self.outcome(flip(self.student()), &flip(self.teacher()));
        assert_close("the order of the samples", value, expected);
        let allowed = 1e-4 * size(&gradients);
        let apart = flip(turned).into_iter().zip(gradients);
        let apart: Vec<_> = apart.map(|(a, b)| a.sub(b)).collect();
        let apart = size(&apart);
        assert!(
            apart < allowed,
            "gradients in another order: {apart} apart, {allowed} is allowed"
        );
    }

    fn mismatches(&self) {
        let batch_size = self.student[0][0];
        let fill = wave(1.0, 0.7, 0.3);
        let larger = self.maps(&self.teacher, batch_size + 1, &fill);
        let mut fewer = self.teacher();
        fewer.pop();
        for teacher in [larger, fewer] {
            let refused = catch_unwind(AssertUnwindSafe(|| self.value(&self.student(), &teacher)));
            let panic = refused.expect_err("the teacher is refused");
            let message = panic.downcast_ref::<String>().unwrap();
            assert!(message.contains("teacher"), "{message}");
        }
    }

    fn half_precision(&self) {
        let (expected, ..) = self.outcome(self.student(), &self.teacher());
        for dtype in [DType::F16, DType::BF16] {
            if !Device::default().supports_dtype(dtype) {
                println!(
                    "{}: half precision: {dtype:?} skipped, the device does not have it",
                    self.name
                );
                continue;
            }
            let half = |maps: Vec<Tensor<4>>| -> Vec<_> {
                maps.into_iter().map(|map| map.cast(dtype)).collect()
            };
            let (student, teacher) = (half(self.student()), half(self.teacher()));
            self.assert_finite(&format!("{dtype:?}"), student.clone(), &teacher);
            let (value, gradients, _) = self.outcome(student, &teacher);
            let error = (value - expected).abs();
            assert!(error < 0.05 * expected, "{value} is not {expected}");
            assert!(size(&gradients) > 0.0, "{dtype:?}: there is no gradient");
        }
    }
}

/// Computes the norm of several maps together.
fn size(maps: &[Tensor<4>]) -> f64 {
    let square = |map: &Tensor<4>| {
        let values = map.clone().into_data().convert::<f64>();
        values.iter::<f64>().map(|value| value * value).sum::<f64>()
    };
    maps.iter().map(square).sum::<f64>().sqrt()
}

/// Returns a map with a step added to one element.
fn step_at(map: Tensor<4>, index: usize, step: f64) -> Tensor<4> {
    let options = (&map.device(), map.dtype());
    let shape = map.dims();
    let mut values: Vec<f64> = map.into_data().iter::<f64>().collect();
    values[index] += step;
    Tensor::from_data(TensorData::new(values, shape), options)
}

fn assert_finite<const D: usize>(gradient: Tensor<D>, place: &str) {
    let finite = gradient.is_finite().all().into_scalar::<bool>();
    assert!(finite, "{place}: a gradient is not finite");
}

/// Collects the gradients of the parameters of a loss.
struct Finite<'a> {
    grads: &'a Gradients,
    place: &'a str,
}

impl ModuleVisitor for Finite<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.grads) {
            assert_finite(gradient, self.place);
        }
    }
}

/// Sets the parameters of a module to fixed values, those of vectors to values around one.
struct Settle(usize);

impl ModuleMapper for Settle {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let fill = wave(0.3, 1.3, 0.7 * self.0 as f64);
        self.0 += 1;
        param.map(|tensor| {
            let center = if D == 1 { 1.0 } else { 0.0 };
            let values = filled(tensor.dims(), &fill).add_scalar(center);
            Tensor::from_data(values.into_data(), &tensor.device()).require_grad()
        })
    }
}

/// Converts the parameters of a module to double precision.
struct InDouble;

impl ModuleMapper for InDouble {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            tensor
                .without_autodiff()
                .cast(DType::F64)
                .autodiff()
                .require_grad()
        })
    }
}
