use super::*;
use crate::NetworkConfig;
use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{DType, Device, Distribution, Tensor, TensorData, Tolerance};
use burn_distill_core::{
    Check, DynNetwork, Network, NetworkMismatch, Response, Tap, TapRecorder, TapSelection,
    batch_norm, known_taps, tensors,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Returns the fixtures of `docs/reference/quantization.py` of a kind.
fn fixtures(kind: &str) -> Vec<Value> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/quantization.json"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let of_kind: Vec<_> = all.into_iter().filter(|f| f["kind"] == kind).collect();
    assert_eq!(of_kind.len(), 4);
    of_kind
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap().iter();
    list.map(|number| number.as_f64().unwrap()).collect()
}

fn whole(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn double(values: Vec<f64>, device: &Device) -> Tensor<1> {
    let shape = [values.len()];
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F64))
}

fn weights(count: usize, device: &Device) -> Tensor<1> {
    let weight = |n: usize| 0.9 * (0.7 * n as f64 + 0.3).sin() + 0.05 * n as f64 / count as f64;
    double((0..count).map(weight).collect(), device)
}

#[track_caller]
fn assert_close(actual: Tensor<1>, expected: &[f64]) {
    let actual: Vec<f64> = actual.into_data().convert::<f64>().iter().collect();
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(expected) {
        assert!((actual - expected).abs() < 1e-12, "{actual} {expected}");
    }
}

#[test]
fn a_uniform_grid_has_the_reference_values() {
    for fixture in fixtures("uniform") {
        let [bits, size] = ["bits", "bucket_size"].map(|key| whole(&fixture[key]));
        let weights = weights(whole(&fixture["count"]), &Device::flex());

        let quantized = UniformGrid::new(bits, size).quantize(weights);

        assert_close(quantized, &numbers(&fixture["values"]));
    }
}

#[test]
fn a_uniform_grid_has_the_values_of_the_code_of_the_authors() {
    let weights = [0.1, -0.5, 0.33, 0.9, -0.2, 0.05, 0.7, -0.9, 0.4, 0.25];
    let weights = double(weights.to_vec(), &Device::flex());

    let whole = UniformGrid::new(2, 256).quantize(weights.clone());
    assert_close(
        whole,
        &[0.3, -0.3, 0.3, 0.9, -0.3, 0.3, 0.9, -0.9, 0.3, 0.3],
    );
    let fours = UniformGrid::new(2, 4).quantize(weights);
    assert_close(
        fours,
        &[
            -1.0 / 30.0,
            -0.5,
            13.0 / 30.0,
            0.9,
            -11.0 / 30.0,
            1.0 / 6.0,
            0.7,
            -0.9,
            0.4,
            0.25,
        ],
    );
}

#[test]
fn buckets_of_equal_weights_and_tensors_of_one_weight_stay() {
    let device = Device::flex();
    for values in [vec![0.7; 5], vec![0.0; 3], vec![-2.5], Vec::new()] {
        let quantized = UniformGrid::new(4, 2).quantize(double(values.clone(), &device));
        assert_close(quantized, &values);
    }
}

#[test]
fn quantized_weights_stay_when_they_are_quantized_again() {
    let grid = UniformGrid::new(3, 7);
    let once = grid.quantize(weights(40, &Device::flex()));
    let values: Vec<f64> = once.to_data().iter().collect();

    assert_close(grid.quantize(once), &values);
}

