//! DINO: the moving average of a network as the teacher for other views.

use crate::common::{
    Counted, RATE, TwoLogits, assert_close, at, batch, descent, samples, slope, softmax, step,
};
use burn::module::{Module, ParamGroup};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Tensor};
use burn::train::{InferenceStep, TrainStep};
use burn_distill_core::{Batch, ChangingWeight, Clock, Network, tensors};
use burn_distill_strategy::{
    DinoDistiller, DinoHeadConfig, DinoNetwork, DinoObjective, DinoObjectiveConfig, MeanTeacher,
    OptimizerConfig,
};

const EPOCHS: usize = 4;

fn cosine() -> ChangingWeight {
    ChangingWeight::Cosine {
        from: 0.6,
        to: 1.0,
        epochs: EPOCHS,
    }
}

fn of<S: Network>(
    student: S,
    prototypes: usize,
) -> DinoDistiller<S, MeanTeacher<S>, DinoObjective> {
    let teacher = MeanTeacher::new(&student, cosine()).with_warm_up(false);
    let device = student.devices()[0].clone();
    let objective = DinoObjectiveConfig::new().init(prototypes, 1.0, &device);
    DinoDistiller::new(student, teacher, objective)
}

#[test]
fn matches_the_reference_implementation() {
    // `DINOLoss` of dino, on two samples with four views of the student and two of the teacher; the
    // norms of the gradients by central differences of the formula in double precision.
    let zs = [
        [2.0, 0.5, -1.0],
        [0.0, 1.0, 0.5],
        [1.0, -1.0, 0.3],
        [0.2, 0.1, 2.0],
    ];
    let zt = [
        [3.0, 0.0, -1.0],
        [0.5, 2.0, 0.0],
        [2.0, -2.0, 0.0],
        [0.0, 0.0, 3.0],
    ];
    let device = Device::default().autodiff();
    let zs = Tensor::<2>::from_data(zs, &device).mul_scalar(0.1);
    let zt = Tensor::<2>::from_data(zt, &device).mul_scalar(0.1);
    let all = Tensor::cat(vec![zs.clone(), zs.flip([0]).mul_scalar(0.1)], 0);
    let objective = DinoObjectiveConfig::new().init(3, 1.0, &device);

    for (value, norm, center) in [
        (1.112950434, 2.577362701, [0.01375, 0.0, 0.005]),
        (1.113717426, 2.580980131, [0.026125, 0.0, 0.0095]),
    ] {
        let all = all.clone().detach().require_grad();
        let teacher = zt.clone().require_grad();
        let views = |logits: &Tensor<2>, count| {
            let views = (0..count).map(|view| logits.clone().narrow(0, 2 * view, 2));
            views.collect::<Vec<_>>()
        };
        let loss = objective.loss(views(&all, 4), views(&teacher, 2), 0.04);
        let grads = loss.clone().backward();

        let loss = loss.into_scalar::<f64>();
        assert!((loss - value).abs() < 3e-6, "{loss} is not {value}");
        let gradient = all.grad(&grads).unwrap().square().sum();
        let gradient = gradient.into_scalar::<f64>().sqrt();
        assert!((gradient / norm - 1.0).abs() < 1e-5, "{gradient} {norm}");
        assert!(teacher.grad(&grads).is_none());
        let now: Vec<f64> = objective.center.get().into_data().iter().collect();
        for (now, expected) in now.into_iter().zip(center) {
            assert!((now - expected).abs() < 1e-7, "{now} is not {expected}");
        }
    }
}

#[test]
fn the_temperature_of_the_teacher_rises_linearly() {
    let device = Device::default();
    let at_epochs = |warm_up: usize, epochs: &[usize]| -> Vec<f64> {
        let config = DinoObjectiveConfig::new().with_warm_up(warm_up);
        let objective = config.init(2, 1.0, &device);
        let temperature = |&epoch| objective.temperature(&at(epoch, 1));
        epochs.iter().map(temperature).collect()
    };
    // numpy.linspace(0.04, 0.07, 30), then 0.07.
    let expected = [0.04, 0.04 + 0.03 / 29.0, 0.07, 0.07];
    for (actual, expected) in at_epochs(30, &[1, 2, 30, 31]).iter().zip(expected) {
        assert!((actual - expected).abs() < 1e-12);
    }
    assert_eq!(at_epochs(1, &[1, 2]), [0.04, 0.07]);
    assert_eq!(at_epochs(0, &[1]), [0.07]);
}

fn views(inputs: &[f32], clock: Clock, device: &Device) -> Batch<Tensor<2>> {
    let one = batch(&inputs[..1], &[0], clock, device);
    let views = inputs
        .iter()
        .map(|&input| Tensor::from_data([[input]], device));
    Batch {
        views: views.collect(),
        ..one
    }
}

