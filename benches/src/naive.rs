//! Losses computed directly from their definitions, to compare their cost with that of our losses:
//! every difference of features, every pair of channels and every negative is formed. Tests check
//! that each agrees with ours.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// Computes the distance loss of relational knowledge distillation, from the difference of every
/// two samples.
pub fn relational_distance(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let relative = |features: Tensor<2>| {
        let [batch_size, _] = features.dims();
        let squared = squared_distances(features);
        let diagonal = Tensor::<2>::eye(batch_size, &squared.device()).bool();
        let distances = squared.clamp_min(1e-12).sqrt().mask_fill(diagonal, 0.0);
        let pairs = (batch_size * (batch_size - 1)) as f64;
        let mean = distances.clone().sum().div_scalar(pairs);
        distances.div(mean.unsqueeze())
    };
    smooth_l1(relative(student).sub(relative(teacher)))
}

/// Computes the angle loss of relational knowledge distillation, from normalized differences
/// `[batch, batch, features]`.
pub fn relational_angle(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let cosines = |features: Tensor<2>| {
        let difference = differences(features);
        // The difference of a sample to itself is masked: its root has no derivative.
        let squared = difference.clone().square().sum_dim(2);
        let length = squared.add_scalar(1e-12).sqrt();
        let unit = difference.div(length);
        unit.clone().matmul(unit.swap_dims(1, 2))
    };
    smooth_l1(cosines(student).sub(cosines(teacher)))
}

/// Computes hard DarkRank of 4 samples: the samples are sorted for each sample, and the likelihood
/// is computed factor by factor.
pub fn dark_rank(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    const LENGTH: usize = 4;

    let [batch_size, _] = student.dims();
    let ranking = squared_distances(teacher).argsort(1);
    let ranking = ranking.slice([0..batch_size, 1..LENGTH + 1]);
    let diagonal = Tensor::<2>::eye(batch_size, &student.device()).bool();
    let distances = squared_distances(student).mask_fill(diagonal, 1.0).sqrt();
    let scores = distances.powi_scalar(3).mul_scalar(-3.0).gather(1, ranking);
    let factor = |place: usize| {
        let left = scores.clone().slice([0..batch_size, place..LENGTH]);
        log_softmax(left, 1).slice([0..batch_size, 0..1])
    };
    let likelihood = (0..LENGTH).map(factor).reduce(Tensor::add);
    likelihood.expect("there are places").mean().neg()
}

/// Computes the locality-preserving loss with 5 neighbors: the samples are sorted for each sample.
pub fn locality_preserving(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    const NEIGHBORS: usize = 5;

    let [batch_size, _] = student.dims();
    let distances = squared_distances(teacher);
    let nearest = distances.clone().argsort(1);
    let nearest = nearest.slice([0..batch_size, 1..NEIGHBORS + 1]);
    let distances = distances.gather(1, nearest.clone());
    let variance = distances.clone().mean().unsqueeze();
    let affinity = distances.div(variance).neg().exp();
    let apart = squared_distances(student).gather(1, nearest);
    affinity.mul(apart).mean()
}

/// Computes the probabilistic transfer loss, from the product of every two samples.
pub fn probabilistic_transfer(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    const EPS: f64 = 1e-7;

    let probabilities = |features: Tensor<2>| cosine_affinity(unit(features, EPS));
    let (p, q) = (probabilities(teacher), probabilities(student));
    let ratio = p.clone().add_scalar(EPS).div(q.add_scalar(EPS));
    p.mul(ratio.log()).mean()
}

/// Computes the similarity-preserving loss, from the product of every two samples.
pub fn similarity_preserving(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let similarities = |features| unit(products(features), 0.0);
    similarities(student)
        .sub(similarities(teacher))
        .square()
        .mean()
}

/// Computes the correlation congruence loss, from the product of every two samples and each of its
/// powers.
pub fn correlation_congruence(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    const GAMMA: f64 = 0.4;

    let correlations = |features: Tensor<2>| {
        let product = products(unit(features, 0.0));
        // The factorials of 0, 1 and 2.
        let powers = [1.0, 1.0, 2.0].into_iter().enumerate();
        let terms = powers.map(|(power, factorial)| {
            let factor = (-2.0 * GAMMA).exp() * (2.0 * GAMMA).powi(power as i32) / factorial;
            product.clone().powi_scalar(power as i64).mul_scalar(factor)
        });
        terms.reduce(Tensor::add).expect("there are powers")
    };
    correlations(student)
        .sub(correlations(teacher))
        .square()
        .mean()
}