#[test]
fn stochastic_rounding_goes_to_a_neighbor_and_is_right_on_average() {
    let device = Device::flex();
    // Levels 0, 1, 2, 3.
    let weights = double([vec![0.0, 3.0, 2.0], vec![1.25; 4000]].concat(), &device);
    let grid = UniformGrid::new(2, 5000);

    let quantized = grid.quantize_stochastically(weights.clone(), [1, 2, 3, 4]);
    let values: Vec<f64> = quantized.to_data().iter().collect();

    assert_eq!(values[..3], [0.0, 3.0, 2.0]);
    assert!(
        values[3..]
            .iter()
            .all(|&value| value == 1.0 || value == 2.0)
    );
    // A deviation of 0.007.
    let mean = values[3..].iter().sum::<f64>() / 4000.0;
    assert!((mean - 1.25).abs() < 0.035, "{mean}");
    let again = grid.quantize_stochastically(weights.clone(), [1, 2, 3, 4]);
    assert_close(again, &values);
    let other: Vec<f64> = grid
        .quantize_stochastically(weights, [1, 2, 4, 4])
        .into_data()
        .iter()
        .collect();
    assert_ne!(other, values);
}

#[test]
fn a_learned_step_has_the_reference_values_and_gradients() {
    let device = Device::flex().autodiff();
    for fixture in fixtures("learned-step") {
        let count = whole(&fixture["count"]);
        let grid = LearnedStepGrid::new(whole(&fixture["bits"]));
        let weights = weights(count, &device).require_grad();
        let step = fixture["step"].as_f64().unwrap();
        let step = double(vec![step], &device).require_grad();
        let outer = |n: usize| (1.1 * n as f64 + 0.1).cos();
        let outer = double((0..count).map(outer).collect(), &device);

        let quantized = grid.quantize(weights.clone(), step.clone());
        let grads = quantized.clone().mul(outer).sum().backward();

        assert_close(quantized, &numbers(&fixture["values"]));
        let by_weights = weights.grad(&grads).unwrap();
        assert_close(by_weights, &numbers(&fixture["by_weights"]));
        let by_step = fixture["by_step"].as_f64().unwrap();
        assert_close(step.grad(&grads).unwrap(), &[by_step]);
        let initial = fixture["initial_step"].as_f64().unwrap();
        assert_close(grid.initial_step(weights), &[initial]);
    }
}

#[test]
fn learned_levels_have_the_reference_values_and_gradients() {
    let device = Device::flex().autodiff();
    for fixture in fixtures("learned-levels") {
        let count = whole(&fixture["count"]);
        let [bits, size] = ["bits", "bucket_size"].map(|key| whole(&fixture[key]));
        let weights = weights(count, &device).require_grad();
        let levels = double(numbers(&fixture["levels"]), &device).require_grad();
        let outer = |n: usize| (1.1 * n as f64 + 0.1).cos();
        let outer: Vec<_> = (0..count).map(outer).collect();

        let quantized =
            LearnedLevelsGrid::new(bits, size).quantize(weights.clone(), levels.clone());
        let outer_tensor = double(outer.clone(), &device);
        let grads = quantized.clone().mul(outer_tensor).sum().backward();

        assert_close(quantized, &numbers(&fixture["values"]));
        let by_levels = levels.grad(&grads).unwrap();
        assert_close(by_levels, &numbers(&fixture["by_levels"]));
        // Straight-through.
        assert_close(weights.grad(&grads).unwrap(), &outer);
    }
}

