//! What the benches share: tensors of the shapes that losses see, and a step to time.
//!
//! ```text
//! cargo bench -p burn-distill-benches --bench relations
//! ```
//!
//! Each bench is one forward and one backward pass of a loss on the CPU, without the networks. The
//! allocator tells how much was held at most.

pub mod naive;

use burn::tensor::{Device, Tensor, TensorData};

/// Counts what is allocated, for the memory that a bench holds at most.
pub use divan::AllocProfiler;

/// A tensor of sines, each element another.
pub fn waves<const D: usize>(shape: [usize; D], frequency: f64, device: &Device) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|n| (frequency * n as f64).sin() as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Time one forward and one backward pass of a loss between tensors of these shapes.
pub fn step<const D: usize>(
    bencher: divan::Bencher<'_, '_>,
    student: [usize; D],
    teacher: [usize; D],
    loss: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<1>,
) {
    let plain = Device::flex();
    let student = waves(student, 0.7, &plain.clone().autodiff()).require_grad();
    let teacher = waves(teacher, 0.37, &plain);
    bencher.bench_local(|| {
        let value = loss(student.clone(), teacher.clone());
        let grads = value.backward();
        student.grad(&grads)
    });
}