/// Computes the loss of the edges of an instance graph with their weight of 5, from the difference
/// of every two samples.
pub fn instance_graph_edges(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let edges = |features| {
        let distances = squared_distances(features);
        let largest = distances.clone().max().unsqueeze();
        distances.div(largest)
    };
    let difference = edges(student).sub(edges(teacher));
    difference.square().mean().mul_scalar(5.0)
}

/// Computes the information flow loss of one layer, from the difference and the product of every
/// two samples.
pub fn information_flow(student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    const EPS: f64 = 1e-6;

    // The authors add `EPS` to the length of a sample here, which matters if two samples are
    // opposite.
    let cosine = |features: Tensor<2>| cosine_affinity(unit(features, 0.0));
    let student_t = |features: Tensor<2>| {
        let distances = squared_distances(features).add_scalar(EPS).sqrt();
        rows_divided_by_their_sum(distances.add_scalar(1.0).recip())
    };
    let jeffreys = |p: Tensor<2>, q: Tensor<2>| {
        let ratio = p.clone().log().sub(q.clone().log());
        p.sub(q).mul(ratio).mean()
    };
    jeffreys(cosine(teacher.clone()), cosine(student.clone()))
        .add(jeffreys(student_t(teacher), student_t(student)))
}

/// Computes the contrastive loss of embedded samples, with a copy of every negative's row of the
/// memory bank for each sample: `[batch, 1 + negatives, embedding]`. The constants are those of the
/// first batch.
///
/// # Shapes
///
/// - student, teacher: unit vectors `[batch_size, embedding]`
/// - banks: memory banks of the student and of the teacher `[samples, embedding]`
/// - contrast: rows of the banks `[batch_size, 1 + negatives]`, the positive first
pub fn contrastive(
    student: Tensor<2>,
    teacher: Tensor<2>,
    [student_bank, teacher_bank]: [Tensor<2>; 2],
    contrast: Tensor<2, Int>,
) -> Tensor<1> {
    const TEMPERATURE: f64 = 0.07;
    const EPS: f64 = 1e-7;

    let [batch_size, count] = contrast.dims();
    let side = |embedded: Tensor<2>, bank: Tensor<2>| {
        let [samples, size] = bank.dims();
        let memories = bank.select(0, contrast.clone().flatten(0, 1));
        let memories: Tensor<3> = memories.reshape([batch_size, count, size]);
        let scores: Tensor<2> = memories.matmul(embedded.unsqueeze_dim(2)).squeeze_dim(2);
        let raw = scores.div_scalar(TEMPERATURE).exp();
        let constant = raw.clone().without_autodiff().mean();
        let constant = constant.mul_scalar(samples as f64).unsqueeze();
        let probabilities = raw.div(constant);

        let chance = (count - 1) as f64 / samples as f64;
        let sum = probabilities.clone().add_scalar(chance + EPS);
        let found = probabilities.div(sum.clone()).log();
        let told_apart = sum.recip().mul_scalar(chance).log();
        let found = found.slice([0..batch_size, 0..1]).sum();
        let told_apart = told_apart.slice([0..batch_size, 1..count]).sum();
        found.add(told_apart).div_scalar(-(batch_size as f64))
    };
    side(student, teacher_bank).add(side(teacher, student_bank))
}

/// Computes the flow of solution loss between two maps of the same size, channel by channel and
/// pixel by pixel: `[batch, channels, next channels, pixels]`.
pub fn flow_of_solution(student: [Tensor<4>; 2], teacher: [Tensor<4>; 2]) -> Tensor<1> {
    let flow = |maps: [Tensor<4>; 2]| -> Tensor<4> {
        let [map, next] = maps.map(|map| map.flatten::<3>(2, 3));
        let map: Tensor<4> = map.unsqueeze_dim(2);
        map.mul(next.unsqueeze_dim(1)).mean_dim(3)
    };
    flow(student).sub(flow(teacher)).square().mean()
}

