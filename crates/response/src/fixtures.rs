//! The logits that the tests share. `scripts/response.py` computes the same in double precision.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// The class of each row.
pub const LABELS: [i64; 4] = [0, 2, 4, 1];

/// The class of each row, as a tensor.
pub fn labels(device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(LABELS, device)
}

/// `3 sin(0.7 n + 0.3)` with `n` counting row by row.
pub fn student(device: &Device) -> Tensor<2> {
    logits(|n| 3.0 * (0.7 * n + 0.3).sin(), device)
}

/// `3 cos(1.1 n + 0.1)` with `n` counting row by row.
pub fn teacher(device: &Device) -> Tensor<2> {
    logits(|n| 3.0 * (1.1 * n + 0.1).cos(), device)
}

fn logits(value: impl Fn(f64) -> f64, device: &Device) -> Tensor<2> {
    let values: Vec<f64> = (0..20).map(|n| value(n as f64)).collect();
    Tensor::from_data(TensorData::new(values, [4, 5]), device)
}

/// Assert the value of a loss, the L2 norm of its gradient, and that the teacher gets none.
pub fn assert_value_and_gradient(
    loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
    value: f64,
    norm: f64,
) {
    assert_value_and_gradient_of(student, teacher, loss, value, norm);
}

/// The same for other logits.
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

    assert_close("value", loss.into_scalar::<f64>(), value);
    let gradient = student.grad(&grads).unwrap();
    let square = gradient.square().sum().into_scalar::<f64>();
    assert_close("norm of the gradient", square.sqrt(), norm);
    assert!(teacher.grad(&grads).is_none(), "the teacher has a gradient");
}

fn assert_close(what: &str, actual: f64, expected: f64) {
    // A few roundings of single precision.
    let close = (actual - expected).abs() <= 3e-6 * expected.abs();
    assert!(close, "{what}: {actual} is not {expected}");
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

/// Logits of four samples of three classes.
pub fn small_student(device: &Device) -> Tensor<2> {
    let rows = [
        [2.0, 0.5, -1.0],
        [0.0, 1.0, 0.5],
        [1.0, -1.0, 0.3],
        [0.2, 0.1, 2.0],
    ];
    Tensor::from_data(rows, device)
}

/// Those of their teacher.
pub fn small_teacher(device: &Device) -> Tensor<2> {
    let rows = [
        [3.0, 0.0, -1.0],
        [0.5, 2.0, 0.0],
        [2.0, -2.0, 0.0],
        [0.0, 0.0, 3.0],
    ];
    Tensor::from_data(rows, device)
}

/// The class of each of them.
pub const SMALL_LABELS: [i64; 4] = [0, 1, 0, 2];
