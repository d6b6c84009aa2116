//! Distillation into a student with quantized weights.

mod common;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use burn::train::TrainStep;
use burn_distill_architecture::{QuantizationConfig, QuantizationKind, Quantized, Rounding};
use burn_distill_core::{Batch, Clock, Frozen, Network, Targets, tensors};
use burn_distill_strategy::{
    ByEpoch, LearningRateConfig, MetricKind, OfflineDistiller, Quiet, Training,
};
use common::digits::{Net, Soft, batch, distiller, loaders, optimizer, soft_targets, teacher};
use std::collections::BTreeMap;
use std::path::Path;

type Student = OfflineDistiller<Quantized<Net>, Frozen<Net>, Soft>;

/// Returns every kind of quantization, also by stochastic rounding.
fn configs() -> [QuantizationConfig; 4] {
    let bits = |bits| QuantizationConfig::new().with_bits(bits);
    [
        bits(2).with_bucket_size(Some(8)),
        bits(3).with_rounding(Rounding::Stochastic).with_seed(5),
        bits(3).with_kind(QuantizationKind::LearnedStep),
        bits(2).with_kind(QuantizationKind::LearnedLevels),
    ]
}

fn student(config: &QuantizationConfig, seed: u64) -> Student {
    distiller(config.init(Net::new(3, seed)), &teacher(), soft_targets())
}

fn train(folder: &Path, epochs: usize, model: Student) -> Student {
    // A constant rate, so that half of a training has the steps of the whole one.
    let rate = LearningRateConfig {
        base_lr: 0.05,
        ..LearningRateConfig::default()
    };
    Training::new(folder, &Device::default(), epochs)
        .with_resume(true)
        .with_metrics([MetricKind::Loss, MetricKind::Accuracy])
        .with_renderer(Some(ByEpoch::renderer(Quiet)))
        .launch(model, &optimizer(), &rate, loaders())
        .unwrap()
        .model
}

fn by_path(module: &impl Module) -> BTreeMap<String, TensorData> {
    tensors(&module.valid()).into_iter().collect()
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one() {
    for config in configs() {
        let [whole, halves] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let expected = train(whole.path(), 4, student(&config, 1));

        train(halves.path(), 2, student(&config, 1));
        // Another student, whose weights are replaced by the checkpoint.
        let resumed = train(halves.path(), 4, student(&config, 99));

        assert_eq!(by_path(&resumed), by_path(&expected), "{:?}", config.kind);
        let history = |folder: &Path| std::fs::read_to_string(folder.join("history.csv")).unwrap();
        assert_eq!(history(halves.path()), history(whole.path()));
    }
}

#[test]
fn the_teacher_is_bit_identical_and_the_student_trains() {
    for config in configs() {
        let folder = tempfile::tempdir().unwrap();
        let before = student(&config, 1);
        let trained = train(folder.path(), 2, before.clone());

        let inner = |model: &Student| by_path(model.teacher.inner());
        assert_eq!(inner(&trained), by_path(&teacher()));
        let (after, before) = (by_path(&trained.student), by_path(&before.student));
        for (path, data) in &after {
            assert_ne!(data, &before[path], "{path} of {:?}", config.kind);
        }
        // The network is validated and deployed with other weights.
        let deployed = by_path(&trained.student.deployed());
        assert_ne!(deployed["second.weight"], after["second.weight"]);
    }
}

#[test]
fn batches_of_one_and_without_labels_have_finite_gradients() {
    let whole = batch();
    for config in configs() {
        for (samples, is_labeled) in [(1, true), (1, false), (5, false)] {
            let targets = match is_labeled {
                true => {
                    let (classes, _) = whole.targets.class_labels().unwrap();
                    Targets::classes(classes.narrow(0, 0, samples))
                }
                false => Targets::Unlabeled,
            };
            let part = Batch {
                views: vec![whole.view().clone().narrow(0, 0, samples)],
                targets,
                ids: (0..samples).collect(),
                clock: Clock::start(),
            };

            let model = student(&config, 1);
            let output = TrainStep::step(&model, part);
            let model = model.optimize(&mut optimizer().init(), 0.1.into(), output.grads);

            for (path, data) in by_path(&model.student) {
                let is_finite = data.iter::<f64>().all(f64::is_finite);
                assert!(is_finite, "{path} of {:?}, {samples} samples", config.kind);
            }
        }
    }
}
