//! Relations between samples and between layers.

use burn::tensor::{Device, Tensor};
use burn_distill::relation::*;
use burn_distill_benches::{AllocProfiler, step};
use divan::Bencher;

#[global_allocator]
static ALLOCATED: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const FEATURES: usize = 256;
const BATCHES: [usize; 4] = [64, 256, 512, 1024];

fn vectors(
    bencher: Bencher<'_, '_>,
    batch: usize,
    loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
) {
    step(bencher, [batch, FEATURES], [batch, FEATURES], loss);
}

#[divan::bench(args = [64, 256])]
fn relational_representation(bencher: Bencher<'_, '_>, batch: usize) {
    let device = Device::flex().autodiff();
    let loss = RelationalRepresentationLossConfig::new().init([FEATURES, FEATURES], &device);
    vectors(bencher, batch, |student, teacher| {
        loss.forward(student, teacher)
    });
}
