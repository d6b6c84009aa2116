//! Tasks of digits, learned one after another by each method.

use crate::common::digits::{quiet, rate, stage, stopping};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill_architecture::{GrowingNetwork, GrowingNetworkConfig, NetworkConfig};
use burn_distill_core::{DynNetwork, DynObjective, tensors};
use burn_distill_data::{BatchLoader, Samples, digits};
use burn_distill_response::{ResponseObjective, SoftCrossEntropyLossConfig};
use burn_distill_strategy::{
    ClassTasks, Curriculum, ElasticConfig, ExemplarBudget, FisherConfig, FisherGradients,
    IcarlObjectiveConfig, LearnedTasks, OptimizerConfig, Predictions, TaskError, TaskMethod,
    TaskPlan, TaskSamples, TaskSequence,
};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

type Net = DynNetwork<Tensor<4>>;

const EPOCHS: usize = 2;

/// Calls `draw` with a seeded generator, from which no other test draws in between.
fn seeded<T>(seed: u64, draw: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    Device::default().seed(seed);
    draw()
}

fn network() -> GrowingNetwork<Net> {
    seeded(7, || {
        let config = NetworkConfig::by_name("convnet-6-12").unwrap();
        let body = config.init([1, 8, 8], 10, &Device::default()).unwrap();
        GrowingNetworkConfig::new().init(body)
    })
}

fn samples() -> TaskSamples<burn_distill_data::ImageDataset> {
    let tasks = vec![vec![3, 1, 4, 7], vec![0, 2, 5], vec![6, 8, 9]];
    let (rest, test) = digits().split(0.2, 0).unwrap();
    let (train, validation) = rest.split(0.1, 0).unwrap();
    let parts = [train.take(300), validation.take(60), test.take(150)];
    TaskSamples::new(ClassTasks::new(tasks, 10).unwrap(), parts).unwrap()
}

fn soft_cross_entropy() -> DynObjective {
    let soft = SoftCrossEntropyLossConfig::new()
        .with_temperature(2.0)
        .with_scale_t2(false);
    DynObjective::new(ResponseObjective::new(soft.init(), 1.0))
}

fn icarl() -> TaskPlan {
    TaskPlan::new(TaskMethod::Icarl(IcarlObjectiveConfig::new().init()))
        .with_exemplars(Some(ExemplarBudget::Total(40)))
}

fn elastic() -> TaskPlan {
    TaskPlan::new(TaskMethod::Elastic(ElasticConfig::new()))
}

fn plans() -> Vec<(&'static str, TaskPlan)> {
    let by_sample = FisherConfig::new().with_gradients(FisherGradients::PerSample);
    let by_sample = ElasticConfig::new().with_fisher(by_sample);
    let lwf = || TaskPlan::new(TaskMethod::Distillation(soft_cross_entropy()));
    vec![
        ("fine-tuning", TaskPlan::new(TaskMethod::FineTuning)),
        ("joint", TaskPlan::new(TaskMethod::Joint)),
        ("lwf", lwf()),
        (
            "lwf of FACIL",
            lwf()
                .with_frozen_old_heads(true)
                .with_fixed_statistics(true),
        ),
        (
            "lwf with exemplars",
            lwf().with_exemplars(Some(ExemplarBudget::PerClass(3))),
        ),
        ("ewc", elastic()),
        (
            "ewc by sample",
            TaskPlan::new(TaskMethod::Elastic(by_sample)),
        ),
        ("icarl", icarl()),
    ]
}

fn run(curriculum: Curriculum, plan: TaskPlan) -> Result<LearnedTasks<Net>, TaskError> {
    run_longer(curriculum, plan, EPOCHS)
}

fn run_longer(
    mut curriculum: Curriculum,
    plan: TaskPlan,
    epochs: usize,
) -> Result<LearnedTasks<Net>, TaskError> {
    let optimizer = OptimizerConfig::Sgd {
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
        clip_norm: None,
    };
    TaskSequence::new(samples(), plan).run(
        &mut curriculum,
        network(),
        |task, network, classes| seeded(task as u64, || network.with_head(classes)),
        |_, name| {
            let stage = stage(&name, epochs).with_optimizer(optimizer.clone());
            stage.with_learning_rate(rate())
        },
        |task, samples| BatchLoader::new(samples, 16).shuffle(task as u64),
    )
}

fn learned(folder: &Path, plan: TaskPlan) -> LearnedTasks<Net> {
    run(quiet(folder), plan).unwrap()
}

