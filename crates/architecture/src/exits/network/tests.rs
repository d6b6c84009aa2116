use super::*;
use crate::{
    ChosenExits, ConvNetConfig, NetworkConfig, ResNetConfig, WideResNetConfig, mean_logits,
};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Distribution, Int};
use burn_distill_core::{DynNetwork, Knowledge, known_taps, parameter_count, tensors};

/// Returns color images of 8×12 pixels on a device.
fn images(samples: usize, device: &Device) -> Tensor<4> {
    Tensor::random([samples, 3, 8, 12], Distribution::Default, device)
}

fn logits(response: &Response) -> burn::tensor::TensorData {
    response.classes().unwrap().to_data()
}

fn names(knowledge: &Knowledge) -> Vec<String> {
    knowledge.taps.iter().map(|(name, _)| name.into()).collect()
}

fn vectors(knowledge: &Knowledge, name: &str) -> Tensor<2> {
    knowledge.taps.expect(name).into_vectors()
}

/// Checks a network of 5 classes with two shallow stages.
fn check<N: Network<Input = Tensor<4>>>(init: impl Fn(&Device) -> N) {
    let device = Device::default().autodiff();
    let plain = initialize(init(&device));
    let network = MultiExitConfig::new().init(plain.clone());
    assert_eq!(network.exit_count(), 3);
    let valid = network.valid();
    let input = images(3, &device.clone().without_autodiff());

    // The response and the taps are those of the network, with additional taps.
    let knowledge = valid.forward_knowledge(input.clone(), &TapSelection::All);
    let expected = plain
        .valid()
        .forward_knowledge(input.clone(), &TapSelection::All);
    assert_eq!(logits(&knowledge.response), logits(&expected.response));
    let mut all = names(&expected);
    for number in 1..=3 {
        all.extend([format!("exit{number}.feature"), format!("exit{number}")]);
    }
    assert_eq!(names(&knowledge), all);

    // The last exit is the response; every other exit is computed from the map of its stage.
    assert_eq!(
        vectors(&knowledge, "exit3").into_data(),
        logits(&expected.response)
    );
    let pool = vectors(&knowledge, "pool");
    assert_eq!(
        vectors(&knowledge, "exit3.feature").into_data(),
        pool.to_data()
    );
    for (exit, number) in valid.exits.iter().zip(1..) {
        let map = knowledge.taps.expect(&format!("layer{number}")).into_map();
        let name = format!("exit{number}");
        let said = exit.forward(map.clone()).into_data();
        assert_eq!(vectors(&knowledge, &name).into_data(), said);
        let name = format!("exit{number}.feature");
        let feature = vectors(&knowledge, &name);
        assert_eq!(feature.dims(), pool.dims());
        assert_eq!(feature.into_data(), exit.feature(map).into_data());
        assert_eq!(valid.forward_exit(input.clone(), number).into_data(), said);
        let alone = valid.forward_to(input.clone(), &name).into_vectors();
        assert_eq!(alone.into_data(), vectors(&knowledge, &name).into_data());
    }

    // The record contains that of the network and loads into both.
    let own = tensors(&plain);
    assert_eq!(tensors(&network)[..own.len()], own);
    let record = network.clone().into_record().allow_unused(true);
    assert_eq!(tensors(&init(&device).load_record(record)), own);
    let other = MultiExitConfig::new().init(init(&device));
    assert_ne!(tensors(&other), tensors(&network));
    let restored = other.load_record(network.clone().into_record());
    assert_eq!(tensors(&restored), tensors(&network));
    assert_eq!(tensors(&network.clone().into_network()), own);

    // All parameters are trained, also with a batch of one.
    let before = tensors(&network.valid());
    for samples in [1, 3] {
        let exits = network.clone().forward_exits(images(samples, &device));
        let loss = exits.into_iter().map(|logits| logits.square().sum());
        let loss = loss.reduce(Tensor::add).unwrap();
        let grads = GradientsParams::from_grads(loss.backward(), &network);
        let stepped = SgdConfig::new().init().step(0.1, network.clone(), grads);
        let after = tensors(&stepped.valid());
        for ((name, after), (_, before)) in after.iter().zip(&before) {
            let finite = after.iter::<f32>().all(f32::is_finite);
            assert!(finite && (after != before || samples == 1), "{name}");
        }
    }
}

