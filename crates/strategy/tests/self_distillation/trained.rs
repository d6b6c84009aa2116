//! Whole trainings on digits: stopped and resumed, they equal an uninterrupted one, and
//! their loss decreases.

use burn::tensor::{Device, Tensor};
use burn::train::metric::store::Split;
use burn_distill_architecture::ConvNetConfig;
use burn_distill_core::{
    ChangingWeight, CrossEntropyObjective, DynNetwork, Input, LossDenominator, initialize, tensors,
};
use burn_distill_data::{Augmentation, BatchLoader, digits};
use burn_distill_response::{
    ProbabilityMatchingLossConfig, ResponseObjective, SoftCrossEntropyLossConfig, SoftTargetLoss,
    SoftTargetLossConfig,
};
use burn_distill_strategy::{
    ByEpoch, DinoDistiller, DinoHeadConfig, DinoObjectiveConfig, Distiller, EpochLoader, History,
    LastBatchDistiller, LearningRateConfig, MeanTeacher, MetricKind, OptimizerConfig,
    PastPredictions, Quiet, SameClass, SelfDistiller, StageArtifacts, Training,
};
use std::path::Path;
use std::sync::Mutex;

/// Returns a network as in recipes, whose weights depend only on `seed`.
fn network(seed: u64) -> DynNetwork<Tensor<4>> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap();
    let device = Device::default().autodiff();
    device.seed(seed);
    let config = ConvNetConfig::new(vec![3, 4], [1, 8, 8], 10);
    DynNetwork::new(initialize(config.init(&device)))
}

fn soft(temperature: f64) -> ResponseObjective<SoftTargetLoss> {
    let soft = SoftTargetLossConfig::new().with_temperature(temperature);
    ResponseObjective::new(soft.init(), 1.0)
}

/// Returns 56 digits in 4 steps per epoch, of which the last has half the samples, in an order that
/// changes with the epoch.
fn loaders(views: impl Fn(BatchLoader) -> BatchLoader) -> (BatchLoader, BatchLoader) {
    let loader = |count| BatchLoader::new(digits().take(count), 16);
    let train = views(loader(56).shuffle(0));
    (train, loader(32))
}

fn train<M: Distiller<I>, I: Input>(
    folder: &Path,
    epochs: usize,
    resume: bool,
    model: M,
    loaders: (impl EpochLoader<I>, impl EpochLoader<I>),
) -> M {
    let optimizer = OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.01,
        clip_norm: None,
    };
    let rate = LearningRateConfig {
        base_lr: 0.05,
        ..LearningRateConfig::default()
    };
    Training::new(folder, &Device::default(), epochs)
        .with_resume(resume)
        .with_metrics([MetricKind::Loss, MetricKind::Accuracy])
        .with_renderer(Some(ByEpoch::renderer(Quiet)))
        .launch(model, &optimizer, &rate, loaders)
        .unwrap()
        .model
}

const EPOCHS: usize = 4;

/// Trains, compares with an interrupted training with other initial values, and checks that
/// the loss decreases.
fn check<M>(
    parts: &[&str],
    build: impl Fn(u64) -> M,
    views: impl Fn(BatchLoader) -> BatchLoader + Copy,
) where
    M: Distiller<Tensor<4>> + StageArtifacts,
{
    let losses = resumed(parts, build, views);
    assert!(losses[EPOCHS - 1] < losses[0], "{losses:?}");
}

/// Trains, compares with an interrupted training with other initial values, and returns the
/// loss of each epoch.
fn resumed<M>(
    parts: &[&str],
    build: impl Fn(u64) -> M,
    views: impl Fn(BatchLoader) -> BatchLoader + Copy,
) -> Vec<f64>
where
    M: Distiller<Tensor<4>> + StageArtifacts,
{
    let [whole, halves] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let start = build(1);
    let expected = train(whole.path(), EPOCHS, false, start.valid(), loaders(views));

    train(halves.path(), 2, false, start.valid(), loaders(views));
    let resumed = train(halves.path(), EPOCHS, true, build(2), loaders(views));

    assert_eq!(tensors(&resumed), tensors(&expected));
    let left: Vec<_> = expected
        .artifacts()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(left, parts);
    let file = |folder: &Path| folder.join("history.csv");
    let text = |folder: &Path| std::fs::read_to_string(file(folder)).unwrap();
    assert_eq!(text(halves.path()), text(whole.path()));
    let history = History::up_to(file(whole.path()), EPOCHS).unwrap();
    let loss = |epoch| history.at(epoch, &Split::Train)["Loss"];
    (1..=EPOCHS).map(loss).collect()
}

