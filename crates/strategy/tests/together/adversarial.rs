//! Online adversarial feature distillation.

use crate::common::{
    RATE, at, batch, cross_entropy, descent, labels_and_soft_targets, slope, step, terms, values,
};
use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Tensor};
use burn::train::{InferenceStep, TrainStep};
use burn_distill_architecture::ConvNetConfig;
use burn_distill_core::{
    Batch, CrossEntropyObjective, DynNetwork, DynObjective, Knowledge, Network, PerTeacher,
    Response, Tap, TapRecorder, Targets, initialize, tensors,
};
use burn_distill_strategy::{
    AdversarialDistiller, AdversarialDistillerConfig, Distillation, MutualDistiller,
    OptimizerConfig, PeerOrder,
};

/// A network with a map of one channel and two pixels, each the input times a weight, and two
/// logits, each a pixel times a scale.
#[derive(Module, Debug)]
struct Pixels {
    weight: Param<Tensor<2>>,
    scale: Param<Tensor<2>>,
}

const PEERS: [[f64; 4]; 3] = [
    [0.7, -0.4, 0.9, 1.2],
    [-1.0, 0.5, 0.6, -0.8],
    [0.3, 0.8, -0.5, 0.4],
];

impl Pixels {
    fn new([a, b, c, d]: [f64; 4], device: &Device) -> Self {
        let row = |row: [f64; 2]| Param::from_tensor(Tensor::from_data([row], device));
        Self {
            weight: row([a, b]),
            scale: row([c, d]),
        }
    }

    fn parameters(&self) -> Vec<f64> {
        let mut all = values(self.weight.val());
        all.extend(values(self.scale.val()));
        all
    }
}

impl Network for Pixels {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let pixels = input.matmul(self.weight.val());
        let [samples, _] = pixels.dims();
        taps.offer("map", || {
            Tap::Map(pixels.clone().reshape([samples, 1, 1, 2]))
        });
        taps.offer("row", || Tap::Vector(pixels.clone()));
        Response::Classes(pixels.mul(self.scale.val()))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 1], device)
    }
}

type Adversarial = AdversarialDistiller<Pixels, CrossEntropyObjective>;

/// Returns a configuration with a large rate, so that a step has a visible effect.
fn config() -> AdversarialDistillerConfig {
    AdversarialDistillerConfig::new().with_learning_rate(0.02)
}

fn hard(count: usize) -> Vec<CrossEntropyObjective> {
    (0..count)
        .map(|_| CrossEntropyObjective::new(1.0))
        .collect()
}

/// Returns a distiller with critics that depend only on their number.
fn adversarial(count: usize, device: &Device) -> Adversarial {
    let peers: Vec<_> = PEERS[..count]
        .iter()
        .map(|&peer| Pixels::new(peer, device))
        .collect();
    let mut model = config().init(peers, hard(count), vec!["map"; count]);
    for (index, critic) in model.critics.iter_mut().enumerate() {
        let kernel = |seed: f64| {
            let values: Vec<f64> = (0..9).map(|i| (seed + 1.7 * i as f64).sin()).collect();
            let kernel = Tensor::<1>::from_data(values.as_slice(), device).reshape([1, 1, 3, 3]);
            Param::from_tensor(kernel)
        };
        let row = |value: f64| Param::from_tensor(Tensor::from_data([value], device));
        let critic = &mut critic.discriminator;
        critic.conv1.weight = kernel(index as f64);
        critic.bn.gamma = row(1.1 - 0.3 * index as f64);
        critic.bn.beta = row(0.2);
        critic.conv2.weight = kernel(2.0 + index as f64);
        critic.conv2.bias = Some(row(-0.3));
    }
    model
}

