use burn::tensor::{Bool, Device, Tensor, TensorData, Tolerance};

/// Returns the mask of the tokens of the fixtures: all count but the last one of every sequence
/// except the first.
pub fn ragged(batch_size: usize, length: usize) -> Tensor<2, Bool> {
    let counts = (0..batch_size * length).map(|n| n < length || n % length + 1 < length);
    let data = TensorData::new(counts.collect::<Vec<_>>(), [batch_size, length]);
    Tensor::from_data(data, &Device::default())
}

/// Creates the fixture `amplitude · sin(frequency · n + phase)`, where `n` counts the elements row
/// by row.
pub fn waves<const D: usize>(
    shape: [usize; D],
    [amplitude, frequency, phase]: [f64; 3],
) -> Tensor<D> {
    let values = (0..shape.iter().product())
        .map(|n: usize| amplitude * (frequency * n as f64 + phase).sin());
    let data = TensorData::new(values.collect::<Vec<_>>(), shape);
    Tensor::from_data(data, &Device::default())
}

/// Computes a loss and the gradient of the student.
pub fn outcome<const D: usize>(
    student: Tensor<D>,
    loss: impl FnOnce(Tensor<D>) -> Tensor<1>,
) -> (f64, TensorData) {
    let student = student.autodiff().require_grad();
    let loss = loss(student.clone());
    let grads = loss.clone().backward();
    let gradient = student.grad(&grads).expect("the student has a gradient");
    (loss.into_scalar::<f64>(), gradient.into_data())
}

/// Computes the L2 norm of a gradient.
pub fn norm(gradient: &TensorData) -> f64 {
    let squares = gradient.iter::<f64>().map(|value| value * value);
    squares.sum::<f64>().sqrt()
}

/// Asserts a value and the norm of its gradient against a reference.
///
/// # Panics
///
/// Panics if they differ.
pub fn assert_golden((value, gradient): &(f64, TensorData), expected: f64, expected_norm: f64) {
    assert!(
        (value - expected).abs() < 1e-5 * expected,
        "{value} is not {expected}"
    );
    let norm = norm(gradient);
    assert!(
        (norm - expected_norm).abs() < 1e-4 * expected_norm,
        "the gradient {norm} is not {expected_norm}"
    );
}

/// Asserts that padding may contain any value and has no gradient, and that the loss of a batch of
/// padding is zero, still connected to the autodiff graph.
///
/// `pad` writes a value to the tokens that [`ragged`] does not count.
///
/// # Panics
///
/// Panics if one of these properties does not hold.
pub fn assert_padding_does_not_count<const D: usize>(
    student: Tensor<D>,
    teacher: Tensor<D>,
    length: usize,
    pad: impl Fn(Tensor<D>, f32) -> Tensor<D>,
    loss: impl Fn(Tensor<D>, Tensor<D>, Option<Tensor<2, Bool>>) -> Tensor<1>,
) {
    let batch_size = student.dims()[0];
    let mask = ragged(batch_size, length);
    let at = |value: f32| {
        let teacher = pad(teacher.clone(), value);
        outcome(pad(student.clone(), value), |student| {
            loss(student, teacher, Some(mask.clone()))
        })
    };
    let (expected, expected_gradient) = at(0.5);
    assert!(expected > 1e-3, "nothing is compared: {expected}");
    for anything in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1e4, 1e4] {
        let (value, gradient) = at(anything);
        assert!(
            (value - expected).abs() < 1e-6 * expected,
            "padding of {anything}: {value} is not {expected}"
        );
        gradient.assert_approx_eq::<f32>(&expected_gradient, Tolerance::absolute(1e-6));
    }

    let nothing = mask.clone().bool_and(mask.bool_not());
    let (value, gradient) = outcome(student.clone(), |student| {
        loss(student, teacher.clone(), Some(nothing))
    });
    assert_eq!(value, 0.0);
    assert_eq!(norm(&gradient), 0.0);
}

/// Writes a value to the tokens that do not count.
pub fn pad_tokens(sequence: Tensor<3>, value: f32) -> Tensor<3> {
    let [batch_size, length, features] = sequence.dims();
    let padding = ragged(batch_size, length).bool_not().unsqueeze_dim::<3>(2);
    sequence.mask_fill(padding.expand([batch_size, length, features]), value)
}

/// Writes a value to the scores of queries and keys that do not count.
pub fn pad_scores(scores: Tensor<4>, value: f32) -> Tensor<4> {
    let [batch_size, heads, length, _] = scores.dims();
    let shape = [batch_size, heads, length, length];
    let padding = ragged(batch_size, length).bool_not();
    let queries = padding.clone().unsqueeze_dims::<4>(&[1, 3]).expand(shape);
    let keys = padding.unsqueeze_dims::<4>(&[1, 2]).expand(shape);
    scores.mask_fill(queries.bool_or(keys), value)
}

/// Joins the features of all heads. From `[batch_size, heads, length, features]` to `[batch_size,
/// length, heads · features]`.
pub fn join_heads(heads: Tensor<4>) -> Tensor<3> {
    let [batch_size, number, length, features] = heads.dims();
    heads
        .swap_dims(1, 2)
        .reshape([batch_size, length, number * features])
}