/// Returns the loss of a sample with these views, of which the teacher sees two.
fn loss(
    weights: [f64; 2],
    average: [f64; 2],
    center: [f64; 2],
    inputs: &[f32],
    temperature: f64,
) -> f64 {
    let mut pairs = Vec::new();
    for (view, &seen) in inputs.iter().take(2).enumerate() {
        let logits = [0, 1].map(|k| (average[k] * f64::from(seen) - center[k]) / temperature);
        let q = softmax(logits);
        for (_, &other) in inputs
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != view)
        {
            let p = softmax(weights.map(|weight| weight * f64::from(other) / 0.1));
            pairs.push(-(q[0] * p[0].ln() + q[1] * p[1].ln()));
        }
    }
    pairs.iter().sum::<f64>() / pairs.len() as f64
}

#[test]
fn steps_agree_with_those_computed_by_hand() {
    let device = Device::default().autodiff();
    let inputs = [0.1, -0.05, 0.2];
    let mut weights = [0.3, -0.2];
    let (mut average, mut center) = (weights, [0.0; 2]);
    let mut model = of(TwoLogits::new(weights, &device), 2);
    for index in 0..4 {
        let clock = at(1 + index / 2, index % 2);
        let temperature = model.objective.temperature(&clock);
        let gradient = slope(
            |weights| loss(weights, average, center, &inputs, temperature),
            weights,
        );
        model = step(model, &views(&inputs, clock, &device));

        weights = [0, 1].map(|k| weights[k] - RATE * gradient[k]);
        assert_close(model.student.weights(), weights);
        // Updated after the loss, with the logits of the teacher before its update.
        let mean = f64::from(inputs[0] + inputs[1]) / 2.0;
        center = [0, 1].map(|k| 0.9 * center[k] + 0.1 * average[k] * mean);
        let now: Vec<f64> = model.objective.center.get().into_data().iter().collect();
        assert_close([now[0], now[1]], center);
        let passed = clock.elapsed() / EPOCHS as f64;
        let decay = 1.0 - 0.4 * (1.0 + (std::f64::consts::PI * passed).cos()) / 2.0;
        average = [0, 1].map(|k| decay * average[k] + (1.0 - decay) * weights[k]);
        assert_close(model.teacher.average.inner().weights(), average);
    }
}

fn network(device: &Device) -> DinoNetwork<Counted> {
    device.seed(5);
    let config = DinoHeadConfig {
        d_output: 6,
        d_hidden: 5,
        d_bottleneck: 4,
    };
    config.init_network(Counted::new(0.4, device), "pool")
}

/// Returns four samples with three views each.
fn three_views(clock: Clock, device: &Device) -> Batch<Tensor<2>> {
    let one = samples(clock, device);
    let view = |shift: f32| one.view().clone().mul_scalar(1.0 + shift).add_scalar(shift);
    Batch {
        views: vec![view(0.0), view(0.3), view(-0.4)],
        ..one
    }
}

fn decaying() -> ModuleOptimizer {
    OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.1,
        clip_norm: None,
    }
    .init()
}

#[test]
fn prototypes_are_frozen_in_the_first_epoch() {
    let device = Device::default().autodiff();
    let mut optimizer = decaying();
    let mut model = of(network(&device), 6);
    let start = tensors(&model.student.head.last);
    let mut go = |model: DinoDistiller<_, _, _>, epoch| {
        let output = TrainStep::step(&model, three_views(at(epoch, 0), &device));
        model.optimize(&mut optimizer, RATE.into(), output.grads)
    };

    let before = tensors(&model.student.head.bottleneck);
    for _ in 0..2 {
        model = go(model, 1);
        assert_eq!(tensors(&model.student.head.last), start);
        assert_ne!(tensors(&model.student.head.bottleneck), before);
    }
    model = go(model, 2);
    assert_ne!(tensors(&model.student.head.last), start);

    // For another group and another number of epochs.
    let all = ParamGroup::all();
    let model = of(network(&device), 6).with_frozen(all, 3);
    let before = tensors(&model.student.head);
    let model = step(model, &three_views(at(3, 0), &device));
    assert_eq!(tensors(&model.student.head), before);
    let model = step(model, &three_views(at(4, 0), &device));
    assert_ne!(tensors(&model.student.head), before);
}

#[test]
fn matrices_decay_by_the_schedule_and_vectors_do_not() {
    let device = Device::default().autodiff();
    let schedule = ChangingWeight::Linear {
        from: 0.0,
        to: 0.2,
        epochs: 2,
    };
    let plain = of(network(&device), 6);
    let decaying = plain.clone().with_weight_decay(schedule);
    let go = |model: &DinoDistiller<DinoNetwork<Counted>, _, DinoObjective>, epoch| {
        // A copy with separate statistics and a separate center.
        let copy = model.valid().train();
        step(copy, &three_views(at(epoch, 0), &device)).student.head
    };
    let start = plain.student.head.first.weight.val().into_data();

    for (epoch, decay) in [(1, 0.1), (2, 0.2)] {
        let [without, with] = [&plain, &decaying].map(|model| go(model, epoch));
        let weights = [&with, &without].map(|head| head.first.weight.val().into_data());
        let numbers = weights[0].iter::<f64>().zip(weights[1].iter::<f64>());
        for ((with, without), start) in numbers.zip(start.iter::<f64>()) {
            let shrunk = without - RATE * decay * start;
            let margin = 1e-6 * shrunk.abs().max(1.0);
            assert!((with - shrunk).abs() < margin, "{with} is not {shrunk}");
        }
        let biases = [&with, &without].map(|head| tensors(&head.first.bias));
        assert_eq!(biases[0], biases[1]);
        // Frozen in the first epoch.
        let prototypes = [&with, &without].map(|head| tensors(&head.last));
        assert_eq!(prototypes[0] == prototypes[1], epoch == 1);
    }
}

