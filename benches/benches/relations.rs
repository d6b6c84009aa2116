//! Relations between samples and between layers, one forward and one backward pass each.
//!
//! ```text
//! cargo bench -p burn-distill-benches --bench relations
//! ```

use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_distill::core::{Clock, LayersLoss, Tap};
use burn_distill::relation::*;
use burn_distill_benches::{AllocProfiler, naive, step};
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

/// All anchors at once, which takes the memory of all triples.
#[divan::bench(args = [64, 256, 512], sample_count = 10)]
fn relational_angle_at_once(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = RelationalAngleLossConfig::new().with_chunk(batch).init();
    vectors(bencher, batch, |student, teacher| {
        loss.forward(student, teacher)
    });
}

/// The same losses as they are written down.
macro_rules! naive_of_vectors {
    ($($name:ident: $loss:ident;)*) => {$(
        #[divan::bench(args = [64, 256], sample_count = 10)]
        fn $name(bencher: Bencher<'_, '_>, batch: usize) {
            vectors(bencher, batch, naive::$loss);
        }
    )*};
}

naive_of_vectors! {
    relational_distance_naive: relational_distance;
    relational_angle_naive: relational_angle;
    dark_rank_naive: dark_rank;
    locality_preserving_naive: locality_preserving;
    probabilistic_transfer_naive: probabilistic_transfer;
    similarity_preserving_naive: similarity_preserving;
    correlation_congruence_naive: correlation_congruence;
    instance_graph_edges_naive: instance_graph_edges;
    information_flow_naive: information_flow;
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

/// Embedded samples against 4,096 negatives each, of 10,000 that are remembered.
fn contrast_embedded(
    bencher: Bencher<'_, '_>,
    batch: usize,
    loss: impl Fn(Tensor<2>, Tensor<2>, &ContrastiveLoss, Tensor<2, Int>) -> Tensor<1>,
) {
    const NEGATIVES: usize = 4096;

    let device = Device::flex();
    let population = Population::new((0..10_000).map(|id| (id, Some(id % 100))));
    let contrastive = ContrastiveLossConfig::new().with_negatives(NEGATIVES).init(
        [128, 128],
        population,
        &device,
    );
    // Whom it is, and then every second one.
    let places = (0..batch).flat_map(|own| {
        let others = (0..NEGATIVES).map(move |other| (own + 2 * other + 1) % 10_000);
        [own].into_iter().chain(others).map(|place| place as i32)
    });
    let places = TensorData::new(places.collect::<Vec<_>>(), [batch, NEGATIVES + 1]);
    let places = Tensor::from_data(places, &device);
    let shape = [batch, 128];
    step(bencher, shape, shape, |student, teacher| {
        let [student, teacher] = [student, teacher].map(|rows| rows.div_scalar(8.0));
        loss(student, teacher, &contrastive, places.clone())
    });
}

#[divan::bench(args = [16, 64], sample_count = 10)]
fn contrastive_embedded(bencher: Bencher<'_, '_>, batch: usize) {
    let ids: Vec<_> = (0..batch).collect();
    contrast_embedded(bencher, batch, |student, teacher, loss, contrast| {
        loss.forward_embedded(student, teacher, &ids, &Contrast::Own(contrast))
    });
}

/// With a copy of the memory of every negative for each sample.
#[divan::bench(args = [16, 64], sample_count = 10)]
fn contrastive_embedded_naive(bencher: Bencher<'_, '_>, batch: usize) {
    contrast_embedded(bencher, batch, |student, teacher, loss, contrast| {
        let banks = [loss.student_bank.get(), loss.teacher_bank.get()];
        naive::contrastive(student, teacher, banks, contrast)
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

/// Each product of two channels pixel by pixel: a batch of 64 would be 1 GB per network.
#[divan::bench(args = [8], sample_count = 10)]
fn flow_of_solution_naive(bencher: Bencher<'_, '_>, batch: usize) {
    let two = |map: Tensor<4>| [map.clone(), map.flip([1])];
    maps(bencher, batch, |student, teacher| {
        naive::flow_of_solution(two(student), two(teacher))
    });
}

#[divan::bench(args = [8, 64, 256])]
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