/// Returns the parameters of a critic that matter for a map of one row: the middle rows of both
/// kernels, scale and bias of the normalization, and the last bias.
fn judge(model: &Adversarial, index: usize) -> Vec<f64> {
    let critic = &model.critics[index].discriminator;
    let mut all = values(critic.conv1.weight.val())[3..6].to_vec();
    all.extend(values(critic.bn.gamma.val()));
    all.extend(values(critic.bn.beta.val()));
    all.extend(&values(critic.conv2.weight.val())[3..6]);
    all.extend(values(critic.conv2.bias.as_ref().unwrap().val()));
    all
}

/// Computes a padded convolution of two pixels in a row.
fn convolved(kernel: &[f64], [a, b]: [f64; 2]) -> [f64; 2] {
    [kernel[1] * a + kernel[2] * b, kernel[0] * a + kernel[1] * b]
}

/// Computes the output of a critic for each map.
fn verdicts(critic: &[f64], maps: &[[f64; 2]]) -> Vec<f64> {
    let hidden: Vec<_> = maps.iter().map(|&m| convolved(&critic[..3], m)).collect();
    let pixels: Vec<f64> = hidden.concat();
    let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
    let variance = pixels.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / pixels.len() as f64;
    hidden
        .into_iter()
        .map(|row| {
            let active = row.map(|pixel| {
                let normal = (pixel - mean) / (variance + 1e-5).sqrt();
                let pixel = critic[3] * normal + critic[4];
                if pixel < 0.0 { 0.2 * pixel } else { pixel }
            });
            let [a, b] = convolved(&critic[5..8], active);
            1.0 / (1.0 + (-((a + b) / 2.0 + critic[8])).exp())
        })
        .collect()
}

fn far_from(target: f64, verdicts: &[f64]) -> f64 {
    let sum: f64 = verdicts.iter().map(|v| (v - target).powi(2)).sum();
    sum / verdicts.len() as f64
}

fn maps(peer: &[f64], inputs: &[f64]) -> Vec<[f64; 2]> {
    inputs.iter().map(|x| [x * peer[0], x * peer[1]]).collect()
}

/// A parameter of the game with its moments of Adam.
#[derive(Clone, Copy, Default)]
struct Remembered {
    first: f64,
    second: f64,
}

impl Remembered {
    fn step(&mut self, step: i32, value: f64, gradient: f64) -> f64 {
        let gradient = gradient + 0.1 * value;
        self.first = 0.9 * self.first + 0.1 * gradient;
        self.second = 0.999 * self.second + 0.001 * gradient * gradient;
        let first = self.first / (1.0 - 0.9_f64.powi(step));
        let second = self.second / (1.0 - 0.999_f64.powi(step));
        value - 0.02 * first / (second.sqrt() + 1e-8)
    }
}

