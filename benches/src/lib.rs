//! Shared code of the benches: tensors with the shapes of losses' inputs, and a step to time.
//!
//! ```text
//! cargo bench -p burn-distill-benches --bench relations
//! ```
//!
//! Each bench is one forward and one backward pass of a loss on the CPU, without the networks. The
//! allocator reports the peak of allocated memory.

pub mod naive;

use burn::tensor::{Device, Tensor, TensorData};

/// Counts allocations, to report the peak memory of a bench.
pub use divan::AllocProfiler;

/// Returns a tensor of sines in which every element is different.
pub fn waves<const D: usize>(shape: [usize; D], frequency: f64, device: &Device) -> Tensor<D> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|n| (frequency * n as f64).sin() as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Times one forward and one backward pass of a loss between tensors of these shapes.
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
