//! Trainings that have ended are not trained further.

use crate::common::digits::*;
use burn::tensor::Device;
use burn_distill_core::{CrossEntropyObjective, NoTeacher, tensors};
use burn_distill_strategy::{
    ByEpoch, LearningRateConfig, OfflineDistiller, Quiet, Trained, Training,
};
use std::fs;
use std::path::Path;

type Alone = OfflineDistiller<Net, NoTeacher, CrossEntropyObjective>;

/// Trains with a patience of 2 epochs, at a rate that changes weights but not the accuracy.
fn train(folder: &Path, resume: bool, seed: u64) -> Trained<Alone> {
    let rate = LearningRateConfig {
        base_lr: 1e-6,
        ..LearningRateConfig::default()
    };
    Training::new(folder, &Device::default(), 50)
        .with_resume(resume)
        .with_patience(Some(2))
        .with_renderer(Some(ByEpoch::renderer(Quiet)))
        .launch(
            OfflineDistiller::without_teacher(Net::new(3, seed), CrossEntropyObjective::new(1.0)),
            &optimizer(),
            &rate,
            loaders(),
        )
        .unwrap()
}

#[test]
fn a_training_ended_by_early_stopping_trains_no_further_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let ended = train(folder.path(), false, 1);
    assert!(!ended.stopped && ended.epoch < 50, "{}", ended.epoch);
    let history = || fs::read_to_string(folder.path().join("history.csv")).unwrap();
    let before = history();

    for _ in 0..2 {
        let resumed = train(folder.path(), true, 2);

        assert!(!resumed.stopped);
        assert_eq!(resumed.epoch, ended.epoch);
        assert_eq!(tensors(&resumed.model), tensors(&ended.model));
        assert_eq!(history(), before);
    }
}

#[test]
fn a_finished_training_trains_no_further_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let train = |resume, seed| {
        Training::new(folder.path(), &Device::default(), 2)
            .with_resume(resume)
            .with_renderer(Some(ByEpoch::renderer(Quiet)))
            .launch(
                OfflineDistiller::without_teacher(
                    Net::new(3, seed),
                    CrossEntropyObjective::new(1.0),
                ),
                &optimizer(),
                &rate(),
                loaders(),
            )
            .unwrap()
    };
    let ended = train(false, 1);

    let resumed = train(true, 2);

    assert_eq!((resumed.epoch, resumed.stopped), (2, false));
    assert_eq!(tensors(&resumed.model), tensors(&ended.model));
}