#[test]
fn convolutional_networks_have_exits() {
    check(|device| ConvNetConfig::new(vec![4, 6, 8], [3, 8, 12], 5).init(device));
}

#[test]
fn residual_networks_have_exits() {
    let config = ResNetConfig::new(8, [3, 8, 12], 5).with_widths([4, 4, 6, 8]);
    check(|device| config.init(device));
}

#[test]
fn wide_residual_networks_have_exits() {
    check(|device| WideResNetConfig::new(10, 1, [3, 8, 12], 5).init(device));
}

#[test]
fn dynamic_networks_have_exits() {
    let config = NetworkConfig::by_name("convnet-4-6-8").unwrap();
    check(|device| -> DynNetwork<Tensor<4>> { config.init([3, 8, 12], 5, device).unwrap() });
}

#[test]
fn an_exit_shrinks_by_tiles_to_the_deepest_size() {
    let device = Device::default();
    // Maps of 13×9, 7×5 and 4×3: sizes that strides round up.
    let network = ResNetConfig::new(8, [3, 13, 9], 5).with_widths([4, 4, 6, 8]);
    let network = MultiExitConfig::new().init(network.init(&device));

    let kernels = network.exits.iter().map(|exit| {
        let [_, _, height, width] = exit.bottleneck.layer[1].conv.weight.dims();
        [height, width]
    });
    assert!(kernels.eq([[3, 3], [1, 1]]));
    // 1×1 from 4 to 2, 3×3, 1×1 from 2 to 8, two values for each normalized channel, the
    // classifier.
    let expected = 4 * 2 + 9 * 2 * 2 + 2 * 8 + 2 * (2 + 2 + 8) + 8 * 5 + 5;
    assert_eq!(parameter_count(&network.exits[0]), expected);
}

#[test]
fn the_taps_of_exits_are_configurable() {
    let config = NetworkConfig::by_name("mlp-6-4").unwrap();
    let network = config.init([1, 3, 3], 5, &Device::default()).unwrap();
    let config = MultiExitConfig::new()
        .with_exits(Some(vec!["hidden.1".into()]))
        .with_deepest(Some("hidden.2".into()))
        .with_feature("hidden.2".into());

    let network = config.init(network);

    let taps = known_taps(&network);
    assert_eq!(taps.expect("exit1.feature").shape().as_slice(), [2, 4]);
    assert_eq!(taps.expect("exit2").shape().as_slice(), [2, 5]);
}

fn convnet(device: &Device) -> MultiExitNetwork<crate::ConvNet> {
    let config = ConvNetConfig::new(vec![4, 6, 8], [3, 8, 12], 5);
    MultiExitConfig::new().init(initialize(config.init(device)))
}

#[test]
fn an_exit_that_is_not_selected_is_not_computed() {
    let device = Device::default().autodiff();
    let network = convnet(&device);
    let before = tensors(&network.exits.valid());

    network.forward(images(2, &device));
    assert_eq!(tensors(&network.exits.valid()), before);

    // Features and logits of an exit are from one pass, so its statistics are updated once.
    let input = images(2, &device);
    let taps = TapSelection::named(["exit1.feature", "exit1"]);
    let [once, both] = [TapSelection::named(["exit1"]), taps].map(|taps| {
        let network = network.valid().train();
        network.forward_knowledge(input.clone(), &taps);
        tensors(&network.exits.valid())
    });
    assert_eq!(once, both);
    assert_ne!(once, before);
}