#[test]
fn steps_agree_with_those_computed_by_hand() {
    let device = Device::default().autodiff();
    for (count, inputs) in [
        (2, vec![1.0, -0.5, 0.3]),
        (3, vec![1.0, -0.5, 0.3]),
        (2, vec![0.8]),
    ] {
        let rows: Vec<f32> = inputs.iter().map(|&input: &f64| input as f32).collect();
        let ids: Vec<_> = (0..inputs.len()).collect();
        let batch = batch(&rows, &ids, at(1, 0), &device);
        let mut model = adversarial(count, &device);
        let mut peers = PEERS[..count].to_vec();
        let mut critics: Vec<[f64; 9]> = (0..count)
            .map(|index| judge(&model, index).try_into().unwrap())
            .collect();
        let mut of_peers = vec![[Remembered::default(); 2]; count];
        let mut of_critics = vec![[Remembered::default(); 9]; count];

        for time in 1..=3 {
            let before = (peers.clone(), critics.clone());
            let real = |index: usize| maps(&before.0[(index + count - 1) % count], &inputs);
            let generator = |index: usize, peer: &[f64]| {
                far_from(1.0, &verdicts(&before.1[index], &maps(peer, &inputs)))
            };
            let discriminator = |index: usize, critic: &[f64]| {
                let own = maps(&before.0[index], &inputs);
                far_from(1.0, &verdicts(critic, &real(index)))
                    + far_from(0.0, &verdicts(critic, &own))
            };
            let hard = |peer: [f64; 4]| {
                let each = maps(&peer, &inputs).into_iter();
                let each = each.map(|[a, b]| cross_entropy([a * peer[2], b * peer[3]], [1.0, 0.0]));
                each.sum::<f64>() / inputs.len() as f64
            };

            let output = TrainStep::step(&model, batch.clone());
            let shown = terms(&output.item.metrics);
            for index in 0..count {
                let number = index + 1;
                for (name, value) in [
                    (
                        format!("peer {number} cross-entropy"),
                        hard(before.0[index]),
                    ),
                    (
                        format!("peer {number} generator"),
                        generator(index, &before.0[index]),
                    ),
                    (
                        format!("peer {number} discriminator"),
                        discriminator(index, &before.1[index]),
                    ),
                ] {
                    assert!((shown[&name] - value).abs() < 1e-4, "{name}: {value}");
                }

                let gradient = slope(hard, before.0[index]);
                for (value, gradient) in peers[index].iter_mut().zip(gradient) {
                    *value -= RATE * gradient;
                }
                let gradient = slope(|peer: [f64; 4]| generator(index, &peer), before.0[index]);
                for i in 0..2 {
                    let value = peers[index][i];
                    peers[index][i] = of_peers[index][i].step(time, value, gradient[i]);
                }
                let gradient = slope(|c: [f64; 9]| discriminator(index, &c), before.1[index]);
                for i in 0..9 {
                    let value = critics[index][i];
                    critics[index][i] = of_critics[index][i].step(time, value, gradient[i]);
                }
            }
            model = model.optimize(&mut descent(), RATE.into(), output.grads);

            for index in 0..count {
                let actual =
                    [model.mutual.peers[index].parameters(), judge(&model, index)].concat();
                let expected = [&peers[index][..], &critics[index][..]].concat();
                for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
                    assert!(
                        (actual - expected).abs() < 2e-4,
                        "{count} peers, step {time}, peer {index}, {i}: {actual} {expected}"
                    );
                }
            }
        }
    }
}

fn three(device: &Device) -> Batch<Tensor<2>> {
    batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), device)
}

#[test]
fn the_optimizer_of_the_training_does_not_change_the_critics() {
    let device = Device::default().autodiff();
    let after = |config: OptimizerConfig, rate: f64| {
        let model = adversarial(2, &device);
        let mut optimizer = config.init();
        let output = TrainStep::step(&model, three(&device));
        let model = model.optimize(&mut optimizer, rate.into(), output.grads);
        (tensors(&model.critics), tensors(&model.mutual))
    };

    let (critics, peers) = after(
        OptimizerConfig::Adam {
            weight_decay: 0.3,
            clip_norm: None,
        },
        0.9,
    );
    let (same, others) = after(OptimizerConfig::default(), 0.0);

    assert_eq!(critics, same);
    assert_ne!(peers, others);
    assert_ne!(critics, tensors(&adversarial(2, &device).critics));
}

#[test]
fn the_game_changes_only_the_layers_up_to_a_map() {
    let device = Device::default().autodiff();
    let model = adversarial(3, &device);
    let before = tensors(&model.mutual);
    let output = TrainStep::step(&model, three(&device));

    // The optimizer of the training has a rate of zero, and a penalty.
    let model = model.optimize(
        &mut OptimizerConfig::default().init(),
        0.0.into(),
        output.grads,
    );

    for ((name, after), (_, before)) in tensors(&model.mutual).iter().zip(&before) {
        assert_eq!(after == before, name.ends_with("scale"), "{name}");
    }
}