#[test]
fn a_sequence_that_was_stopped_in_each_task_equals_an_uninterrupted_one() {
    for (name, plan) in plans() {
        let [whole, stopped] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let expected = learned(whole.path(), plan.clone());

        // After the second epoch of a task, which is not saved; then, resumed, in the next task.
        for (epochs, task) in [(2, 1), (1 + 2, 2), (1 + 2, 3)] {
            let error = run(stopping(stopped.path(), epochs), plan.clone()).unwrap_err();
            let expected = format!("stopped in stage `task-{task}` after 1 of {EPOCHS} epochs");
            assert_eq!(error.to_string(), expected, "{name}");
        }
        let resumed = learned(stopped.path(), plan);

        assert_eq!(
            tensors(&resumed.network),
            tensors(&expected.network),
            "{name}"
        );
        assert_eq!(resumed.task_agnostic, expected.task_agnostic, "{name}");
        assert_eq!(resumed.task_aware, expected.task_aware, "{name}");
        let data = |learned: &LearnedTasks<Net>| learned.means.clone().map(Tensor::into_data);
        assert_eq!(data(&resumed), data(&expected), "{name}");
    }
}

#[test]
fn the_original_architecture_has_the_same_predictions() {
    let (_, test) = digits().split(0.2, 0).unwrap();
    let loader = BatchLoader::new(test.take(150), 64);
    for (name, plan) in plans() {
        let folder = tempfile::tempdir().unwrap();
        let learned = learned(folder.path(), plan);
        let tasks = samples().tasks().clone();
        let counts: Vec<_> = (0..3)
            .map(|task| {
                let labels = test.take(150).labels();
                labels
                    .iter()
                    .filter(|label| tasks.of(task).contains(label))
                    .count() as f64
            })
            .collect();
        let last = learned.task_agnostic.rows()[2].clone();
        let hits: f64 = last
            .iter()
            .zip(&counts)
            .map(|(rate, count)| rate * count)
            .sum();

        let network = learned.into_network().unwrap().valid();

        // In the order of the data set again, of which the loader has the labels.
        let accuracy = Predictions::of(&network, &loader).unwrap().accuracy();
        assert!(
            (accuracy - hits / 150.0).abs() < 0.01,
            "{name}: {accuracy}, {last:?}"
        );
    }
}

#[test]
fn knowledge_of_the_task_can_only_help() {
    let folder = tempfile::tempdir().unwrap();
    let learned = learned(folder.path(), icarl());

    let pairs = learned.task_aware.rows().iter().flatten();
    let pairs: Vec<_> = pairs
        .zip(learned.task_agnostic.rows().iter().flatten())
        .collect();
    assert_eq!(pairs.len(), 6);
    assert!(
        pairs.iter().all(|(aware, agnostic)| aware >= agnostic),
        "{pairs:?}"
    );
    assert_eq!(learned.means.unwrap().dims(), [10, 12]);
}

#[test]
fn fine_tuning_forgets_what_joint_training_keeps() {
    let of = |plan| {
        let folder = tempfile::tempdir().unwrap();
        let learned = run_longer(quiet(folder.path()), plan, 10);
        learned.unwrap().task_agnostic
    };
    let (tuned, joint) = (
        of(TaskPlan::new(TaskMethod::FineTuning)),
        of(TaskPlan::new(TaskMethod::Joint)),
    );

    assert!(tuned.forgetting().unwrap() > 0.3, "{tuned:?}");
    assert!(
        joint.forgetting().unwrap() < tuned.forgetting().unwrap(),
        "{joint:?}"
    );
    assert!(joint.average() > tuned.average(), "{joint:?}, {tuned:?}");
}

