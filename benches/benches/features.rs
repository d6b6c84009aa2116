//! Losses on features.

use burn::tensor::Tensor;
use burn_distill::feature::*;
use burn_distill_benches::{AllocProfiler, step};
use divan::Bencher;

#[global_allocator]
static ALLOCATED: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// The stages of resnet32x4 and resnet8x4 on CIFAR: their maps are of one shape.
const STAGES: [[usize; 4]; 3] = [[64, 64, 32, 32], [64, 128, 16, 16], [64, 256, 8, 8]];

fn maps(bencher: Bencher<'_, '_>, stage: usize, loss: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<1>) {
    step(bencher, STAGES[stage], STAGES[stage], loss);
}

#[divan::bench(args = [0, 1, 2])]
fn attention_transfer(bencher: Bencher<'_, '_>, stage: usize) {
    let loss = AttentionTransferLossConfig::new().init();
    maps(bencher, stage, |student, teacher| {
        loss.forward(student, teacher)
    });
}
