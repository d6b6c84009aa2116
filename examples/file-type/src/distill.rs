use crate::files::{File, Purpose};
use crate::student::Student;
use crate::teacher::{Recorded, tokens};
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::optim::AdamWConfig;
use burn::prelude::*;
use burn_distill::core::{Tokens, WeightsFile};
use burn_distill::prelude::*;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// Settings of a distillation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the results.
    pub folder: PathBuf,
    /// Number of features of a file in the student, before its classifier.
    pub width: usize,
    /// Number of epochs.
    pub epochs: usize,
    /// Highest learning rate.
    pub base_lr: f64,
    /// Temperature of the soft targets.
    pub temperature: f64,
    /// Seed of the weights and of the order of the files.
    pub seed: u64,
}

/// Trained student, with its predictions for unseen files.
#[derive(Debug)]
pub struct Outcome {
    /// The student.
    pub student: Student,
    /// File with its weights.
    pub file: PathBuf,
    /// Size of that file.
    pub bytes: u64,
    /// Class of each file, as the teacher predicts it.
    pub teacher: Vec<usize>,
    /// Indices of the unseen files.
    pub unseen: Vec<usize>,
    /// Class of each unseen file, as the student predicts it.
    pub predicted: Vec<usize>,
}

impl Outcome {
    /// Returns the share of the unseen files for which student and teacher predict the same class.
    pub fn agreement(&self) -> f64 {
        let pairs = self.unseen.iter().zip(&self.predicted);
        let agreed = pairs.filter(|(file, predicted)| self.teacher[**file] == **predicted);
        agreed.count() as f64 / self.unseen.len() as f64
    }
}

/// A file with its index, by which the recorded outputs of the teacher are looked up.
type Item = (usize, Arc<[u16]>);

/// Creates batches of files without labels.
struct Unlabeled;

impl Batcher<Item, Batch<Tokens>> for Unlabeled {
    fn batch(&self, items: Vec<Item>, device: &Device) -> Batch<Tokens> {
        let (ids, files): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        Batch::new(tokens(&files, device), Targets::Unlabeled).with_ids(ids)
    }
}

type Loader = DatasetLoader<Item, Batch<Tokens>, Tokens>;

fn load(files: &[File], purpose: Purpose) -> Result<Loader, String> {
    let items = files.iter().enumerate();
    let items = items.filter(|(_, file)| file.purpose == purpose);
    let items: Vec<Item> = items.map(|(id, file)| (id, file.tokens.clone())).collect();
    if items.is_empty() {
        return Err(format!(
            "none of the {} files is for {purpose}, but at least one is needed: give larger folders",
            files.len()
        ));
    }
    Ok(DatasetLoader::new(InMemDataset::new(items), Unlabeled, 64))
}

/// Trains a student on the outputs of a teacher, and compares them on unseen files.
///
/// # Errors
///
/// Returns an error if there are no files for one of the purposes, or if the training fails.
pub fn distill(
    files: &[File],
    teacher: Recorded,
    settings: &Settings,
    device: &Device,
) -> Result<Outcome, Box<dyn Error>> {
    let train = load(files, Purpose::Train)?.shuffle(settings.seed);
    let (valid, unseen) = (load(files, Purpose::Valid)?, load(files, Purpose::Unseen)?);
    let classes = teacher.classes();

    device.seed(settings.seed);
    let student = Student::new(settings.width, teacher.num_classes(), device);
    let loss = SoftTargetLossConfig::new().with_temperature(settings.temperature);
    let distiller =
        OfflineDistiller::new(student, teacher, ResponseObjective::new(loss.init(), 1.0));
    let learning_rate = LearningRateConfig {
        base_lr: settings.base_lr,
        warm_up: 1,
        shape: LrSchedule::Cosine {},
    };
    let trained = Training::new(&settings.folder, device, settings.epochs)
        .with_metrics([MetricKind::Loss, MetricKind::Agreement])
        .launch(
            distiller,
            AdamWConfig::new().init(),
            &learning_rate,
            (train, valid),
        )?;
    let student = trained.model.student;

    let file = settings.folder.join("student.bpk");
    WeightsFile::new(student.clone().into_record())?.write(&file)?;
    let Predictions { ids, predicted, .. } = Predictions::of(&student, &unseen)?;
    Ok(Outcome {
        bytes: fs::metadata(&file)?.len(),
        student,
        file,
        teacher: classes,
        unseen: ids,
        predicted,
    })
}
