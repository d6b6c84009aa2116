//! Helpers that the trials of relations share: the features of the golden values, and changes that
//! relations are invariant to.

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_distill_core::testing::{Fill, Trial, wave};

/// Features of the student for four samples.
pub const STUDENT: [[f64; 2]; 4] = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.5]];

/// Features of the teacher for the same samples.
pub const TEACHER: [[f64; 3]; 4] = [
    [1.0, 2.0, 0.0],
    [0.0, 1.0, 1.0],
    [1.0, 0.0, 3.0],
    [2.0, 1.0, 1.0],
];

pub const SHAPE: [usize; 2] = [4, 2];
pub const TEACHER_SHAPE: [usize; 2] = [4, 3];

pub fn student() -> Fill {
    values(STUDENT)
}

pub fn teacher() -> Fill {
    values(TEACHER)
}

fn values<const D: usize>(rows: [[f64; D]; 4]) -> Fill {
    Box::new(move |n| rows.get(n / D).map_or(0.0, |row| row[n % D]))
}

/// `max(sin(frequency · n + 0.3 · frequency) + 0.4, 0)`, a map after its activation.
pub fn activation(frequency: f64) -> Fill {
    Box::new(move |n| ((frequency * (n as f64 + 0.3)).sin() + 0.4).max(0.0))
}

/// Creates the trial of a loss of features, two of the student and three of the teacher.
pub fn trial(name: String, loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1> + 'static) -> Trial<2> {
    Trial::new(name, SHAPE, loss)
        .teacher_shape(TEACHER_SHAPE)
        .skip(
            "impossible classes",
            "features are finite: there is nothing to exclude",
        )
}

/// Returns the samples in another order.
pub fn reordered<const D: usize>(student: Tensor<D>, teacher: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
    (student.flip([0]), teacher.flip([0]))
}

/// Rotates and mirrors the features of student and teacher.
pub fn rotated(student: Tensor<2>, teacher: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let rotate = |features: Tensor<2>| {
        let [_, size] = features.dims();
        let options = (&features.device(), features.dtype());
        // A reflection along v: I − 2 v vᵀ / ‖v‖².
        let v = Tensor::<1>::from_data(
            TensorData::new((1..=size).map(|n| n as f64).collect(), [size]),
            options,
        );
        let v = v.clone().div(v.square().sum().sqrt()).unsqueeze_dim::<2>(1);
        let along = features.clone().matmul(v.clone()).matmul(v.transpose());
        features.sub(along.mul_scalar(2.0))
    };
    (rotate(student), rotate(teacher))
}

/// Multiplies the features of student and teacher by a number.
pub fn scaled<const D: usize>(student: Tensor<D>, teacher: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
    (student.mul_scalar(3.0), teacher.mul_scalar(0.2))
}

/// Multiplies the features of each sample by a different number.
pub fn scaled_each(student: Tensor<2>, teacher: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let scale = |features: Tensor<2>| {
        let factors = Tensor::from_data([[0.5], [1.0], [2.0], [4.0]], &Device::default());
        features.mul(factors)
    };
    (scale(student), scale(teacher))
}

/// Shifts the features of student and teacher far from the origin.
pub fn shifted(student: Tensor<2>, teacher: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    (student.add_scalar(100.0), teacher.sub_scalar(100.0))
}

/// Computes the value of a loss and the gradient of the student's features.
pub fn value_and_gradient<const D: usize>(
    loss: impl Fn(Tensor<D>) -> Tensor<1>,
    student: Tensor<D>,
) -> (f64, Tensor<D>) {
    let student = student.autodiff().require_grad();
    let value = loss(student.clone());
    let grads = value.backward();
    let value = value.into_scalar::<f64>();
    (
        value,
        student.grad(&grads).expect("the student has a gradient"),
    )
}

/// Asserts that two losses have the same value and gradient.
pub fn assert_same(
    student: Tensor<2>,
    a: impl Fn(Tensor<2>) -> Tensor<1>,
    b: impl Fn(Tensor<2>) -> Tensor<1>,
    tolerance: f64,
) {
    let (value, gradient) = value_and_gradient(a, student.clone());
    let (expected, expected_gradient) = value_and_gradient(b, student);
    assert!(
        (value - expected).abs() <= tolerance * expected.abs(),
        "{value} is not {expected}"
    );
    let norm = |gradient: Tensor<2>| gradient.square().sum().sqrt().into_scalar::<f64>();
    let size = norm(expected_gradient.clone());
    let error = norm(gradient.sub(expected_gradient));
    assert!(
        error <= tolerance * size,
        "the gradients, of norm {size}, are {error} apart"
    );
}

/// Creates features without a visible pattern.
pub fn features(samples: usize, size: usize, frequency: f64) -> Tensor<2> {
    let values = (0..samples * size).map(|n| (frequency * n as f64 + 0.3).sin());
    Tensor::from_data(
        TensorData::new(values.collect::<Vec<_>>(), [samples, size]).convert::<f32>(),
        &Device::default(),
    )
}

/// Returns the weights and biases of a layer that embeds features.
pub fn embedding_weights(
    shape: [usize; 2],
    [frequency, phase, bias]: [f64; 3],
    (device, dtype): (&Device, DType),
) -> (Tensor<2>, Tensor<1>) {
    let fill = wave(0.6, frequency, phase);
    let values: Vec<_> = (0..shape[0] * shape[1]).map(fill).collect();
    let options = (device, dtype);
    let weights = Tensor::from_data(TensorData::new(values, shape), options);
    (weights, Tensor::full([shape[1]], bias, options))
}

/// Creates a layer with these weights.
pub fn embedding(shape: [usize; 2], values: [f64; 3], options: (&Device, DType)) -> Linear {
    let (weight, bias) = embedding_weights(shape, values, options);
    Linear {
        weight: Param::from_tensor(weight),
        bias: Some(Param::from_tensor(bias)),
    }
}

/// Returns the precision of a loss of features of a precision: half is widened to single.
pub fn precision(features: &Tensor<2>) -> DType {
    match features.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}
