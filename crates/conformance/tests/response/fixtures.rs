//! Logits from which the golden values are computed. `scripts/response.py` computes the same in
//! double precision.

use crate::trials::{SHAPE, student_wave, teacher_wave};
use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};
use burn_distill_conformance::assert_golden;
use burn_distill_core::testing::Fill;
use burn_distill_core::{Knowledge, Response, Taps};

/// Classes of the rows.
pub const LABELS: [i64; 4] = [0, 2, 4, 1];

/// Classes of the rows, as a tensor.
pub fn labels(device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(LABELS, device)
}

/// Logits of the student: `3 sin(0.7 n + 0.3)`, where `n` counts the elements row by row.
pub fn student(device: &Device) -> Tensor<2> {
    series(SHAPE, student_wave(), device)
}

/// Logits of the teacher: `3 cos(1.1 n + 0.1)`, where `n` counts the elements row by row.
pub fn teacher(device: &Device) -> Tensor<2> {
    series(SHAPE, teacher_wave(), device)
}

/// Creates a tensor from values that depend on the position of the element, counted row by row.
pub fn series<const D: usize>(shape: [usize; D], fill: Fill, device: &Device) -> Tensor<D> {
    let values: Vec<f64> = (0..shape.iter().product()).map(fill).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// `softmax(student / 4)`, from scripts/response.py.
pub const STUDENT_SOFTMAX: [[f64; 5]; 4] = [
    [0.15753303, 0.23724615, 0.26553418, 0.20947248, 0.13021416],
    [0.17330846, 0.13173849, 0.14136927, 0.20717398, 0.34640979],
    [0.25989751, 0.28843755, 0.22580840, 0.13991589, 0.08594065],
    [0.09689252, 0.10486936, 0.15456776, 0.25850379, 0.38516657],
];

/// `softmax(teacher / 4)`, from scripts/response.py.
pub const TEACHER_SOFTMAX: [[f64; 5]; 4] = [
    [0.39303697, 0.24454977, 0.11306281, 0.09024714, 0.15910330],
    [0.30471551, 0.33815066, 0.17735808, 0.08899924, 0.09077651],
    [0.17599323, 0.32782953, 0.28410117, 0.13394182, 0.07813424],
    [0.10050108, 0.21870177, 0.34039910, 0.23367443, 0.10672362],
];

/// Logits of a student for four samples of three classes.
pub fn small_student(device: &Device) -> Tensor<2> {
    let rows = [
        [2.0, 0.5, -1.0],
        [0.0, 1.0, 0.5],
        [1.0, -1.0, 0.3],
        [0.2, 0.1, 2.0],
    ];
    Tensor::from_data(rows, device)
}

/// Logits of a teacher for four samples of three classes.
pub fn small_teacher(device: &Device) -> Tensor<2> {
    let rows = [
        [3.0, 0.0, -1.0],
        [0.5, 2.0, 0.0],
        [2.0, -2.0, 0.0],
        [0.0, 0.0, 3.0],
    ];
    Tensor::from_data(rows, device)
}

/// Classes of the samples of `small_student` and `small_teacher`.
pub const SMALL_LABELS: [i64; 4] = [0, 1, 0, 2];

/// Knowledge of a response without taps.
pub fn knowledge(response: impl Into<Response>) -> Knowledge {
    Knowledge {
        response: response.into(),
        taps: Taps::default(),
    }
}

/// Two sequences of two tokens with logits of five classes.
pub fn tokens(rows: Tensor<2>, mask: [[bool; 2]; 2]) -> Knowledge {
    let mask = Tensor::from_data(mask, &rows.device());
    knowledge(Response::Tokens {
        logits: rows.reshape([2, 2, 5]),
        mask,
    })
}

/// Asserts the value of a loss between `student` and `teacher`, the L2 norm of its gradient, and
/// that the teacher has no gradient.
pub fn assert_value_and_gradient(
    loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
    value: f64,
    norm: f64,
) {
    assert_value_and_gradient_of(student, teacher, loss, value, norm);
}

/// Asserts the same as `assert_value_and_gradient` for other logits.
pub fn assert_value_and_gradient_of(
    student: impl Fn(&Device) -> Tensor<2>,
    teacher: impl Fn(&Device) -> Tensor<2>,
    loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
    value: f64,
    norm: f64,
) {
    let device = Device::default().autodiff();
    let student = student(&device).require_grad();
    let teacher = teacher(&device).require_grad();

    let loss = loss(student.clone(), teacher.clone());
    let grads = loss.clone().backward();

    let gradient = student.grad(&grads).unwrap().into_data();
    assert_golden(&(loss.into_scalar::<f64>(), gradient), value, norm);
    assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");
}

/// Asserts the values of the four rows.
pub fn assert_rows(rows: Tensor<1>, expected: [f64; 4]) {
    rows.into_data()
        .assert_approx_eq::<f32>(&TensorData::from(expected), Tolerance::relative(1e-5));
}

/// Asserts the value of a loss up to the rounding of single precision.
pub fn assert_near(loss: Tensor<1>, expected: f64) {
    let value = loss.into_scalar::<f64>();
    let close = (value - expected).abs() <= 1e-5 * expected.abs().max(1.0);
    assert!(close, "{value} is not {expected}");
}
