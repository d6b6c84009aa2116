//! Runs on images without labels, in stages and with several teachers.

mod common;

use burn_distill::data::digits;
use burn_distill_experiment::{ExperimentResult, Statistics};
use burn_distill_recipe::Registry;
use image::GrayImage;
use std::fs;
use std::path::Path;

const TRAINING: &str = "{ epochs = 6, batch_size = 32, optimizer = { kind = 'adam-w' }, \
                        learning_rate = { base = 0.01 } }";

/// Trains a teacher on digits, writes digits without labels, and returns the folder of both.
fn teacher_and_images() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let labeled = format!(
        "name = 'labeled'\ndata = {{ name = 'digits' }}\n\
         teacher = {{ model = 'mlp-32', training = {TRAINING} }}\n\
         student = {{ model = 'mlp-8', training = {{ epochs = 1 }} }}\nloss = [{{ kind = 'kd' }}]"
    );
    common::run(folder.path(), &labeled, &Registry::standard()).unwrap();
    fs::rename(folder.path().join("run"), folder.path().join("labeled")).unwrap();
    let images = folder.path().join("images");
    fs::create_dir(&images).unwrap();
    for id in 0..300 {
        let level = |&level: &u8| (u16::from(level) * 255 / 16) as u8;
        let pixels = digits().pixels(id).iter().map(level).collect();
        let image = GrayImage::from_raw(8, 8, pixels).unwrap();
        image.save(images.join(format!("{id}.png"))).unwrap();
    }
    folder
}

fn run(folder: &Path, more: &str) -> ExperimentResult {
    let weights = "weights = 'labeled/seed-0/teacher/model.bpk'";
    let text = format!(
        "name = 'unlabeled'\ndata = {{ folder = 'images', labels = false }}\n\
         student = {{ model = 'mlp-16', training = {TRAINING} }}\n\
         [teacher]\nmodel = 'mlp-32'\n{weights}\ntraining = {{ epochs = 1 }}\n\
         {}",
        more.replace("WEIGHTS", weights)
    );
    common::run(folder, &text, &Registry::standard()).unwrap()
}

fn history(folder: &Path, training: &str) -> String {
    let file = folder.join("run/seed-0").join(training).join("history.csv");
    fs::read_to_string(file).unwrap()
}

#[test]
fn stages_without_labels_report_their_agreement() {
    let folder = teacher_and_images();
    let stages = ["first", "second"].map(|name| {
        format!("[[stage]]\nname = '{name}'\nepochs = 4\n[[stage.loss]]\nkind = 'kd'\n")
    });
    let result = run(folder.path(), &stages.concat());

    assert!(result.baseline.is_none() && result.distilled.accuracy.is_none());
    let agreements = result.stages.iter().map(|stage| {
        assert_eq!(stage.validation_accuracy, None);
        let Some(Statistics { mean, .. }) = &stage.validation_agreement else {
            panic!("the agreement of {} is missing", stage.name);
        };
        *mean
    });
    let agreements: Vec<_> = agreements.collect();
    assert_eq!(agreements.len(), 2);
    assert!(
        agreements.iter().all(|rate| (0.3..=1.0).contains(rate)),
        "{agreements:?}"
    );
    assert_eq!(result.info.labels, 0);
}

#[test]
fn several_teachers_teach_without_labels() {
    let folder = teacher_and_images();
    let more = "others = [{ model = 'mlp-32', WEIGHTS }]\n[[loss]]\nkind = 'kd'\n";
    let result = run(folder.path(), more);

    assert_eq!(result.others.len(), 1);
    assert!(result.others[0].accuracy.is_none());
    assert_eq!(result.others[0].agreement, Some(1.0));
    let agreement = result.distilled.agreement.unwrap();
    assert!(agreement > 0.6, "{agreement}");
    let history = history(folder.path(), "distilled");
    assert!(
        history.contains(",valid,Loss,") && !history.contains("Accuracy"),
        "{history}"
    );
}
