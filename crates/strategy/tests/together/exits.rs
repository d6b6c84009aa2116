//! Be your own teacher: exits that learn from the deepest one, computed by hand.

use crate::common::{RATE, at, batch, cross_entropy, labeled, slope, softmax, step, terms, values};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use burn::train::InferenceStep;
use burn_distill_architecture::{AdapterKind, AdapterLayer, FeatureAdapter, FeatureAdapterConfig};
use burn_distill_core::{
    CrossEntropyObjective, Network, Response, Tap, TapObjective, TapPair, TapRecorder, initialize,
    known_taps, tensors,
};
use burn_distill_feature::{ExitDistance, ExitFeatureLoss, ExitFeatureLossConfig};
use burn_distill_response::{ResponseObjective, SoftCrossEntropyLoss, SoftCrossEntropyLossConfig};
use burn_distill_strategy::{Distillation, EnsembleKl, MultiExitDistiller, StepMetrics};

/// A network of two features of an input and two stages; at each depth, the features of an exit and
/// two logits of these. The deepest exit has no adapter.
#[derive(Module, Debug)]
struct Exits {
    trunk: Param<Tensor<2>>,
    stages: Vec<Param<Tensor<2>>>,
    adapters: Vec<Param<Tensor<2>>>,
    classifiers: Vec<Param<Tensor<2>>>,
}

const TRUNK: [f64; 2] = [0.7, -0.4];
/// Two stages, two adapters and three classifiers.
const MATRICES: [[f64; 4]; 7] = [
    [0.3, -0.9, 0.5, 0.6],
    [-1.0, 0.5, 0.2, 0.9],
    [0.1, 0.8, -0.6, 0.4],
    [0.5, -0.3, 0.7, 0.2],
    [0.9, 0.1, -0.4, -0.7],
    [-0.2, 0.6, 0.8, 0.3],
    [0.4, -0.5, -0.1, 1.1],
];
const COUNT: usize = 2 + 7 * 4;

impl Exits {
    fn new(device: &Device) -> Self {
        let matrices = |of: &[[f64; 4]]| {
            let matrix = |&values: &[f64; 4]| Tensor::<1>::from_data(values, device);
            of.iter()
                .map(|values| Param::from_tensor(matrix(values).reshape([2, 2])))
                .collect()
        };
        Self {
            trunk: Param::from_tensor(Tensor::from_data([TRUNK], device)),
            stages: matrices(&MATRICES[..2]),
            adapters: matrices(&MATRICES[2..4]),
            classifiers: matrices(&MATRICES[4..]),
        }
    }

    /// Returns all parameters in one array, in the order of the module tree.
    fn parameters(&self) -> [f64; COUNT] {
        let matrices = [&self.stages, &self.adapters, &self.classifiers];
        let all = [&self.trunk]
            .into_iter()
            .chain(matrices.into_iter().flatten());
        let all: Vec<_> = all.flat_map(|param| values(param.val())).collect();
        all.try_into().unwrap()
    }
}

impl Network for Exits {
    type Input = Tensor<2>;

    fn forward_tapped(&self, input: Tensor<2>, taps: &mut TapRecorder) -> Response {
        let mut features = input.matmul(self.trunk.val());
        let mut logits = None;
        for (depth, classifier) in self.classifiers.iter().enumerate() {
            let adapted = match self.adapters.get(depth) {
                Some(adapter) => features.clone().matmul(adapter.val()),
                None => features.clone(),
            };
            let output = adapted.clone().matmul(classifier.val());
            let name = format!("exit{}", depth + 1);
            taps.offer(format!("{name}.feature"), || Tap::Vector(adapted));
            taps.offer(name, || Tap::Vector(output.clone()));
            logits = Some(output);
            if let Some(stage) = self.stages.get(depth) {
                features = features.matmul(stage.val());
            }
        }
        Response::Classes(logits.unwrap())
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([samples, 1], device)
    }
}

type Objective = (
    CrossEntropyObjective,
    ResponseObjective<SoftCrossEntropyLoss>,
    Vec<TapObjective<ExitFeatureLoss, FeatureAdapter>>,
);
type Distiller = MultiExitDistiller<Exits, Objective>;

const TEMPERATURE: f64 = 3.0;