#[test]
fn learned_levels_start_as_the_uniform_grid() {
    let device = Device::flex();
    let weights = weights(40, &device);
    for (bits, size) in [(1, 256), (2, 7), (4, 16)] {
        let grid = LearnedLevelsGrid::new(bits, size);
        let levels = grid.initial_levels(&device).cast(DType::F64);

        let found: Vec<f64> = grid
            .quantize(weights.clone(), levels)
            .into_data()
            .iter()
            .collect();

        let expected = UniformGrid::new(bits, size).quantize(weights.clone());
        let expected: Vec<f64> = expected.into_data().iter().collect();
        // The levels are in single precision.
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
    let empty = LearnedLevelsGrid::new(2, 8);
    let levels = empty.initial_levels(&device).cast(DType::F64);
    assert_close(
        empty.quantize(double(Vec::new(), &device), levels.clone()),
        &[],
    );
    assert_close(
        empty.quantize(double(vec![0.3; 9], &device), levels),
        &[0.3; 9],
    );
}

#[test]
fn weights_and_steps_of_zero_have_finite_gradients() {
    let device = Device::flex().autodiff();
    let grid = LearnedStepGrid::new(4);
    for (values, step) in [
        (vec![0.0; 3], 0.5),
        (vec![0.0; 3], 0.0),
        (vec![0.5, -0.5, 0.0], -0.1),
    ] {
        let weights = double(values, &device).require_grad();
        let step = double(vec![step], &device).require_grad();

        let quantized = grid.quantize(weights.clone(), step.clone());
        let grads = quantized.sum().backward();

        for gradient in [weights.grad(&grads), step.grad(&grads)] {
            let gradient: Vec<f64> = gradient.unwrap().into_data().iter().collect();
            assert!(gradient.iter().all(|value| value.is_finite()));
        }
    }
    let initial = grid.initial_step(double(vec![0.0; 3], &Device::flex()));
    assert!(initial.into_scalar::<f64>() > 0.0);
}

/// A network of a linear layer, a normalization and a classifier.
#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    norm: BatchNorm,
    output: Linear,
}

impl Net {
    fn new(seed: u64, device: &Device) -> Self {
        device.seed(seed);
        let net = Self {
            hidden: LinearConfig::new(3, 4).init(device),
            norm: BatchNormConfig::new(4).init(device),
            output: LinearConfig::new(4, 2).init(device),
        };
        burn_distill_core::initialize(net)
    }
}

impl Network for Net {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let hidden = batch_norm(&self.norm, self.hidden.forward(input));
        taps.offer("hidden", || Tap::Vector(hidden.clone()));
        Response::Classes(self.output.forward(hidden))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 3], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.output.clone())
    }
}

fn input(device: &Device) -> Tensor<2> {
    let values = (0..15).map(|n| (1.7 * n as f32).sin()).collect();
    Tensor::from_data(TensorData::new(values, [5, 3]), device)
}

fn logits<N: Network<Input = Tensor<2>>>(network: &N, device: &Device) -> Tensor<2> {
    network.forward(input(device)).classes().unwrap().clone()
}

fn by_path(network: &impl Module) -> BTreeMap<String, TensorData> {
    tensors(&network.valid()).into_iter().collect()
}

fn two_bits() -> QuantizationConfig {
    QuantizationConfig::new()
        .with_bits(2)
        .with_bucket_size(Some(3))
}

fn gradients<N: Network<Input = Tensor<2>>>(network: &N, device: &Device) -> GradientsParams {
    let loss = logits(network, device).powi_scalar(2).sum();
    GradientsParams::from_grads(loss.backward(), network)
}

#[test]
fn full_precision_weights_get_the_gradient_of_the_quantized_ones() {
    let device = Device::flex().autodiff();
    let net = Net::new(1, &device);
    let student = two_bits().init(net.clone());
    // The same ids, so that the gradients have the same keys.
    let plain = student.quantized().valid().train();

    let (found, expected) = (gradients(&student, &device), gradients(&plain, &device));

    assert_eq!(found.len(), 6);
    let gradient = |gradients: &GradientsParams| {
        let weight = gradients.get::<2>(net.hidden.weight.id).unwrap();
        let beta = gradients.get::<1>(net.norm.beta.id).unwrap();
        [weight.into_data(), beta.into_data()]
    };
    assert_eq!(gradient(&found), gradient(&expected));
    assert_eq!(
        tensors(&student.inner().valid())[0],
        tensors(&net.valid())[0]
    );
}