/// Computes the neuron selectivity loss with the square kernel, channel by channel and pixel by
/// pixel: `[batch, channels, channels, pixels]`, three times.
pub fn neuron_selectivity(student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
    let neurons = |map: Tensor<4>| {
        let map = map.flatten::<3>(2, 3);
        let length = map.clone().square().sum_dim(2).sqrt();
        map.div(length)
    };
    let kernel = |x: &Tensor<3>, y: &Tensor<3>| {
        let x: Tensor<4> = x.clone().unsqueeze_dim(2);
        x.mul(y.clone().unsqueeze_dim(1)).sum_dim(3).square().mean()
    };
    let (student, teacher) = (neurons(student), neurons(teacher));
    kernel(&teacher, &teacher)
        .add(kernel(&student, &student))
        .sub(kernel(&student, &teacher).mul_scalar(2.0))
}

/// Returns `xⱼ − xᵢ`. Shape: `[rows, rows, features]`.
fn differences(rows: Tensor<2>) -> Tensor<3> {
    let to: Tensor<3> = rows.clone().unsqueeze_dim(0);
    to.sub(rows.unsqueeze_dim(1))
}

/// Returns `‖xᵢ − xⱼ‖²`. Shape: `[rows, rows]`.
fn squared_distances(rows: Tensor<2>) -> Tensor<2> {
    differences(rows).square().sum_dim(2).squeeze_dim(2)
}

/// Returns `xᵢ · xⱼ`, by way of `[rows, rows, features]`. Shape: `[rows, rows]`.
fn products(rows: Tensor<2>) -> Tensor<2> {
    let to: Tensor<3> = rows.clone().unsqueeze_dim(0);
    to.mul(rows.unsqueeze_dim(1)).sum_dim(2).squeeze_dim(2)
}

/// Returns each row divided by its length.
fn unit(rows: Tensor<2>, eps: f64) -> Tensor<2> {
    let length = rows.clone().square().sum_dim(1).sqrt().add_scalar(eps);
    rows.div(length)
}

/// Returns `(1 + xᵢ · xⱼ) / 2`, each row divided by its sum.
fn cosine_affinity(unit: Tensor<2>) -> Tensor<2> {
    rows_divided_by_their_sum(products(unit).add_scalar(1.0).div_scalar(2.0))
}

fn rows_divided_by_their_sum(affinity: Tensor<2>) -> Tensor<2> {
    let sum = affinity.clone().sum_dim(1);
    affinity.div(sum)
}