/// The weights of a variant. That of the features is larger than in the paper, to have a visible
/// effect.
#[derive(Clone, Copy)]
struct Variant {
    deepest: f64,
    hard: f64,
    soft: f64,
    scale_t2: bool,
    feature: f64,
    distance: ExitDistance,
}

const PAPER: Variant = Variant {
    deepest: 0.9,
    hard: 0.9,
    soft: 0.1,
    scale_t2: true,
    feature: 0.2,
    distance: ExitDistance::ActiveSquares,
};

const LATER: Variant = Variant {
    deepest: 1.0,
    hard: 0.7,
    soft: 0.3,
    scale_t2: false,
    feature: 0.4,
    distance: ExitDistance::Norm,
};

fn distiller(variant: Variant, device: &Device) -> Distiller {
    let network = Exits::new(device);
    let taps = known_taps(&network);
    let objective = |exit: usize| -> Objective {
        let soft = SoftCrossEntropyLossConfig::new()
            .with_temperature(TEMPERATURE)
            .with_scale_t2(variant.scale_t2);
        // In the later code, the second deepest exit has no feature term.
        let kind = match (variant.distance, exit) {
            (ExitDistance::ActiveSquares, _) => Some(AdapterKind::None),
            (ExitDistance::Norm, 1) => Some(AdapterKind::Linear),
            (ExitDistance::Norm, _) => None,
        };
        let of_features = kind.map(|kind| {
            let [from, to] = ["exit1.feature", "exit3.feature"].map(|name| taps.expect(name));
            let adapter = FeatureAdapterConfig::new(kind).init(&from, &to, device);
            let loss = ExitFeatureLossConfig::new().with_distance(variant.distance);
            let pair = TapPair::new("feature", "feature", loss.init());
            TapObjective::new([pair.with_adapter(adapter.unwrap())], variant.feature)
        });
        let soft = ResponseObjective::new(soft.init(), variant.soft);
        let of_features = of_features.into_iter().collect();
        initialize((CrossEntropyObjective::new(variant.hard), soft, of_features))
    };
    MultiExitDistiller::new(network, [objective(1), objective(2)])
        .with_cross_entropy(variant.deepest)
}

/// The logits and features of the exits for a sample.
struct ExitOutputs {
    logits: [[f64; 2]; 3],
    features: [[f64; 2]; 3],
}

fn outputs(p: &[f64; COUNT], input: f64) -> ExitOutputs {
    let times = |row: [f64; 2], matrix: usize| {
        let m = &p[2 + 4 * matrix..];
        [0, 1].map(|column| row[0] * m[column] + row[1] * m[2 + column])
    };
    let first = [p[0] * input, p[1] * input];
    let second = times(first, 0);
    let features = [times(first, 2), times(second, 3), times(second, 1)];
    ExitOutputs {
        logits: [0, 1, 2].map(|exit| times(features[exit], 4 + exit)),
        features,
    }
}

/// Computes the loss of samples of class 0, with targets of the deepest exit from separate
/// parameters. The last six parameters are those of the linear adapter, if there is one.
fn loss(
    variant: Variant,
    p: [f64; COUNT + 6],
    constants: &[f64; COUNT],
    inputs: &[f64],
    labeled: usize,
) -> f64 {
    let (p, adapter): (&[f64; COUNT], _) = (p[..COUNT].try_into().unwrap(), &p[COUNT..]);
    let soften = |logits: [f64; 2]| logits.map(|logit| logit / TEMPERATURE);
    let count = inputs.len() as f64;
    let (mut hard, mut deepest, mut soft, mut squares, mut norm) = (0.0, 0.0, 0.0, 0.0, 0.0_f64);
    for (index, &input) in inputs.iter().enumerate() {
        let predicted = outputs(p, input);
        let constant = outputs(constants, input);
        if index < labeled {
            deepest += cross_entropy(predicted.logits[2], [1.0, 0.0]) / labeled as f64;
        }
        for exit in 0..2 {
            let logits = predicted.logits[exit];
            if index < labeled {
                hard += cross_entropy(logits, [1.0, 0.0]) / labeled as f64;
            }
            let target = softmax(soften(constant.logits[2]));
            soft += cross_entropy(soften(logits), target) / count;
            for k in 0..2 {
                let (f, t) = (predicted.features[exit], constant.features[2][k]);
                if f[k] > 0.0 || t > 0.0 {
                    squares += (f[k] - t).powi(2);
                }
                if exit == 0 {
                    let adapted = f[0] * adapter[k] + f[1] * adapter[2 + k] + adapter[4 + k];
                    norm += (adapted - t).powi(2);
                }
            }
        }
    }
    if variant.scale_t2 {
        soft *= TEMPERATURE.powi(2);
    }
    let distance = match variant.distance {
        ExitDistance::ActiveSquares => squares,
        ExitDistance::Norm => norm.sqrt(),
    };
    variant.deepest * deepest
        + variant.hard * hard
        + variant.soft * soft
        + variant.feature * distance
}

