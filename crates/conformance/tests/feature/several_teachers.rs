//! Inputs of the losses on the features of several teachers, those of
//! `crates/feature/scripts/several_teachers.py`.

use crate::layers_trial::{filled, parameter};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::testing::wave;
use burn_distill_core::{MultiLayerLoss, NamedLoss, Tap, Targets};
use burn_distill_feature::{MapProjection, TeacherMapsLoss};

/// Channels of the maps of the teachers.
pub const TEACHERS: [usize; 3] = [5, 4, 6];

pub fn student() -> Tensor<4> {
    filled([4, 3, 4, 4], &wave(1.0, 0.37, 0.2))
}

/// Returns a map of each teacher, in squares of these sizes.
pub fn teachers(sizes: [usize; 3]) -> Vec<Tensor<4>> {
    let maps = TEACHERS.into_iter().zip(sizes).enumerate();
    let maps = maps.map(|(number, (channels, size))| {
        let fill = wave(1.0, 0.31 + 0.1 * number as f64, 0.2);
        filled([4, channels, size, size], &fill).abs()
    });
    maps.collect()
}

/// Sets the parameters of the projections.
pub fn set(projections: &mut [MapProjection]) {
    for (number, projection) in projections.iter_mut().enumerate() {
        let [outputs, inputs, ..] = projection.conv.weight.dims();
        let first = 4 * number;
        projection.conv.weight = parameter(first, [outputs, inputs, 1, 1]);
        projection.conv.bias = Some(parameter(first + 1, [outputs]));
        let scale = parameter(first + 2, [outputs]).map(|scale: Tensor<1>| scale.add_scalar(1.0));
        projection.norm.gamma = scale;
        projection.norm.beta = parameter(first + 3, [outputs]);
    }
}

/// Returns the classifiers of the teachers, for three classes.
pub fn classifiers() -> Vec<Linear> {
    let classifiers = TEACHERS.iter().enumerate();
    let classifiers = classifiers.map(|(number, &channels)| Linear {
        weight: parameter(20 + 2 * number, [channels, 3]).map(|weight| weight.mul_scalar(4.0)),
        bias: Some(parameter(21 + 2 * number, [3]).map(|bias: Tensor<1>| bias.mul_scalar(4.0))),
    });
    classifiers.collect()
}

/// A loss of several teachers as a loss between layers, where all samples are of class 1.
#[derive(Module, Debug)]
pub struct OfOneClass<L> {
    loss: L,
}

impl<L> OfOneClass<L> {
    pub fn new(loss: L) -> Self {
        Self { loss }
    }
}

impl<L: TeacherMapsLoss> NamedLoss for OfOneClass<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: TeacherMapsLoss> MultiLayerLoss for OfOneClass<L> {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        _: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [student] = <[Tap; 1]>::try_from(student).expect("there is one map of the student");
        let student = student.into_map();
        let classes = Tensor::ones([student.dims()[0]], &student.device());
        let teachers = teacher.into_iter().map(Tap::into_map).collect();
        self.loss
            .forward_maps(student, teachers, &Targets::classes(classes))
    }
}