fn smooth_l1<const D: usize>(difference: Tensor<D>) -> Tensor<1> {
    let size = difference.abs();
    let small = size.clone().square().mul_scalar(0.5);
    let large = size.clone().sub_scalar(0.5);
    let near = size.lower_scalar(1.0);
    large.mask_where(near, small).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waves;
    use burn::tensor::{DType, Device, TensorData, Tolerance};
    use burn_distill::core::{Buffer, MultiLayerLoss, Tap};
    use burn_distill::feature::NeuronSelectivityLossConfig;
    use burn_distill::relation::*;

    /// Asserts that two losses agree in value and in gradient, in double precision to exclude
    /// rounding errors.
    fn assert_agree<const D: usize>(
        student: [usize; D],
        teacher: [usize; D],
        naive: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<1>,
        ours: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<1>,
    ) {
        let double = |tensor: Tensor<D>| tensor.cast(DType::F64);
        let teacher = double(waves(teacher, 0.37, &Device::flex()));
        let outcome = |loss: &dyn Fn(Tensor<D>, Tensor<D>) -> Tensor<1>| {
            let student = double(waves(student, 0.7, &Device::flex().autodiff())).require_grad();
            let value = loss(student.clone(), teacher.clone());
            let grads = value.backward();
            let gradient = student.grad(&grads).unwrap();
            (value.into_scalar::<f64>(), gradient.into_data())
        };
        let (naive, ours) = (outcome(&naive), outcome(&ours));

        assert!(naive.0.abs() > 1e-6, "there is something to compare");
        let apart = (naive.0 - ours.0).abs() / naive.0.abs();
        assert!(apart < 1e-5, "{} is not {}", ours.0, naive.0);
        let largest = |data: &TensorData| data.iter::<f64>().fold(0.0, |a: f64, x| a.max(x.abs()));
        let tolerance = Tolerance::absolute(1e-5 * largest(&naive.1));
        ours.1.assert_approx_eq::<f64>(&naive.1, tolerance);
    }

    fn assert_agree_on_vectors(
        naive: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
        ours: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<1>,
    ) {
        assert_agree([13, 7], [13, 5], naive, ours);
    }

    #[test]
    fn relations_of_samples_agree() {
        let loss = RelationalDistanceLossConfig::new().init();
        assert_agree_on_vectors(relational_distance, |s, t| loss.forward(s, t));
        let loss = RelationalAngleLossConfig::new().init();
        assert_agree_on_vectors(relational_angle, |s, t| loss.forward(s, t));
        let loss = DarkRankLossConfig::new().init();
        assert_agree_on_vectors(dark_rank, |s, t| loss.forward(s, t));
        let loss = LocalityPreservingLossConfig::new().init();
        assert_agree_on_vectors(locality_preserving, |s, t| loss.forward(s, t));
        let loss = ProbabilisticTransferLossConfig::new().init();
        assert_agree_on_vectors(probabilistic_transfer, |s, t| loss.forward(s, t));
        let loss = SimilarityPreservingLossConfig::new().init();
        assert_agree_on_vectors(similarity_preserving, |s, t| loss.forward(s, t));
        let loss = CorrelationCongruenceLossConfig::new().init();
        assert_agree_on_vectors(correlation_congruence, |s, t| loss.forward(s, t));
        let loss = InstanceGraphLossConfig::new().init();
        assert_agree_on_vectors(instance_graph_edges, |s, t| {
            loss.forward_layers(vec![Tap::Vector(s)], vec![Tap::Vector(t)], None)
        });
        let loss = InformationFlowLossConfig::new().init();
        assert_agree_on_vectors(information_flow, |s, t| loss.forward_layer(s, t));
    }

    #[test]
    fn flows_and_neurons_agree() {
        let (student, teacher) = ([3, 5, 4, 3], [3, 5, 4, 3]);
        let two = |map: Tensor<4>| [map.clone(), map.flip([1])];
        let loss = FlowOfSolutionLossConfig::new().init();
        assert_agree(
            student,
            teacher,
            |s, t| flow_of_solution(two(s), two(t)),
            |s, t| loss.forward(two(s).to_vec(), two(t).to_vec()),
        );
        // Both methods: by pairs of pixels and by pairs of channels.
        for shape in [[3, 5, 4, 3], [3, 15, 4, 3]] {
            let loss = NeuronSelectivityLossConfig::new().init();
            assert_agree(shape, [3, 6, 4, 3], neuron_selectivity, |s, t| {
                loss.forward(s, t)
            });
        }
    }

    #[test]
    fn contrastive_losses_agree() {
        let device = Device::flex();
        let population = SampleIndex::new((0..10).map(|id| (id, Some(id % 3))));
        let mut loss = ContrastiveLossConfig::new()
            .with_embedding(6)
            .with_negatives(4)
            .init([6, 6], population, &device);
        let banks = [0.9, 1.7].map(|frequency| unit(waves([10, 6], frequency, &device), 0.0));
        let places = [[1, 0, 3, 5, 7], [4, 2, 6, 8, 9], [1, 9, 2, 0, 3]];
        let contrast = Tensor::<2, Int>::from_data(places, &device);

        // In the precision of the memory banks.
        let embed = |rows: Tensor<2>| unit(rows.cast(DType::F32), 0.0);
        let naive = |s, t| contrastive(embed(s), embed(t), banks.clone(), contrast.clone());
        let [student_bank, teacher_bank] = banks.clone();
        loss.student_bank = Buffer::new(student_bank);
        loss.teacher_bank = Buffer::new(teacher_bank);
        let ours = |s, t| {
            let contrast = Contrast::Own(contrast.clone());
            loss.forward_embedded(embed(s), embed(t), &[1, 4, 1], &contrast)
        };
        assert_agree([3, 6], [3, 6], naive, ours);
    }
}