#[test]
fn a_checkpoint_holds_the_critics_and_the_moments() {
    let device = Device::default().autodiff();
    let batch = three(&device);
    let model = step(step(adversarial(2, &device), &batch), &batch);
    let model = model.valid().train();

    let other = |seed: f64| {
        let peer = |sign: f64| Pixels::new(PEERS[0].map(|v| sign * v + seed), &device);
        let model = config().init(vec![peer(1.0), peer(-1.0)], hard(2), ["map", "map"]);
        step(model, &batch)
    };
    let restored = other(0.1).load_record(model.clone().into_record());

    assert_ne!(tensors(&other(0.1).adam), tensors(&model.adam));
    assert_eq!(tensors(&restored), tensors(&model));
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &batch).valid()));
    assert_eq!(a, b);
}

#[test]
fn a_validation_changes_nothing_and_shows_the_same_values_as_a_step() {
    let device = Device::default().autodiff();
    let model = step(adversarial(2, &device), &three(&device));
    let before = tensors(&model.valid());

    let valid = model.valid();
    let plain = three(&device.clone().without_autodiff());
    let shown = terms(&InferenceStep::step(&valid, plain).metrics);
    let shown_in_training = terms(&model.forward(&three(&device)).metrics);

    assert_eq!(tensors(&model.valid()), before);
    assert_eq!(tensors(&valid), before);
    let names: Vec<_> = shown.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ensemble accuracy",
            "peer 1 accuracy",
            "peer 1 cross-entropy",
            "peer 1 discriminator",
            "peer 1 generator",
            "peer 2 accuracy",
            "peer 2 cross-entropy",
            "peer 2 discriminator",
            "peer 2 generator",
        ]
    );
    assert!(shown_in_training.keys().eq(shown.keys()));
}

#[test]
fn the_losses_of_the_game_are_not_part_of_the_loss() {
    let device = Device::default().autodiff();
    let model = adversarial(2, &device);
    let loss = |loss: Tensor<1>| loss.into_scalar::<f64>();

    let with = loss(TrainStep::step(&model, three(&device)).item.loss);
    let without = loss(model.mutual.forward(&three(&device)).loss);

    assert_eq!(with, without);
}

/// Returns networks of the given widths, whose last maps have 4×4 pixels, or 2×2 with three widths.
fn networks(widths: &[&[usize]], device: &Device) -> Vec<DynNetwork<Tensor<4>>> {
    let network = |widths: &&[usize]| {
        let config = ConvNetConfig::new(widths.to_vec(), [1, 8, 8], 3);
        DynNetwork::new(initialize(config.init(device)))
    };
    widths.iter().map(network).collect()
}

fn images(count: usize, device: &Device) -> Batch<Tensor<4>> {
    let classes: Vec<i32> = (0..count as i32).map(|i| i % 3).collect();
    Batch {
        views: vec![Tensor::random(
            [count, 1, 8, 8],
            Distribution::Normal(0.0, 1.0),
            device,
        )],
        targets: Targets::classes(Tensor::from_data(classes.as_slice(), device)),
        ids: (0..count).collect(),
        clock: at(1, 0),
    }
}

fn objectives(count: usize) -> Vec<DynObjective<Knowledge, Vec<Knowledge>>> {
    let objective = || {
        let (hard, soft) = labels_and_soft_targets();
        DynObjective::new(PerTeacher::new(
            (1..count).map(|_| (hard.clone(), soft.clone())),
        ))
    };
    (0..count).map(|_| objective()).collect()
}

