//! Losses computed a chunk of rows at a time.

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor, Tolerance};
use burn_distill_response::*;

#[test]
fn chunked() {
    for chunk_rows in [1, 3, 100] {
        let loss = SoftTargetLossConfig::new().init();
        distribution(Chunked::new(loss).with_chunk_rows(chunk_rows))
            .golden(student_wave(), teacher_wave(), 3.43276022, 0.609944507)
            .minimum(0.0)
            .run();
    }
}

#[test]
fn an_excluded_class_contributes_nothing() {
    let device = Device::default().autodiff();
    let excluded = Tensor::full([4, 1], f32::NEG_INFINITY, &device);
    let widened = |logits| Tensor::cat(vec![logits, excluded.clone()], 1);
    let outcome = |chunked: bool| {
        let leaf = student(&device).require_grad();
        let (student, teacher) = (widened(leaf.clone()), widened(teacher(&device)));
        let loss = SoftTargetLossConfig::new().init();
        let loss = match chunked {
            true => Chunked::new(loss)
                .with_chunk_rows(3)
                .forward(student, teacher, Reduction::Sum),
            false => loss.forward(student, teacher, Reduction::Sum),
        };
        let grads = loss.backward();
        (loss.into_data(), leaf.grad(&grads).unwrap().into_data())
    };

    let ((value, gradient), (expected, expected_gradient)) = (outcome(true), outcome(false));
    let tolerance = Tolerance::rel_abs(1e-5, 1e-6);
    value.assert_approx_eq::<f32>(&expected, tolerance);
    gradient.assert_approx_eq::<f32>(&expected_gradient, tolerance);
}
