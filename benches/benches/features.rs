//! Losses on features, one forward and one backward pass each, on the taps of a resnet32x4 and a
//! resnet8x4 for a batch of 64 CIFAR images. Adapters between the two are included only if they are
//! part of a loss.
//!
//! ```text
//! cargo bench -p burn-distill-benches --bench features
//! ```

use burn::tensor::{Device, Tensor};
use burn_distill::architecture::ParaphraserConfig;
use burn_distill::feature::*;
use burn_distill_benches::{AllocProfiler, naive, step, waves};
use divan::Bencher;

#[global_allocator]
static ALLOCATED: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Shapes of the stages, which are the same in both networks.
const STAGES: [[usize; 4]; 3] = [[64, 64, 32, 32], [64, 128, 16, 16], [64, 256, 8, 8]];

macro_rules! of_a_stage {
    ($($name:ident: |$channels:ident| $loss:expr;)*) => {$(
        #[divan::bench(args = [1, 2, 3])]
        fn $name(bencher: Bencher<'_, '_>, stage: usize) {
            let shape = STAGES[stage - 1];
            let $channels = shape[1];
            let loss = $loss;
            step(bencher, shape, shape, |student, teacher| loss.forward(student, teacher));
        }
    )*};
}

of_a_stage! {
    hint: |_channels| HintLossConfig::new().init();
    attention_transfer: |_channels| AttentionTransferLossConfig::new().init();
    neuron_selectivity: |_channels| NeuronSelectivityLossConfig::new().init();
    activation_boundaries: |_channels| ActivationBoundaryLossConfig::new().init();
    overhaul: |_channels| OverhaulLossConfig::new().init();
    pearson: |_channels| PearsonLossConfig::new().init();
    variational: |channels| VidLossConfig::new().init(channels, channels, &device());
    channel_attention: |channels| ChannelAttentionLossConfig::new().init(channels, &device());
    factor_transfer: |channels| {
        let paraphraser = ParaphraserConfig::new(channels).init(&device());
        FactorTransferLossConfig::new().init(channels, paraphraser, &device())
    };
    sim_kd: |_channels| SimKdLossConfig::new().init();
}

/// Stages for 8 images: computed pixel by pixel, each kernel for 64 images would take 1 GB.
const FEW: [[usize; 4]; 3] = [[8, 64, 32, 32], [8, 128, 16, 16], [8, 256, 8, 8]];

#[divan::bench(args = [1, 2, 3], sample_count = 10)]
fn neuron_selectivity_of_8(bencher: Bencher<'_, '_>, stage: usize) {
    let loss = NeuronSelectivityLossConfig::new().init();
    let shape = FEW[stage - 1];
    step(bencher, shape, shape, |student, teacher| {
        loss.forward(student, teacher)
    });
}

/// Computes the loss directly, over every pair of channels, pixel by pixel.
#[divan::bench(args = [1, 2, 3], sample_count = 10)]
fn neuron_selectivity_of_8_naive(bencher: Bencher<'_, '_>, stage: usize) {
    let shape = FEW[stage - 1];
    step(bencher, shape, shape, naive::neuron_selectivity);
}

fn device() -> Device {
    Device::flex().autodiff()
}

const CHANNELS: [usize; 3] = [64, 128, 256];

/// Times a loss over all stages at once; the time is for one pass, not for one stage.
fn stages(bencher: Bencher<'_, '_>, loss: impl Fn(Vec<Tensor<4>>, Vec<Tensor<4>>) -> Tensor<1>) {
    let student = STAGES.map(|shape| waves(shape, 0.7, &device()).require_grad());
    let teacher = STAGES.map(|shape| waves(shape, 0.37, &Device::flex()));
    bencher.bench_local(|| {
        let value = loss(student.to_vec(), teacher.to_vec());
        let grads = value.backward();
        student[2].grad(&grads)
    });
}

#[divan::bench(sample_count = 10)]
fn semantic_calibration(bencher: Bencher<'_, '_>) {
    let config = SemanticCalibrationLossConfig::new();
    let loss = config.init(&CHANNELS, &CHANNELS, 64, &device());
    stages(bencher, |student, teacher| loss.forward(student, teacher));
}

#[divan::bench(sample_count = 10)]
fn attention_feature(bencher: Bencher<'_, '_>) {
    let loss = AttentionFeatureLossConfig::new().init(&CHANNELS, &CHANNELS, &device());
    stages(bencher, |student, teacher| loss.forward(student, teacher));
}

#[divan::bench(sample_count = 10)]
fn review(bencher: Bencher<'_, '_>) {
    let loss = ReviewLossConfig::new().init(&CHANNELS, &CHANNELS, &device());
    stages(bencher, |student, teacher| loss.forward(student, teacher));
}