#[test]
fn peers_with_other_channels_and_sizes_have_adapters_that_the_game_trains() {
    let device = Device::default().autodiff();
    let peers = networks(&[&[3, 4], &[3, 6], &[2, 3, 6]], &device);
    let taps = ["layer2", "layer2", "layer3"];
    let model = config().init(peers, objectives(3), taps);
    let adapters: Vec<_> = model
        .critics
        .iter()
        .map(|c| c.adapter.conv.is_some())
        .collect();
    assert_eq!(adapters, [true, true, false]);

    let before = tensors(&model.critics);
    let mut optimizer = descent();
    let mut model = model;
    // A full batch, a smaller last one, and one of a single sample.
    for count in [8, 5, 1] {
        let output = TrainStep::step(&model, images(count, &device));
        assert!(
            terms(&output.item.metrics)
                .values()
                .all(|value| value.is_finite())
        );
        model = model.optimize(&mut optimizer, 0.1.into(), output.grads);
    }

    let after = tensors(&model.valid());
    for (name, data) in &after {
        assert!(data.iter::<f32>().all(f32::is_finite), "{name}");
    }
    for ((name, after), (_, before)) in tensors(&model.critics.valid()).iter().zip(&before) {
        assert_ne!(after, before, "{name}");
    }
}

#[test]
fn running_statistics_of_peers_are_updated_once_per_batch() {
    let device = Device::default().autodiff();
    let peers = networks(&[&[3, 4], &[3, 6]], &device);
    let batch = images(8, &device);
    let statistics = |peers: &Vec<DynNetwork<Tensor<4>>>| {
        let all = tensors(&peers.valid()).into_iter();
        let all: Vec<_> = all.filter(|(name, _)| name.contains("running")).collect();
        assert_eq!(all.len(), 8);
        all
    };
    let copies = || -> Vec<_> { peers.iter().map(|peer| peer.valid().train()).collect() };

    for order in [PeerOrder::Simultaneous, PeerOrder::Sequential] {
        let alone = MutualDistiller::new(copies(), objectives(2)).with_order(order);
        let mut game = config().init(copies(), objectives(2), ["layer2", "layer2"]);
        game.mutual.order = order;

        let alone = {
            let output = TrainStep::step(&alone, batch.clone());
            alone.optimize(&mut descent(), RATE.into(), output.grads)
        };
        let game = {
            let output = TrainStep::step(&game, batch.clone());
            game.optimize(&mut descent(), RATE.into(), output.grads)
        };

        assert_eq!(statistics(&game.mutual.peers), statistics(&alone.peers));
        assert_ne!(statistics(&alone.peers), statistics(&peers));
    }
}

#[test]
#[should_panic(expected = "An adversarial game needs a step of the optimizer for each batch")]
fn gradient_accumulation_is_refused() {
    let device = Device::default().autodiff();
    let model = adversarial(2, &device);
    TrainStep::step(&model, three(&device));
    TrainStep::step(&model, three(&device));
}

#[test]
#[should_panic(
    expected = "Peers 1 and 2 have the same parameters, so they would learn nothing from each other: \
                initialize them from different seeds."
)]
fn identical_peers_are_refused() {
    let device = Device::default();
    let peers = vec![
        Pixels::new(PEERS[0], &device),
        Pixels::new(PEERS[0], &device),
    ];
    config().init(peers, hard(2), ["map", "map"]);
}

fn pair() -> Vec<Pixels> {
    let device = Device::default();
    vec![
        Pixels::new(PEERS[0], &device),
        Pixels::new(PEERS[1], &device),
    ]
}

#[test]
#[should_panic(expected = "There should be a tap for each of 2 peers, but there are 1.")]
fn another_number_of_taps_than_peers_is_refused() {
    config().init(pair(), hard(2), ["map"]);
}

#[test]
#[should_panic(expected = "Critics compare feature maps, but the tap `row` is a vector")]
fn a_tap_that_is_not_a_map_is_refused() {
    config().init(pair(), hard(2), ["map", "row"]);
}

#[test]
#[should_panic(expected = "no tap named `maps`")]
fn an_unknown_tap_is_refused() {
    config().init(pair(), hard(2), ["map", "maps"]);
}

#[test]
#[should_panic(expected = "`learning_rate` should be above 0 and at most 1000, but is NaN")]
fn a_learning_rate_of_nan_is_refused() {
    AdversarialDistillerConfig::new()
        .with_learning_rate(f64::NAN)
        .init(pair(), hard(2), ["map", "map"]);
}