#[test]
fn after_a_step_the_weights_are_off_the_grid_but_those_of_the_pass_are_on_it() {
    let device = Device::flex().autodiff();
    let student = two_bits().init(Net::new(1, &device));

    let grads = gradients(&student, &device);
    let student = SgdConfig::new().init().step(0.1, student, grads);

    let levels = |linear: &Linear| {
        // As in PyTorch: a bucket is the three weights of one output.
        let rows = linear.weight.val().transpose().into_data();
        let rows: Vec<f32> = rows.iter().collect();
        rows.chunks(3)
            .map(|row| {
                let low = row.iter().copied().fold(f32::INFINITY, f32::min);
                let high = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                row.iter()
                    .map(|weight| 3.0 * (weight - low) / (high - low))
                    .collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
            .concat()
    };
    let off = |levels: &[f32]| {
        let far = levels
            .iter()
            .filter(|level| (*level - level.round()).abs() > 1e-4);
        far.count()
    };
    assert!(off(&levels(&student.inner().hidden)) > 0);
    assert_eq!(off(&levels(&student.quantized().hidden)), 0);
}

#[test]
fn running_statistics_move_with_the_quantized_pass_and_stay() {
    let device = Device::flex().autodiff();
    let student = two_bits().init(Net::new(1, &device));
    let plain = student.quantized().valid().train();

    let before = by_path(&student);
    logits(&student, &device);
    logits(&plain, &device);

    let (after, expected) = (by_path(&student), by_path(&plain));
    assert_ne!(after["norm.running_mean"], before["norm.running_mean"]);
    assert_eq!(after["norm.running_mean"], expected["norm.running_mean"]);
    assert_eq!(after["norm.running_var"], expected["norm.running_var"]);
}

#[test]
fn the_deployed_network_is_that_of_the_validation_and_has_its_tensors() {
    let device = Device::flex().autodiff();
    let net = Net::new(1, &device);
    let plain = Device::flex();
    for config in [
        two_bits(),
        two_bits().with_rounding(Rounding::Stochastic),
        QuantizationConfig::new()
            .with_kind(QuantizationKind::LearnedStep)
            .with_bits(2),
        two_bits().with_kind(QuantizationKind::LearnedLevels),
    ] {
        let student = config.init(DynNetwork::new(net.clone()));
        logits(&student, &device);
        let student = DynNetwork::new(student);

        let valid = logits(&student.valid(), &plain).into_data();
        let deployed = student.clone().deployed();

        assert_eq!(logits(&deployed, &plain).into_data(), valid);
        assert_ne!(logits(&net.valid(), &plain).into_data(), valid);
        let (tensors, own) = (by_path(&deployed), by_path(&net));
        assert!(tensors.keys().eq(own.keys()));
        assert_ne!(tensors["hidden.weight"], own["hidden.weight"]);
        // The original still has its weights, and deploying twice changes nothing.
        assert_eq!(by_path(&student)["hidden.weight"], own["hidden.weight"]);
        assert_eq!(by_path(&deployed.clone().deployed()), tensors);
        // A plain network with the saved weights.
        let loaded = Net::new(2, &plain).load_record(deployed.into_record());
        assert_eq!(by_path(&loaded), tensors);
        logits(&loaded, &plain)
            .into_data()
            .assert_approx_eq::<f32>(&valid, Tolerance::absolute(1e-6));
    }
}

#[test]
fn it_has_the_taps_and_the_classifier_of_its_network() {
    let device = Device::flex().autodiff();
    let student = two_bits().init(Net::new(1, &device));

    assert_eq!(known_taps(&student).len(), 1);
    let selection = TapSelection::named(["hidden"]);
    let knowledge = student.forward_knowledge(input(&device), &selection);
    let hidden = knowledge.taps.expect("hidden").into_vectors();
    let again = student.classifier().unwrap().forward(hidden);
    let logits = knowledge.response.classes().unwrap().to_data();
    assert_eq!(again.into_data(), logits);
}

#[test]
fn excluded_parts_stay_in_full_precision() {
    let device = Device::flex();
    let net = Net::new(1, &device);
    let config = two_bits().with_except(vec!["output".into(), "bias".into()]);

    let (quantized, own) = (by_path(&config.init(net.clone()).deployed()), by_path(&net));

    for (path, data) in &quantized {
        let is_quantized = path == "hidden.weight";
        // The scale and the offset of the normalization are constant at first.
        assert_eq!(data != &own[path], is_quantized, "{path}");
    }
    let error = two_bits().with_except(vec!["hid".into()]);
    let error = error.try_init(net).map(|_| ()).unwrap_err();
    assert!(matches!(error, NetworkMismatch::Network(_)), "{error}");
}

#[test]
fn learned_levels_are_trained_even_if_the_weights_are_frozen() {
    let device = Device::flex().autodiff();
    let config = QuantizationConfig::new()
        .with_kind(QuantizationKind::LearnedLevels)
        .with_bits(2);
    // As in the paper, whose weights do not change.
    let student = config.init(Net::new(1, &device).valid().freeze().train());
    let before = by_path(&student);

    let grads = gradients(&student, &device);
    assert_eq!(grads.len(), 6);
    let student = SgdConfig::new().init().step(0.1, student, grads);

    for (path, data) in by_path(&student) {
        let is_level = path.starts_with("learned");
        assert_eq!(data != before[&path], is_level, "{path}");
    }
}

#[test]
fn learned_steps_are_trained_and_saved_with_the_network() {
    let device = Device::flex().autodiff();
    let config = QuantizationConfig::new()
        .with_kind(QuantizationKind::LearnedStep)
        .with_bits(3);
    let student = config.init(Net::new(1, &device));
    let before = by_path(&student);

    let grads = gradients(&student, &device);
    assert_eq!(grads.len(), 6 + 2);
    let student = SgdConfig::new().init().step(0.1, student, grads);

    let after = by_path(&student);
    for step in ["learned.0", "learned.1"] {
        assert_ne!(after[step], before[step], "{step}");
    }
    // Vectors stay in full precision.
    let quantized = by_path(&student.quantized());
    assert_eq!(quantized["hidden.bias"], after["hidden.bias"]);
    assert_ne!(quantized["hidden.weight"], after["hidden.weight"]);

    let restored = config.init(Net::new(2, &device));
    let restored = restored.load_record(student.clone().into_record());
    assert_eq!(by_path(&restored), after);
    let device = Device::flex();
    assert_eq!(
        logits(&restored.valid(), &device).into_data(),
        logits(&student.valid(), &device).into_data()
    );
}

#[test]
fn a_resumed_training_draws_the_numbers_of_an_uninterrupted_one() {
    let device = Device::flex().autodiff();
    let config = two_bits().with_rounding(Rounding::Stochastic).with_seed(3);
    let step = |student: Quantized<Net>| {
        let grads = gradients(&student, &device);
        SgdConfig::new().init().step(0.1, student, grads)
    };
    let first = step(config.init(Net::new(1, &device)));
    // As in a checkpoint, whose running statistics are complete.
    let saved = first.valid().into_record();
    // A validation draws nothing.
    logits(&first.valid(), &Device::flex());
    let uninterrupted = step(first);

    let resumed = config.init(Net::new(2, &device)).load_record(saved);
    let resumed = step(resumed);

    assert_eq!(by_path(&resumed), by_path(&uninterrupted));
    let outputs = |student: &Quantized<Net>| logits(student, &device).into_data();
    assert_ne!(outputs(&resumed), outputs(&resumed));
    let other = config.clone().with_seed(4).init(Net::new(1, &device));
    assert_ne!(by_path(&step(step(other))), by_path(&uninterrupted));
}

#[test]
fn weights_in_half_precision_are_quantized_in_single_precision() {
    struct To(DType);

    impl ModuleMapper for To {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.detach().cast(self.0))
        }
    }

    let device = Device::flex();
    for dtype in [DType::F16, DType::BF16] {
        if !device.supports_dtype(dtype) {
            continue;
        }
        let net = Net::new(1, &device).map(&mut To(dtype));
        let quantized = two_bits().init(net.clone()).quantized();

        let weight = net.hidden.weight.val().transpose().cast(DType::F32);
        let expected = UniformGrid::new(2, 3).quantize(weight).transpose();
        let found = quantized.hidden.weight.val();
        assert_eq!(found.dtype(), dtype);
        found
            .into_data()
            .assert_eq(&expected.cast(dtype).into_data(), true);
    }
}