#[test]
fn self_distillation_from_the_last_batch_trains() {
    check(
        &["student", "objective"],
        |seed| LastBatchDistiller::new(network(seed), 16, soft(3.0)),
        |loader| loader.views(2),
    );
}

#[test]
fn self_distillation_from_samples_of_the_same_class_trains() {
    let objective = || (CrossEntropyObjective::new(1.0), soft(4.0));
    check(
        &["student", "teacher", "objective"],
        |seed| SelfDistiller::new(network(seed), SameClass::default(), objective()),
        |loader| loader.pairs(0),
    );
}

#[test]
fn self_distillation_from_past_predictions_trains() {
    let ramp = |from, to| ChangingWeight::Linear {
        from,
        to,
        epochs: EPOCHS,
    };
    check(
        &["student", "teacher", "objective"],
        |seed| {
            let soft = SoftCrossEntropyLossConfig::new().with_temperature(1.0);
            let to_past = ResponseObjective::new(soft.init(), ramp(0.0, 0.8));
            let past = PastPredictions::new(56, 10, &Device::default());
            let objective = (CrossEntropyObjective::new(ramp(1.0, 0.2)), to_past);
            SelfDistiller::new(network(seed), past, objective)
        },
        |loader| loader,
    );
}

#[test]
fn self_distillation_from_a_mean_teacher_trains() {
    check(
        &["student", "teacher", "objective"],
        |seed| {
            let student = network(seed);
            let teacher = MeanTeacher::new(&student, 0.9);
            SelfDistiller::new(
                student,
                teacher,
                (CrossEntropyObjective::new(1.0), soft(1.0)),
            )
        },
        |loader| loader.views(2),
    );
}

#[test]
fn self_distillation_from_a_mean_teacher_in_training_mode_trains_with_few_labels() {
    let consistency = || {
        let loss = ProbabilityMatchingLossConfig::new().init();
        ResponseObjective::new(loss, 10.0)
    };
    check(
        &["student", "teacher", "objective"],
        |seed| {
            let student = network(seed);
            let teacher = MeanTeacher::new(&student, 0.9).with_training_mode(true);
            SelfDistiller::new(
                student,
                teacher,
                (
                    CrossEntropyObjective::new(1.0).with_denominator(LossDenominator::All),
                    consistency(),
                ),
            )
        },
        |loader| loader.views(2).labeled(&(0..40).collect::<Vec<_>>()),
    );
}

#[test]
fn self_distillation_from_other_views_trains_without_labels() {
    let views = |loader: BatchLoader| {
        let shift = Augmentation {
            crop: Some(1),
            flip: false,
            strong: None,
        };
        loader.views(4).augment(shift, 0)
    };
    let build = |seed, from: f64, momentum| {
        let head = DinoHeadConfig::new().with_d_output(16).with_d_hidden(12);
        let head = head.with_d_bottleneck(8);
        let student = head.init_network(network(seed), "pool");
        let decay = ChangingWeight::Cosine {
            from,
            to: 1.0,
            epochs: EPOCHS,
        };
        let teacher = MeanTeacher::new(&student, decay).with_warm_up(false);
        let objective = DinoObjectiveConfig::new().with_momentum(momentum);
        let objective = objective.init(16, 1.0, &Device::default());
        DinoDistiller::new(student, teacher, objective)
    };
    let parts = ["student", "teacher", "objective"];
    resumed(&parts, |seed| build(seed, 0.9, 0.9), views);
    // The loss is towards a moving target, and decreases for sure only if the target does not move.
    check(&parts, |seed| build(seed, 1.0, 1.0), views);
}
