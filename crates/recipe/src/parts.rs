//! The tables of a recipe but `[strategy]` and those of losses.

use crate::model::ModelRecipe;
use burn_distill::data::Augmentation;
use burn_distill::strategy::{LearningRateConfig, OptimizerConfig};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;

/// Data of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// Name of the data set.
    pub name: String,
    /// Fraction held out for testing, if the data has no published test set.
    #[serde(default = "test")]
    pub test: f64,
    /// Fraction of the remaining samples held out for validation.
    #[serde(default = "validation")]
    pub validation: f64,
    /// Seed of both splits, which are the same for every repetition.
    #[serde(default)]
    pub split_seed: u64,
    /// Number of training samples to use. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Number of labeled samples per class for the student, chosen by the seed. Default: all. The
    /// teacher is trained on all labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_per_class: Option<usize>,
    /// Class whose samples are left out of the training of the student. The teacher is trained on
    /// all classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_class: Option<usize>,
    /// Random augmentation of the training images.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Number of threads that prepare batches.
    #[serde(default)]
    pub workers: usize,
}

/// A teacher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherRecipe {
    /// Network.
    pub model: ModelRecipe,
    /// File of its weights, from an earlier run. Without one, the teacher is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Whether its outputs are computed in training mode, normalized by the statistics of each
    /// batch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub training_mode: bool,
    /// Training of the network.
    pub training: TrainingRecipe,
    /// Further teachers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherTeacherRecipe>,
}

/// A further teacher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherTeacherRecipe {
    /// Network.
    pub model: ModelRecipe,
    /// File of its weights, from an earlier run. Without one, the teacher is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Whether its outputs are computed in training mode. Default: as for the first teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_mode: Option<bool>,
    /// Training of the network. Default: that of the first teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecipe>,
}

/// The student.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudentRecipe {
    /// Network.
    pub model: ModelRecipe,
    /// Training of the student, both as baseline and distilled.
    pub training: TrainingRecipe,
}

/// Training of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecipe {
    /// Number of passes over the training samples.
    pub epochs: usize,
    /// Number of samples per step.
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// Whether an incomplete last batch is skipped.
    #[serde(default)]
    pub drop_last: bool,
    /// Number of epochs without improvement of the validation accuracy after which the training
    /// stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Optimizer.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// Learning rate and its schedule.
    #[serde(default)]
    pub learning_rate: LearningRateConfig,
}

/// A stage of the student's training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRecipe {
    /// Name of the stage and of its folder.
    pub name: String,
    /// Number of passes over the training samples; all other settings are those of the training of
    /// the student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Parameters that are trained.
    #[serde(default)]
    pub trains: Trains,
    /// Training of the stage. Default: that of the student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecipe>,
    /// Terms of the loss.
    #[serde(default, rename = "loss")]
    pub losses: Vec<toml::Table>,
}

/// Parameters that are trained in a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trains {
    /// Parameters of the student and of the losses.
    #[default]
    All,
    /// Parameters of the losses only.
    Objective,
}

impl StageRecipe {
    /// Returns the training of the stage, given that of the student.
    pub fn training<'a>(&'a self, student: &'a TrainingRecipe) -> Cow<'a, TrainingRecipe> {
        match (&self.training, self.epochs) {
            (Some(training), _) => Cow::Borrowed(training),
            (None, None) => Cow::Borrowed(student),
            (None, Some(epochs)) => {
                let student = student.clone();
                Cow::Owned(TrainingRecipe { epochs, ..student })
            }
        }
    }
}

/// A route of anchors: states of the teacher from early in its training to its end, from which the
/// student is distilled one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteRecipe {
    /// Number of states of the teacher that are kept, at equal distances in its training.
    pub anchors: usize,
    /// Rule for the next anchor.
    #[serde(default)]
    pub by: RouteBy,
    /// With `by = "hardness"`: largest hardness of the next anchor, relative to that of the current
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// Rule for the next anchor of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteBy {
    /// One after the other, with the same number of epochs each.
    #[default]
    Interval,
    /// The latest anchor that is not too hard for the student.
    Hardness,
}

fn test() -> f64 {
    0.25
}

fn validation() -> f64 {
    0.1
}

fn batch_size() -> usize {
    64
}
