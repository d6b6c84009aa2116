//! Relations between samples and between layers, one forward and one backward pass each.
//!
//! ```text
//! cargo bench -p burn-distill-benches --bench relations
//! ```

use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_distill::core::{Clock, MultiLayerLoss, Response, Tap};
use burn_distill::relation::*;
use burn_distill_benches::{AllocProfiler, naive, step};
use divan::Bencher;

#[global_allocator]
static ALLOCATED: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const FEATURES: usize = 256;

/// Batch sizes, to measure how the cost grows.
const BATCHES: [usize; 4] = [64, 256, 512, 1024];

fn vectors(
    bencher: Bencher<'_, '_>,
    batch: usize,
    loss: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
) {
    step(bencher, [batch, FEATURES], [batch, FEATURES], loss);
}

/// Times a loss between the maps of a last stage.
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
    relational_angle: RelationalAngleLossConfig::new().init(), BATCHES;
    dark_rank: DarkRankLossConfig::new().init(), [64, 256];
    locality_preserving: LocalityPreservingLossConfig::new().init(), [64, 256];
    probabilistic_transfer: ProbabilisticTransferLossConfig::new().init(), BATCHES;
    similarity_preserving: SimilarityPreservingLossConfig::new().init(), [64, 256];
    correlation_congruence: CorrelationCongruenceLossConfig::new().init(), [64, 256];
    adjacent_correlation: AdjacentCorrelationLossConfig::new().init(), [64, 256];
}

/// Processes all anchors at once, which needs memory for all triples.
#[divan::bench(args = [64, 256, 512], sample_count = 10)]
fn relational_angle_at_once(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = RelationalAngleLossConfig::new().with_chunk(batch).init();
    vectors(bencher, batch, |student, teacher| {
        loss.forward(student, teacher)
    });
}

/// Defines benches of the same losses, computed directly from their definitions.
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
        loss.forward_layers(vec![Tap::Vector(student)], vec![Tap::Vector(teacher)], None)
    });
}

/// Times the loss of the logits and of the edges of one layer.
#[divan::bench(args = [64, 256])]
fn instance_graph_vertices(bencher: Bencher<'_, '_>, batch: usize) {
    let config = InstanceGraphLossConfig::new().with_edge_weight(0.0);
    let loss = config.with_transformation_weight(0.0).init();
    let layer = Tensor::<2>::ones([batch, 1], &Device::flex());
    let layer = || vec![Tap::Vector(layer.clone())];
    vectors(bencher, batch, |student, teacher| {
        let [student, teacher] = [student, teacher].map(Response::Classes);
        loss.forward(&student, &teacher, layer(), layer())
    });
}