#[test]
fn the_packed_size_counts_bits_levels_and_everything_else_in_single_precision() {
    let net = Net::new(1, &Device::flex());
    // 12 + 4 + 8 weights, 4 + 2 biases... and 8 running statistics.
    let single = 4 * (12 + 4 + 4 + 4 + 8 + 2 + 8);

    // Buckets of 3: 4 + 2 + 2 + 2 + 3 + 1 of them, each with two numbers.
    let size = two_bits().size(&net).unwrap();
    let packed = (3 + 1 + 1 + 1 + 2 + 1) + 8 * (4 + 2 + 2 + 2 + 3 + 1) + 4 * 8;
    assert_eq!(
        size,
        QuantizedSize {
            single_precision: single,
            packed
        }
    );

    let learned = QuantizationConfig::new()
        .with_kind(QuantizationKind::LearnedStep)
        .with_bits(3);
    // 12 and 8 weights of 3 bits, with a step each.
    let packed = (5 + 3) + 2 * 4 + 4 * (4 + 4 + 4 + 2 + 8);
    assert_eq!(learned.size(&net).unwrap().packed, packed);

    // Four levels for each of six tensors.
    let levels = two_bits().with_kind(QuantizationKind::LearnedLevels);
    let levels = levels.size(&net).unwrap().packed;
    assert_eq!(levels, size.packed + 4 * 4 * 6);
}