#[test]
fn an_exit_is_deployed_without_deeper_stages() {
    let device = Device::default().autodiff();
    let network = convnet(&device);
    let valid = network.valid();
    let input = images(3, &device.clone().without_autodiff());
    let exits = valid.forward_exits(input.clone());

    for (number, exit) in (1..).zip(exits) {
        let deployed = valid.clone().deploy(ExitChoice::One(number));
        let response = deployed.forward(input.clone());
        assert_eq!(logits(&response), exit.into_data());
    }

    // Only the stages before the exit run, so only their statistics change in training.
    let before = tensors(&network.valid());
    let deployed = network.deploy(ExitChoice::One(1));
    deployed.forward(images(2, &device));
    let moved = before.iter().zip(tensors(&deployed.network.valid()));
    let moved: Vec<_> = moved.filter(|(before, after)| *before != after).collect();
    assert!(!moved.is_empty());
    for ((name, _), _) in moved {
        assert!(
            name.starts_with("layer.0") || name.starts_with("exits.0"),
            "{name}"
        );
    }
}

#[test]
fn the_responses_of_deployed_exits_are_those_computed_by_hand() {
    let device = Device::default();
    let input = images(9, &device);
    let sure = |exits: &[Tensor<2>]| -> Vec<f32> {
        let sure = burn::tensor::activation::softmax(exits[0].clone(), 1).max_dim(1);
        sure.into_data().iter().collect()
    };
    let sorted = |exits: &[Tensor<2>]| {
        let mut sorted = sure(exits);
        sorted.sort_by(f32::total_cmp);
        sorted
    };
    // With some initial weights, the logits of all samples are equal.
    let draw = || {
        let network = convnet(&device).valid();
        let exits = network.forward_exits(input.clone());
        (network, exits)
    };
    let mut draws = (0..20).map(|_| draw());
    let apart = draws.find(|(_, exits)| sorted(exits)[4] - sorted(exits)[3] > 1e-5);
    let (network, exits) = apart.expect("the logits differ with some initial weights");

    let mean = network.clone().deploy(ExitChoice::Mean);
    let expected = mean_logits(&exits).into_data();
    assert_eq!(logits(&mean.forward(input.clone())), expected);

    // A threshold between two confidences of the first exit: some samples take it, some do not, and
    // none is so close that rounding decides.
    let (sure, sorted) = (sure(&exits), sorted(&exits));
    let threshold = f64::from(sorted[3] + sorted[4]) / 2.0;
    let early = network.deploy(ExitChoice::FirstConfident(threshold));
    let knowledge = early.forward_knowledge(input, &TapSelection::named(["exit"]));

    let chosen = ChosenExits::first_confident(&exits, threshold);
    assert_eq!(logits(&knowledge.response), chosen.logits.into_data());
    let taken = vectors(&knowledge, "exit").int().flatten::<1>(0, 1);
    let first = taken.clone().equal_scalar(1).into_data();
    assert_eq!(taken.into_data(), Tensor::<1, Int>::into_data(chosen.exits));
    let expected = sure.iter().map(|&sure| f64::from(sure) >= threshold);
    assert!(first.iter::<bool>().eq(expected));
    assert_eq!(first.iter::<bool>().filter(|first| *first).count(), 5);
}

#[test]
#[should_panic(expected = "The number of the exit should be from 1 to 3, but is 4.")]
fn an_exit_that_does_not_exist_is_refused() {
    convnet(&Device::default()).deploy(ExitChoice::One(4));
}

#[test]
#[should_panic(expected = "A multi-exit network should have at least two stages")]
fn a_network_of_one_stage_is_refused() {
    let config = ConvNetConfig::new(vec![4], [3, 8, 12], 5);
    MultiExitConfig::new().init(config.init(&Device::default()));
}

#[test]
#[should_panic(expected = "no tap named `layer9`")]
fn an_exit_at_an_unknown_tap_is_refused() {
    let config = ConvNetConfig::new(vec![4, 6], [3, 8, 12], 5);
    MultiExitConfig::new()
        .with_exits(Some(vec!["layer9".into()]))
        .init(config.init(&Device::default()));
}

#[test]
#[should_panic(expected = "should be a list of different taps, but is a list with `layer1` twice")]
fn two_exits_at_one_tap_are_refused() {
    let config = ConvNetConfig::new(vec![4, 6, 8], [3, 8, 12], 5);
    let twice = ["layer1", "layer2", "layer1"].map(String::from);
    MultiExitConfig::new()
        .with_exits(Some(twice.into()))
        .init(config.init(&Device::default()));
}