#[test]
fn frozen_heads_and_fixed_statistics_stay_those_of_the_first_task() {
    let folder = tempfile::tempdir().unwrap();
    let plan = TaskPlan::new(TaskMethod::FineTuning)
        .with_frozen_old_heads(true)
        .with_fixed_statistics(true);
    learned(folder.path(), plan);

    // Pass the finished stages again, and load the network after each.
    let mut curriculum = quiet(folder.path());
    let mut states = Vec::new();
    let mut network = network();
    for (task, classes) in [4, 3, 3].into_iter().enumerate() {
        network = seeded(task as u64, || network.with_head(classes));
        let stage = stage(&format!("task-{}", task + 1), EPOCHS);
        let distiller = burn_distill_strategy::OfflineDistiller::without_teacher(
            network.clone(),
            burn_distill_core::CrossEntropyObjective::new(1.0),
        );
        let loader = || BatchLoader::new(digits().take(16), 16);
        curriculum
            .run(stage, distiller, (loader(), loader()))
            .unwrap();
        network = curriculum.load("student", &network).unwrap();
        states.push(tensors(&network));
    }
    let value = |state: usize, path: &str| {
        let found = states[state].iter().find(|(name, _)| name == path);
        found.unwrap_or_else(|| panic!("{path}")).1.clone()
    };
    for (path, stays) in [
        ("heads.0.weight", true),
        ("body.layer.0.bn.running_mean", true),
        ("body.layer.0.conv.weight", false),
    ] {
        assert_eq!(value(0, path) == value(2, path), stays, "{path}");
    }
}

#[test]
fn a_warm_up_trains_the_new_head_alone_and_can_be_resumed() {
    let plan = TaskPlan::new(TaskMethod::Distillation(soft_cross_entropy())).with_warm_up(3);
    let [whole, stopped] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let expected = learned(whole.path(), plan.clone());

    // The first task has 2 epochs; then the second of the warm-up is not saved.
    let error = run(stopping(stopped.path(), 4), plan.clone()).unwrap_err();
    let message = "stopped in stage `task-2-warm-up` after 1 of 3 epochs";
    assert_eq!(error.to_string(), message);
    let resumed = learned(stopped.path(), plan);

    assert_eq!(tensors(&resumed.network), tensors(&expected.network));
    let weights = |stage: &str| {
        let path = whole.path().join(stage).join("student.bpk");
        let file = burn_distill_core::WeightsFile::read(&path).unwrap();
        let tensors = file.tensors();
        let tensors = tensors.map(|(path, data)| (path.to_string(), data));
        tensors.collect::<std::collections::BTreeMap<_, _>>()
    };
    let [first, warm, second] = ["task-1", "task-2-warm-up", "task-2"].map(weights);
    for (path, data) in &first {
        assert_eq!(&warm[path], data, "{path} is frozen, statistics too");
    }
    assert_ne!(warm["heads.1.weight"], second["heads.1.weight"]);
    assert_ne!(
        warm["body.layer.0.conv.weight"],
        second["body.layer.0.conv.weight"]
    );
}

#[test]
fn tasks_without_some_classes_have_no_network_of_the_original_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = ClassTasks::new(vec![vec![5, 2]], 10).unwrap();
    let parts = [(); 3].map(|()| digits().take(200));
    let samples = TaskSamples::new(tasks, parts).unwrap();

    let learned = TaskSequence::new(samples, TaskPlan::new(TaskMethod::FineTuning)).run(
        &mut quiet(folder.path()),
        network(),
        |task, network, classes| seeded(task as u64, || network.with_head(classes)),
        |_, name| stage(&name, 1),
        |_, samples| BatchLoader::new(samples, 16),
    );

    let learned = learned.unwrap();
    assert_eq!(learned.network.classes(), 2);
    let error = learned.into_network().unwrap_err().to_string();
    assert!(error.contains("only 2 of the 10 classes"), "{error}");
}

#[test]
#[should_panic(expected = "`exemplars` should be a number of samples")]
fn icarl_without_exemplars_is_refused() {
    let plan = TaskPlan::new(TaskMethod::Icarl(IcarlObjectiveConfig::new().init()));
    TaskSequence::new(samples(), plan);
}

#[test]
#[should_panic(expected = "`freeze_old_heads` should be false where samples of earlier tasks")]
fn old_heads_learn_with_old_samples() {
    let plan = TaskPlan::new(TaskMethod::Joint).with_frozen_old_heads(true);
    TaskSequence::new(samples(), plan);
}

#[test]
fn a_task_without_test_samples_is_refused() {
    let zeros = digits().labels();
    let zeros: Vec<_> = zeros
        .iter()
        .enumerate()
        .filter(|(_, label)| **label == 0)
        .collect();
    let zeros = digits().at(&zeros.into_iter().map(|(at, _)| at).collect::<Vec<_>>());
    let tasks = ClassTasks::new(vec![vec![0], vec![1]], 10).unwrap();

    let error = TaskSamples::new(tasks, [digits(), digits(), zeros]).unwrap_err();

    let expected = "`classes.1` should be of classes with test samples, but is a task without";
    assert!(error.to_string().starts_with(expected), "{error}");
}