/// Times the loss of the transformation between two maps and of the edges of both.
#[divan::bench(args = [64, 256])]
fn instance_graph_transformation(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = InstanceGraphLossConfig::new().init();
    let layers = |map| two(map).into_iter().map(Tap::Map).collect();
    maps(bencher, batch, |student, teacher| {
        loss.forward_layers(layers(student), layers(teacher), None)
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

/// Times the loss with 10,000 samples of 100 classes and 4,096 negatives.
fn contrast(bencher: Bencher<'_, '_>, batch: usize, shared: bool) {
    let device = Device::flex();
    let population = SampleIndex::new((0..10_000).map(|id| (id, Some(id % 100))));
    let loss = ContrastiveLossConfig::new()
        .with_negatives(4096)
        .with_shared(shared)
        .init([FEATURES, FEATURES], population, &device);
    let ids: Vec<_> = (0..batch).collect();
    vectors(bencher, batch, |student, teacher| {
        loss.forward(student, teacher, &ids, Clock::start())
    });
}

/// Times the loss of embedded samples with 4,096 negatives each, from a memory bank of 10,000
/// samples.
fn contrast_embedded(
    bencher: Bencher<'_, '_>,
    batch: usize,
    loss: impl Fn(Tensor<2>, Tensor<2>, &ContrastiveLoss, Tensor<2, Int>) -> Tensor<1>,
) {
    const NEGATIVES: usize = 4096;

    let device = Device::flex();
    let population = SampleIndex::new((0..10_000).map(|id| (id, Some(id % 100))));
    let contrastive = ContrastiveLossConfig::new().with_negatives(NEGATIVES).init(
        [128, 128],
        population,
        &device,
    );
    // The sample itself, then every second one.
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

/// Copies the memory bank's row of every negative for each sample.
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

/// Returns two layers: the map, and the map with its channels reversed.
fn two(map: Tensor<4>) -> Vec<Tensor<4>> {
    let other = map.clone().flip([1]);
    vec![map, other]
}

/// Forms every product of two channels pixel by pixel: a batch of 64 would need 1 GB per network.
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

#[divan::bench(args = [64, 256])]
fn singular_vectors(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = SingularVectorLossConfig::new().init();
    maps(bencher, batch, |student, teacher| {
        loss.forward(two(student), two(teacher))
    });
}

#[divan::bench(args = [64, 256])]
fn multi_head_graph(bencher: Bencher<'_, '_>, batch: usize) {
    let config = MultiHeadGraphConfig::new();
    let heads = config.init_heads(&[FEATURES, FEATURES], &Device::flex());
    let loss = config.init(heads);
    maps(bencher, batch, |student, teacher| {
        loss.forward(two(student), two(teacher))
    });
}

/// Number of classes of the networks of a graph.
const CLASSES: usize = 100;

/// Takes the first features as logits, the others as a representation.
fn vertex(features: Tensor<2>) -> Vertex {
    let [batch, count] = features.dims();
    Vertex {
        logits: features.clone().slice([0..batch, 0..CLASSES]),
        representation: features.slice([0..batch, CLASSES..count]),
    }
}

/// Returns two teachers: the features, and the features reversed.
fn teachers(features: Tensor<2>) -> Vec<Tensor<2>> {
    vec![features.clone(), features.flip([1])]
}

#[divan::bench(args = [64, 256])]
fn modality_graph(bencher: Bencher<'_, '_>, batch: usize) {
    let config = ModalityGraphLossConfig::new();
    let sizes = [FEATURES, FEATURES];
    let loss = config.init(CLASSES, FEATURES, &sizes, &Device::flex());
    let shape = [batch, CLASSES + FEATURES];
    step(bencher, shape, shape, |student, teacher| {
        let teachers = teachers(teacher).into_iter().map(vertex).collect();
        loss.forward_graph(vertex(student), teachers)
    });
}

#[divan::bench(args = [64, 256])]
fn logits_graph(bencher: Bencher<'_, '_>, batch: usize) {
    graph_of_logits(bencher, batch, Vec::new());
}

/// Uses different distances between classes: fifty steps of Sinkhorn's iteration.
#[divan::bench(args = [64, 256], sample_count = 10)]
fn logits_graph_with_cost(bencher: Bencher<'_, '_>, batch: usize) {
    let row = |from: usize| (0..CLASSES).map(move |to| from.abs_diff(to) as f64);
    graph_of_logits(
        bencher,
        batch,
        (0..CLASSES).map(|from| row(from).collect()).collect(),
    );
}

fn graph_of_logits(bencher: Bencher<'_, '_>, batch: usize, cost: Vec<Vec<f64>>) {
    let config = LogitsGraphLossConfig::new().with_cost(cost);
    let loss = config.init(2, &Device::flex());
    let shape = [batch, CLASSES];
    step(bencher, shape, shape, |student, teacher| {
        loss.forward(student, teachers(teacher))
    });
}

#[divan::bench(args = [64, 256])]
fn representation_graph(bencher: Bencher<'_, '_>, batch: usize) {
    let config = RepresentationGraphLossConfig::new();
    let loss = config.init(FEATURES, &[FEATURES, FEATURES], &Device::flex());
    vectors(bencher, batch, |student, teacher| {
        loss.forward(student, teachers(teacher))
    });
}

/// Times the loss over all triplets of a batch.
#[divan::bench(args = [64, 256], sample_count = 10)]
fn relative_dissimilarity(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = RelativeDissimilarityLossConfig::new().init(2);
    vectors(bencher, batch, |student, teacher| {
        loss.forward(student, teachers(teacher))
    });
}

#[divan::bench(args = BATCHES)]
fn label_similarity(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = ProbabilisticTransferLossConfig::new().init();
    let classes = Tensor::arange(0..batch as i64, &Device::flex());
    let classes = classes.remainder_scalar(CLASSES as i64);
    vectors(bencher, batch, |student, _| {
        loss.forward_supervised(student, classes.clone(), None)
    });
}

/// Times a loss between sequences of 128 tokens of a network of base size.
fn sequences(
    bencher: Bencher<'_, '_>,
    batch: usize,
    loss: impl Fn(Tensor<3>, Tensor<3>) -> Tensor<1>,
) {
    let shape = [batch, 128, 768];
    step(bencher, shape, shape, loss);
}

/// Compares queries, keys and values in 48 relation heads.
#[divan::bench(args = [1, 8], sample_count = 10)]
fn self_attention_relations(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = SelfAttentionRelationsLossConfig::new().init();
    sequences(bencher, batch, |student, teacher| {
        loss.forward(vec![student; 3], vec![teacher; 3], None)
    });
}

#[divan::bench(args = [1, 8, 64])]
fn token_flow(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = TokenFlowLossConfig::new().init();
    sequences(bencher, batch, |student, teacher| {
        let [student, teacher] = [student, teacher].map(|layer| [layer.clone(), layer]);
        loss.forward(student, teacher, None)
    });
}

#[divan::bench(args = [1, 8, 64])]
fn token_similarity(bencher: Bencher<'_, '_>, batch: usize) {
    let loss = TokenSimilarityLossConfig::new().init();
    sequences(bencher, batch, |student, teacher| {
        let [student, teacher] = [student, teacher].map(|layer| [layer.clone(), layer]);
        loss.forward(student, teacher, None)
    });
}
