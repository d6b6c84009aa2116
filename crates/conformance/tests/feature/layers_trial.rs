//! What every loss over several layers owes its users, as `Trial` checks it of a loss on one.

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use burn_distill_core::testing::{Fill, QUARTER, wave};
use burn_distill_core::{LayersLoss, Tap};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A tensor with these values.
pub fn filled<const D: usize>(shape: [usize; D], fill: &Fill) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(fill).collect();
    let device = Device::default();
    Tensor::from_data(TensorData::new(values, shape), (&device, DType::F32))
}

/// The values of the `index`-th parameter in the golden values of what has several.
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

/// A loss over several layers on trial.
pub struct LayersTrial<L> {
    loss: L,
    student: Vec<[usize; 4]>,
    teacher: Vec<[usize; 4]>,
}

impl<L: LayersLoss> LayersTrial<L> {
    /// A loss on autodiff, with other parameters than it was drawn with, between maps of these
    /// shapes.
    pub fn new(
        loss: L,
        student: impl Into<Vec<[usize; 4]>>,
        teacher: impl Into<Vec<[usize; 4]>>,
    ) -> Self {
        Self {
            loss: loss.map(&mut Settle(0)),
            student: student.into(),
            teacher: teacher.into(),
        }
    }

    /// Check everything.
    pub fn run(&self) {
        self.constant_teacher();
        self.differences();
        self.extreme_inputs();
        self.mismatches();
        self.half_precision();
    }

    fn maps(shapes: &[[usize; 4]], batch_size: usize, fill: &Fill) -> Vec<Tensor<4>> {
        let shapes = shapes.iter().map(|&[_, c, h, w]| [batch_size, c, h, w]);
        shapes.map(|shape| filled(shape, fill)).collect()
    }

    fn student(&self) -> Vec<Tensor<4>> {
        let batch_size = self.student[0][0];
        Self::maps(&self.student, batch_size, &wave(1.5, 0.7, 0.3))
    }

    fn teacher(&self) -> Vec<Tensor<4>> {
        let batch_size = self.teacher[0][0];
        Self::maps(&self.teacher, batch_size, &wave(1.5, 1.1, 0.1 + QUARTER))
    }

    fn value(&self, student: &[Tensor<4>], teacher: &[Tensor<4>]) -> Tensor<1> {
        let taps = |maps: &[Tensor<4>]| maps.iter().cloned().map(Tap::Map).collect();
        self.loss.forward_layers(taps(student), taps(teacher))
    }

    /// The value, the gradients of the student, and all of them.
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

    /// Along the gradient, the loss changes by its norm.
    fn differences(&self) {
        let (_, gradients, _) = self.outcome(self.student(), &self.teacher());
        let square = |map: &Tensor<4>| map.clone().square().sum().into_scalar::<f64>();
        let size = gradients.iter().map(square).sum::<f64>().sqrt();
        assert!(size > 1e-6, "the student has no gradient");

        let value = |step: f64| {
            let student = self.student().into_iter().zip(&gradients);
            let moved: Vec<_> = student
                .map(|(map, gradient)| map.add(gradient.clone().mul_scalar(step / size)))
                .map(Tensor::autodiff)
                .collect();
            self.value(&moved, &self.teacher()).into_scalar::<f64>()
        };
        const STEP: f64 = 0.002;
        let difference = (value(STEP) - value(-STEP)) / (2.0 * STEP);
        assert!(
            (difference - size).abs() < 0.02 * size,
            "the gradient is {size}, differences give {difference}"
        );
    }

    fn extreme_inputs(&self) {
        let constant = |value: f64| -> Fill { Box::new(move |_| value) };
        let plain = || wave(1.5, 0.7, 0.3);
        // The first two rows of pixels at least are zero: dead channels.
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
        for (name, student, teacher) in inputs {
            for batch_size in [self.student[0][0], 1, 2] {
                let teacher = Self::maps(&self.teacher, batch_size, &teacher);
                let student = Self::maps(&self.student, batch_size, &student);
                let (value, gradients, grads) = self.outcome(student, &teacher);
                let place = format!("{name}, {batch_size} samples");
                assert!(value.is_finite(), "{place}: the value is {value}");
                for gradient in gradients {
                    assert_finite(gradient, &place);
                }
                self.loss.visit(&mut Finite {
                    grads: &grads,
                    place: &place,
                });
            }
        }
    }

    fn mismatches(&self) {
        let batch_size = self.student[0][0];
        let fill = wave(1.0, 0.7, 0.3);
        let larger = Self::maps(&self.teacher, batch_size + 1, &fill);
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
                continue;
            }
            let half = |maps: Vec<Tensor<4>>| -> Vec<_> {
                maps.into_iter().map(|map| map.cast(dtype)).collect()
            };
            let (value, ..) = self.outcome(half(self.student()), &half(self.teacher()));
            let error = (value - expected).abs();
            assert!(error < 0.05 * expected, "{value} is not {expected}");
        }
    }
}

fn assert_finite<const D: usize>(gradient: Tensor<D>, place: &str) {
    let finite = gradient.is_finite().all().into_scalar::<bool>();
    assert!(finite, "{place}: a gradient is not finite");
}

/// Looks at the gradients of what a loss has to learn.
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

/// Gives a module parameters that depend on nothing else, of vectors around one.
struct Settle(usize);

impl ModuleMapper for Settle {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let fill = wave(0.3, 1.3, 0.7 * self.0 as f64);
        self.0 += 1;
        param.map(|tensor| {
            let centre = if D == 1 { 1.0 } else { 0.0 };
            let values = filled(tensor.dims(), &fill).add_scalar(centre);
            Tensor::from_data(values.into_data(), &tensor.device()).require_grad()
        })
    }
}
