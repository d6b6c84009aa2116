//! Relations between samples and between layers, one forward and one backward pass each.
//!
//! ```text
//! cargo bench -p burn-distill-benches --bench relations
//! ```

use burn::tensor::{Device, Tensor};
use burn_distill::core::{Clock, LayersLoss, Tap};
use burn_distill::relation::*;
use burn_distill_benches::{AllocProfiler, step};
use divan::Bencher;

#[global_allocator]
static ALLOCATED: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const FEATURES: usize = 256;

/// How cost grows with the batch.
const BATCHES: [usize; 4] = [64, 256, 512, 1024];

fn vectors(
    bencher: Bencher<'_, '_>,
    batch: usize,
    loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
) {
    step(bencher, [batch, FEATURES], [batch, FEATURES], loss);
}

/// Maps of a last stage.
fn maps(bencher: Bencher<'_, '_>, batch: usize, loss: impl Fn(Tensor<4>, Tensor<4>) -> Tensor<1>) {
    let shape = [batch, FEATURES, 8, 8];
    step(bencher, shape, shape, loss);
}

macro_rules! of_vectors {
    ($($name:ident: $loss:expr, $batches:expr;)*) => {$(
        #[divan::bench(args = $batches)]
        fn $name(bencher: Bencher<'_, '_>, batch: usize) {
            let loss = $loss;
            vectors(bencher, batch, |student, teacher| loss.forward(student, teacher));
        }
    )*};
}

of_vectors! {
    relational_distance: RelationalDistanceLossConfig::new().init(), BATCHES;
    relational_angle: RelationalAngleLossConfig::new().init(), [64, 256, 512];
    dark_rank: DarkRankLossConfig::new().init(), [64, 256];
    locality_preserving: LocalityPreservingLossConfig::new().init(), [64, 256];
    probabilistic_transfer: ProbabilisticTransferLossConfig::new().init(), BATCHES;
    similarity_preserving: SimilarityPreservingLossConfig::new().init(), [64, 256];
    correlation_congruence: CorrelationCongruenceLossConfig::new().init(), [64, 256];
    adjacent_correlation: AdjacentCorrelationLossConfig::new().init(), [64, 256];
}

/// RKD's angles as the formula has them: `[batch, batch, features]` differences, normalized.
#[divan::bench(args = [64, 128])]
fn relational_angle_naive(bencher: Bencher<'_, '_>, batch: usize) {
    let cosines = |rows: Tensor<2>| {
        let to: Tensor<3> = rows.clone().unsqueeze_dim(0);
        let from: Tensor<3> = rows.unsqueeze_dim(1);
        let difference = to.sub(from);
        let size = difference
            .clone()
            .square()
            .sum_dim(2)
            .add_scalar(1e-12)
            .sqrt();
        let unit = difference.div(size);
        unit.clone().matmul(unit.swap_dims(1, 2))
    };
    vectors(bencher, batch, |student, teacher| {
        let difference = cosines(student).sub(cosines(teacher)).abs();
        let small = difference.clone().square().mul_scalar(0.5);
        let large = difference.clone().sub_scalar(0.5);
        let near = difference.lower_scalar(1.0);
        large.mask_where(near, small).mean()
    });
}

#[divan::bench(args = BATCHES)]
fn instance_graph_edges(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = InstanceGraphLossConfig::new().init();
    vectors(bencher, batch, |student, teacher| {
        loss.forward_layers(vec![Tap::Vector(student)], vec![Tap::Vector(teacher)])
    });
}

#[divan::bench(args = [64, 256])]
fn information_flow(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = InformationFlowLossConfig::new().init();
    vectors(bencher, batch, |student, teacher| {
        loss.forward(vec![student], vec![teacher], 0)
    });
}

#[divan::bench(args = BATCHES)]
fn contrastive(bencher: Bencher<'_, '_>, batch: usize) {
    contrast(bencher, batch, false);
}

#[divan::bench(args = BATCHES)]
fn contrastive_shared(bencher: Bencher<'_, '_>, batch: usize) {
    contrast(bencher, batch, true);
}

/// 10,000 samples of 100 classes, 4,096 negatives.
fn contrast(bencher: Bencher<'_, '_>, batch: usize, shared: bool) {
    let device = Device::flex();
    let population = Population::new((0..10_000).map(|id| (id, Some(id % 100))));
    let loss = ContrastiveLossConfig::new()
        .with_negatives(4096)
        .with_shared(shared)
        .init([FEATURES, FEATURES], population, &device);
    let ids: Vec<_> = (0..batch).collect();
    vectors(bencher, batch, |student, teacher| {
        loss.forward(student, teacher, &ids, Clock::start())
    });
}

#[divan::bench(args = [64, 256])]
fn relational_representation(bencher: Bencher<'_, '_>, batch: usize) {
    let device = Device::flex();
    let loss = RelationalRepresentationLossConfig::new().init([FEATURES, FEATURES], &device);
    vectors(bencher, batch, |student, teacher| {
        loss.forward(student, teacher)
    });
}

#[divan::bench(args = [64, 256])]
fn inter_channel_correlation(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = InterChannelCorrelationLossConfig::new().init();
    maps(bencher, batch, |student, teacher| {
        loss.forward(student, teacher)
    });
}

#[divan::bench(args = [64, 256])]
fn class_attention(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = ClassAttentionLossConfig::new().init();
    maps(bencher, batch, |student, teacher| {
        loss.forward(student, teacher)
    });
}

/// Two layers: the map, and the map again with its channels turned around.
fn two(map: Tensor<4>) -> Vec<Tensor<4>> {
    let other = map.clone().flip([1]);
    vec![map, other]
}

#[divan::bench(args = [64, 256])]
fn flow_of_solution(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = FlowOfSolutionLossConfig::new().init();
    maps(bencher, batch, |student, teacher| {
        loss.forward(two(student), two(teacher))
    });
}

#[divan::bench(args = [64])]
fn singular_vectors(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = SingularVectorLossConfig::new().init();
    maps(bencher, batch, |student, teacher| {
        loss.forward(two(student), two(teacher))
    });
}

#[divan::bench(args = [64])]
fn multi_head_graph(bencher: Bencher<'_, '_>, batch: usize) {
    let config = MultiHeadGraphConfig::new();
    let heads = config.init_heads(&[FEATURES, FEATURES], &Device::flex());
    let loss = config.init(heads);
    maps(bencher, batch, |student, teacher| {
        loss.forward(two(student), two(teacher))
    });
}