/// Returns the parameters of the network, and those of the first adapter or zeros.
fn all_parameters(model: &Distiller) -> [f64; COUNT + 6] {
    let mut all = model.network.parameters().to_vec();
    match &model.objectives[0].2[0].term.pairs[0].adapter.layer {
        AdapterLayer::Linear(linear) => {
            all.extend(values(linear.weight.val()));
            all.extend(values(linear.bias.as_ref().unwrap().val()));
        }
        _ => all.extend([0.0; 6]),
    }
    all.try_into().unwrap()
}

const INPUTS: [f64; 3] = [1.0, -0.5, 0.3];

fn assert_step_by_hand(variant: Variant, inputs: &[f64], count: usize) {
    let device = Device::default().autodiff();
    let model = distiller(variant, &device);
    let single: Vec<f32> = inputs.iter().map(|&input| input as f32).collect();
    let ids: Vec<_> = (0..inputs.len()).collect();
    let batch = labeled(batch(&single, &ids, at(1, 0), &device), count);
    let before = all_parameters(&model);

    let metrics = StepMetrics::read(&[model.forward(&batch).metrics]).unwrap();
    let constants = model.network.parameters();
    let expected = loss(variant, before, &constants, inputs, count);
    let value = metrics[0].loss;
    assert!((value - expected).abs() < 1e-5, "{value} is not {expected}");

    let after = all_parameters(&step(model, &batch));
    let gradient = slope(|p| loss(variant, p, &constants, inputs, count), before);
    for (index, after) in after.iter().enumerate() {
        let expected = before[index] - RATE * gradient[index];
        assert!(
            (after - expected).abs() < 1e-4,
            "parameter {index}: {after} is not {expected}"
        );
    }
}

#[test]
fn a_step_with_the_weights_of_the_paper_agrees_with_one_computed_by_hand() {
    assert_step_by_hand(PAPER, &INPUTS, 3);
}

#[test]
fn a_step_with_the_weights_of_the_later_code_agrees_with_one_computed_by_hand() {
    assert_step_by_hand(LATER, &INPUTS, 3);
}

#[test]
fn a_step_on_one_sample_and_on_unlabeled_samples_agrees_with_one_computed_by_hand() {
    for variant in [PAPER, LATER] {
        assert_step_by_hand(variant, &INPUTS[..1], 1);
        assert_step_by_hand(variant, &INPUTS, 1);
    }
}

#[test]
fn the_deepest_exit_has_no_teacher() {
    let device = Device::default().autodiff();
    for variant in [PAPER, LATER] {
        let model = distiller(variant, &device);
        // Without labels, only the distillation remains.
        let batch = labeled(batch(&[1.0, -0.5], &[0, 1], at(1, 0), &device), 0);
        let before = model.network.parameters();

        let after = step(model, &batch).network.parameters();

        let moved: Vec<_> = (0..COUNT).filter(|&i| before[i] != after[i]).collect();
        // The second stage and the last classifier belong only to the deepest exit.
        let own: Vec<_> = (6..10).chain(26..30).collect();
        let expected: Vec<_> = (0..COUNT).filter(|i| !own.contains(i)).collect();
        assert_eq!(moved, expected);
    }
}

#[test]
fn the_deepest_exit_is_a_constant_for_any_objective() {
    // This objective has a gradient for its teacher.
    let device = Device::default().autodiff();
    let objectives = [(); 2].map(|()| EnsembleKl::new(TEMPERATURE, 1.0));
    let model = MultiExitDistiller::new(Exits::new(&device), objectives).with_cross_entropy(0.0);
    let before = model.network.parameters();

    let batch = batch(&[1.0, -0.5], &[0, 1], at(1, 0), &device);
    let after = step(model, &batch).network.parameters();

    assert_ne!(before, after);
    assert_eq!(before[6..10], after[6..10]);
    assert_eq!(before[26..], after[26..]);
}

