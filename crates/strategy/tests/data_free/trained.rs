//! Whole trainings without data: stopped and resumed, they equal an uninterrupted one.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use burn_distill_architecture::{ConvNet, ConvNetConfig, ImageGenerator, ImageGeneratorConfig};
use burn_distill_core::{ChangingWeight, WeightSchedule, initialize, tensors};
use burn_distill_data::{BatchLoader, digits};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::{
    ByEpoch, DataFreeDistiller, DataFreeDistillerConfig, DisagreementObjective,
    DisagreementObjectiveConfig, EpochLoader, LearningRateConfig, LrSchedule, MetricKind,
    OptimizerConfig, PseudoBatches, Quiet, Training,
};
use std::path::Path;

type Distiller = DataFreeDistiller<
    ConvNet,
    ConvNet,
    ImageGenerator,
    DisagreementObjective,
    ResponseObjective<SoftTargetLoss>,
>;

fn distiller(teacher: &ConvNet) -> Distiller {
    let device = Device::default().autodiff();
    let student = ConvNetConfig::new(vec![3, 4], [1, 8, 8], 10).init(&device);
    let generator = ImageGeneratorConfig::new([1, 8, 8]);
    let generator = generator.with_latents(4).with_width(4).init(&device);
    let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
    DataFreeDistillerConfig::new()
        .with_batch_size(8)
        .with_learning_rate(WeightSchedule::Changing(ChangingWeight::Cosine {
            from: 0.01,
            to: 0.0,
            epochs: 3,
        }))
        .init(
            (student, teacher.clone()),
            (generator, DisagreementObjectiveConfig::new().init()),
            ResponseObjective::new(soft, 1.0),
        )
}

fn teacher() -> ConvNet {
    let device = Device::default().autodiff();
    initialize(ConvNetConfig::new(vec![4, 5], [1, 8, 8], 10).init(&device))
}

fn train(
    folder: &Path,
    (epochs, resume): (usize, bool),
    model: Distiller,
    loader: impl EpochLoader<Tensor<4>>,
) -> Distiller {
    let optimizer = OptimizerConfig::Adam {
        weight_decay: 0.0,
        clip_norm: None,
    };
    let rate = LearningRateConfig {
        base_lr: 0.01,
        warm_up: 0,
        shape: LrSchedule::Cosine {},
    };
    let shown = MetricKind::Term("generator disagreement".into());
    let evaluation = BatchLoader::new(digits().take(32), 16);
    // The schedule of the whole training in every part of it.
    Training::new(folder, &Device::default(), epochs)
        .with_resume(resume)
        .with_metrics([MetricKind::Loss, MetricKind::Accuracy, shown])
        .with_renderer(Some(ByEpoch::renderer(Quiet)))
        .launch(model, &optimizer, &rate, (loader, evaluation))
        .unwrap()
        .model
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one() {
    let [whole, halves] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let teacher = teacher();
    let start = distiller(&teacher);
    let before = tensors(&start);
    // A copy with separate running statistics.
    let expected = train(
        whole.path(),
        (3, false),
        start.valid(),
        PseudoBatches::new(4),
    );

    let interrupter = burn::train::Interrupter::new();
    let display = crate::common::StopAfter {
        epochs: 2,
        interrupter: interrupter.clone(),
    };
    let evaluation = BatchLoader::new(digits().take(32), 16);
    let optimizer = OptimizerConfig::Adam {
        weight_decay: 0.0,
        clip_norm: None,
    };
    let rate = LearningRateConfig {
        base_lr: 0.01,
        warm_up: 0,
        shape: LrSchedule::Cosine {},
    };
    let shown = MetricKind::Term("generator disagreement".into());
    let stopped = Training::new(halves.path(), &Device::default(), 3)
        .with_metrics([MetricKind::Loss, MetricKind::Accuracy, shown])
        .with_interrupter(interrupter)
        .with_renderer(Some(ByEpoch::renderer(display)))
        .launch(
            start.valid(),
            &optimizer,
            &rate,
            (PseudoBatches::new(4), evaluation),
        )
        .unwrap();
    assert!(stopped.stopped && stopped.epoch < 3, "{}", stopped.epoch);
    let resumed = train(
        halves.path(),
        (3, true),
        distiller(&teacher),
        PseudoBatches::new(4),
    );

    assert_eq!(tensors(&resumed), tensors(&expected));
    for ((name, after), (_, before)) in tensors(&expected).iter().zip(&before) {
        assert_ne!(after, before, "{name}");
    }
    assert_eq!(tensors(expected.teacher.inner()), tensors(&teacher.valid()));
    let history = |folder: &Path| std::fs::read_to_string(folder.join("history.csv")).unwrap();
    assert_eq!(history(halves.path()), history(whole.path()));
    assert!(history(whole.path()).contains("generator disagreement"));
}

#[test]
fn a_training_on_samples_gives_the_weights_of_one_without_any() {
    let teacher = teacher();
    let start = distiller(&teacher);
    let trained = |loader: &dyn Fn(&Path) -> Distiller| {
        let folder = tempfile::tempdir().unwrap();
        tensors(&loader(folder.path()))
    };

    let without =
        trained(&|folder| train(folder, (2, false), start.valid(), PseudoBatches::new(3)));
    // As many batches of digits, which the student does not see.
    let with = trained(&|folder| {
        let samples = BatchLoader::new(digits().take(48), 16).shuffle(1);
        train(folder, (2, false), start.valid(), samples)
    });

    assert_eq!(with, without);
}