#[test]
#[should_panic(expected = "Weight decay of DINO must be finite and not negative, got -0.1.")]
fn a_negative_weight_decay_is_refused() {
    let device = Device::default().autodiff();
    of(network(&device), 6).with_weight_decay(-0.1);
}

#[test]
fn the_student_sees_all_views_and_the_teacher_the_first() {
    let device = Device::default().autodiff();
    let model = of(network(&device), 6);
    let counts = |model: &DinoDistiller<DinoNetwork<Counted>, _, DinoObjective>| {
        TrainStep::step(model, three_views(at(1, 0), &device));
        model.student.backbone.asked()
    };
    model.student.backbone.asked();

    // Views of one size are one pass. The counts include the passes of the average.
    assert_eq!(counts(&model), (1, 1));
    assert_eq!(counts(&model.clone().with_global_views(1)), (1, 1));
    let mut training = model;
    training.teacher = training.teacher.with_training_mode(true);
    assert_eq!(counts(&training), (1 + 1, 0));
}

#[test]
fn center_and_average_are_saved_in_a_checkpoint() {
    let device = Device::default().autodiff();
    for training in [false, true] {
        let build = || {
            let mut model = of(network(&device), 6);
            model.teacher = model.teacher.with_training_mode(training);
            model
        };
        let model = step(build(), &three_views(at(1, 0), &device));
        let model = step(model, &three_views(at(2, 0), &device)).valid().train();

        let restored = build().load_record(model.clone().into_record());
        assert_eq!(tensors(&restored), tensors(&model));
        let next = three_views(at(2, 1), &device);
        let [a, b] = [model, restored].map(|model| tensors(&step(model, &next).valid()));
        assert_eq!(a, b);
    }
}

#[test]
fn one_view_and_one_sample_train() {
    let device = Device::default().autodiff();
    let model = of(TwoLogits::new([0.3, -0.2], &device), 2);

    let stepped = step(model.clone(), &views(&[0.5], at(2, 0), &device));
    assert_close(stepped.student.weights(), [0.3, -0.2]);
    let center = || -> Vec<f32> { model.objective.center.get().into_data().iter().collect() };
    let before = center();
    let plain = views(&[0.5, 0.1], at(2, 0), &Device::default());
    let output = InferenceStep::step(&model.valid(), plain);
    assert!(output.loss.into_scalar::<f32>() > 0.0);
    assert_eq!(center(), before);
}

#[test]
fn logits_of_the_head_are_cosines() {
    let device = Device::default().autodiff();
    let network = network(&device);
    let features = Tensor::<2>::from_data([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0]], &device);
    let features = features.require_grad();

    let cosines = network.head.forward(features.clone());
    let mut longer = network.head.clone();
    longer.last.weight = longer
        .last
        .weight
        .map(|weight| weight.mul_scalar(7.0).detach());
    let same = longer.forward(features.clone());
    let difference = cosines.clone().sub(same).abs().max().into_scalar::<f32>();
    assert!(difference < 1e-5, "the gain is 1");
    assert!(cosines.clone().abs().max().into_scalar::<f32>() <= 1.0 + 1e-6);

    // Without biases the features of the second sample are zero, for which a cosine is undefined.
    let grads = cosines.sum().backward();
    let gradient = features.grad(&grads).unwrap().into_data();
    assert!(gradient.iter::<f32>().all(f32::is_finite));
    let weight = network.head.last.weight.grad(&grads).unwrap().into_data();
    assert!(weight.iter::<f32>().all(f32::is_finite));
    let biases = [
        &network.head.first,
        &network.head.second,
        &network.head.bottleneck,
    ];
    for layer in biases {
        let bias = layer.bias.as_ref().unwrap().val();
        assert!(layer.weight.val().is_require_grad() && bias.is_require_grad());
        assert_eq!(bias.abs().max().into_scalar::<f32>(), 0.0);
    }
}

#[test]
#[should_panic(expected = "`teacher_temperature` should be above 0, from 1e-6 to 1e9, but is 0")]
fn temperatures_are_positive() {
    let config = DinoObjectiveConfig::new().with_teacher_temperature(0.0);
    config.init(2, 1.0, &Device::default());
}

#[test]
#[should_panic(expected = "DINO trains on one device")]
fn several_devices_are_refused() {
    let device = Device::default().autodiff();
    let model = of(TwoLogits::new([0.3, -0.2], &device), 2);
    model.optimize_multi(&mut descent(), RATE.into(), Default::default());
}