#[test]
fn accuracies_are_of_each_exit_and_of_their_mean_logits() {
    let device = Device::default().autodiff();
    let mut model = distiller(PAPER, &device);
    // The deepest exit predicts another class, and is more confident than each of the others: the
    // mean of the logits agrees with it, but the mean of the probabilities would not.
    let classifier = &mut model.network.classifiers[2];
    *classifier = Param::from_tensor(classifier.val().mul_scalar(-1.2).detach());
    let inputs = [10.0, -5.0, 3.0, 8.0];
    let single = inputs.map(|input| input as f32);
    let batch = batch(&single, &[0, 1, 2, 3], at(1, 0), &device);

    let shown = terms(&model.forward(&batch).metrics);

    let p = model.network.parameters();
    let right = |of: &dyn Fn(&ExitOutputs) -> [f64; 2]| {
        let logits = inputs.map(|input| of(&outputs(&p, input)));
        25.0 * logits.iter().filter(|logits| logits[0] > logits[1]).count() as f64
    };
    for exit in 0..3 {
        let expected = right(&|output| output.logits[exit]);
        assert_eq!(shown[&format!("exit {} accuracy", exit + 1)], expected);
    }
    let sum =
        |output: &ExitOutputs| [0, 1].map(|class| output.logits.iter().map(|l| l[class]).sum());
    assert_eq!(shown["ensemble accuracy"], right(&sum));
    assert_eq!(
        [shown["exit 1 accuracy"], shown["ensemble accuracy"]],
        [75.0, 25.0]
    );
    let names = [
        "ensemble accuracy",
        "exit 1 accuracy",
        "exit 1 cross-entropy",
        "exit 1 exit-feature",
        "exit 1 soft-cross-entropy",
        "exit 2 accuracy",
        "exit 2 cross-entropy",
        "exit 2 exit-feature",
        "exit 2 soft-cross-entropy",
        "exit 3 accuracy",
        "exit 3 cross-entropy",
    ];
    assert!(shown.keys().eq(names));
}

#[test]
fn a_validation_has_the_same_loss_and_changes_nothing() {
    let device = Device::default().autodiff();
    let plain = device.clone().without_autodiff();
    for variant in [PAPER, LATER] {
        let model = distiller(variant, &device);
        let before = tensors(&model);
        let on = |device: &Device| batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), device);

        let valid = InferenceStep::step(&model.valid(), on(&plain));

        let loss = model.forward(&on(&device)).loss.into_scalar::<f64>();
        assert!((valid.loss.into_scalar::<f64>() - loss).abs() < 1e-6);
        assert_eq!(tensors(&model), before);
    }
}

#[test]
fn a_step_after_loading_equals_one_without() {
    let device = Device::default().autodiff();
    let batch = batch(&[1.0, -0.5, 0.3], &[0, 1, 2], at(1, 0), &device);
    let model = step(distiller(LATER, &device), &batch);

    let restored = distiller(LATER, &device).load_record(model.clone().into_record());
    assert_eq!(tensors(&restored), tensors(&model));
    let [a, b] = [model, restored].map(|model| tensors(&step(model, &batch)));
    assert_eq!(a, b);
}

#[test]
#[should_panic(
    expected = "There should be an objective for each of 2 shallow exits, but there are 3."
)]
fn another_number_of_objectives_than_shallow_exits_is_refused() {
    let objectives = (0..3).map(|_| CrossEntropyObjective::new(1.0));
    MultiExitDistiller::new(Exits::new(&Device::default()), objectives);
}

#[test]
#[should_panic(expected = "Exits are compared by the responses and features of one view")]
fn an_objective_on_another_tap_of_an_exit_is_refused() {
    let loss = ExitFeatureLossConfig::new().init();
    let objective = || TapObjective::new([TapPair::new("pool", "feature", loss.clone())], 1.0);
    MultiExitDistiller::new(Exits::new(&Device::default()), [objective(), objective()]);
}