#[test]
fn values_out_of_range_are_refused() {
    let of_kind = |kind| QuantizationConfig::new().with_kind(kind);
    let learned = of_kind(QuantizationKind::LearnedStep);
    let levels = of_kind(QuantizationKind::LearnedLevels);
    for (config, key) in [
        (QuantizationConfig::new().with_bits(0), "bits"),
        (QuantizationConfig::new().with_bits(17), "bits"),
        (learned.clone().with_bits(1), "bits"),
        (levels.clone().with_bits(9), "bits"),
        (
            levels.clone().with_rounding(Rounding::Stochastic),
            "rounding",
        ),
        (
            QuantizationConfig::new().with_bucket_size(Some(0)),
            "bucket_size",
        ),
        (learned.clone().with_bucket_size(Some(8)), "bucket_size"),
        (
            learned.clone().with_rounding(Rounding::Stochastic),
            "rounding",
        ),
    ] {
        assert_eq!(config.check().unwrap_err().key, key);
    }
    QuantizationConfig::new().check().unwrap();
    learned.check().unwrap();
    levels.with_bucket_size(Some(8)).check().unwrap();
}

#[test]
fn networks_of_the_library_are_quantized() {
    let device = Device::flex();
    for name in ["mlp-8", "convnet-4-8", "resnet8", "vit-4-8-2"] {
        let Ok(config) = NetworkConfig::by_name(name) else {
            panic!("{name}");
        };
        let network = config.init([1, 8, 8], 3, &device).unwrap();
        let images = Tensor::<4>::random([2, 1, 8, 8], Distribution::Default, &device);

        let student = two_bits().init(network.clone());

        let logits = |network: &dyn Fn(Tensor<4>) -> Response| {
            network(images.clone()).classes().unwrap().to_data()
        };
        let quantized = logits(&|images| student.forward(images));
        assert_ne!(
            quantized,
            logits(&|images| network.forward(images)),
            "{name}"
        );
        assert!(student.to_string().contains("quantized"));
    }
}
