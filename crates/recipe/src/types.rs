use super::StrategyRecipe;
use crate::model::ModelRecipe;
use crate::registry::{DatasetSpec, Registry};
use anyhow::{Context, Result};
use burn_distill::data::Augmentation;
use burn_distill::strategy::{LearningRateConfig, OptimizerConfig};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;

/// A student, who teaches it, the data they learn from and what the student is trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The name of the experiment, and of the folder of its runs.
    pub name: String,
    /// What it shows, in a sentence.
    #[serde(default)]
    pub about: String,
    /// One independent repetition each: teacher, student alone and student taught.
    #[serde(default = "seeds")]
    pub seeds: Vec<u64>,
    /// The data.
    pub data: DataRecipe,
    /// The network that teaches, where one is trained before the student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherRecipe>,
    /// The network that learns.
    pub student: StudentRecipe,
    /// Who teaches it.
    #[serde(default, skip_serializing_if = "StrategyRecipe::is_offline")]
    pub strategy: StrategyRecipe,
    /// The terms of the loss that the student is taught with, if it is not in stages.
    #[serde(default, rename = "loss", skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<toml::Table>,
    /// The stages that the student is taught in, if there are any.
    #[serde(default, rename = "stage", skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRecipe>,
    /// The route of anchors that the student is taught along, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteRecipe>,
    /// The meaning of its names; not a part of the file.
    #[serde(skip)]
    pub registry: Registry,
}

impl Recipe {
    /// Returns what is known of its data set before it is used.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such data set, or if it has to be loaded and cannot be.
    pub fn spec(&self) -> Result<DatasetSpec> {
        self.registry.spec(&self.data.name).context("data.name")
    }

    /// The network that teaches, or the first of several.
    ///
    /// # Errors
    ///
    /// Returns an error if no network is trained to teach.
    pub fn first_teacher(&self) -> Result<&TeacherRecipe> {
        self.teacher.as_ref().context(
            "`teacher` is missing: give a [teacher], or a [strategy] in which the student learns \
             without one",
        )
    }

    /// The losses of stages, each with the index of its stage and its own.
    pub fn losses_of_stages(&self) -> impl Iterator<Item = (usize, usize, &toml::Table)> {
        let stages = self.stages.iter().enumerate();
        stages.flat_map(|(stage, of_stage)| {
            let losses = of_stage.losses.iter().enumerate();
            losses.map(move |(index, table)| (stage, index, table))
        })
    }

    /// Returns whether the teacher at that index teaches in training mode. A teacher that is no
    /// `[teacher]` of the recipe, such as a trained copy of the student, does not.
    pub fn teaches_in_training_mode(&self, index: usize) -> bool {
        let teachers = self.teachers();
        teachers
            .get(index)
            .is_some_and(|teacher| teacher.training_mode)
    }

    /// Every teacher as if it were the only one, the first first; none if nobody teaches who is
    /// trained before.
    pub fn teachers(&self) -> Vec<TeacherRecipe> {
        self.teacher.iter().flat_map(TeacherRecipe::all).collect()
    }
}

/// The data of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// The data set.
    pub name: String,
    /// The part held out for testing, of data that has no published test set.
    #[serde(default = "test")]
    pub test: f64,
    /// The part of the rest held out for validation.
    #[serde(default = "validation")]
    pub validation: f64,
    /// Decides both splits, which are the same for every seed.
    #[serde(default)]
    pub split_seed: u64,
    /// Use this many of the training samples only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// The student knows the labels of this many samples per class, chosen by the seed; of all
    /// samples if not given. The teacher knows all labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_per_class: Option<usize>,
    /// The student sees no sample of this class. The teacher sees all classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_class: Option<usize>,
    /// Random changes to the training images.
    #[serde(default)]
    pub augmentation: Augmentation,
    /// Threads that prepare batches.
    #[serde(default)]
    pub workers: usize,
}

/// The network that teaches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherRecipe {
    /// The network.
    pub model: ModelRecipe,
    /// Its weights, as an earlier run left them. It is trained if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Whether it teaches in training mode, normalized by the statistics of each batch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub training_mode: bool,
    /// How it is trained.
    pub training: TrainingRecipe,
    /// The networks that teach beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherTeacherRecipe>,
}

/// A network that teaches beside the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherTeacherRecipe {
    /// The network.
    pub model: ModelRecipe,
    /// Its weights, as an earlier run left them. It is trained if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Whether it teaches in training mode: like the first teacher if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_mode: Option<bool>,
    /// How it is trained: like the first teacher if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecipe>,
}

/// The network that learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudentRecipe {
    /// The network.
    pub model: ModelRecipe,
    /// How it is trained, alone and taught.
    pub training: TrainingRecipe,
}

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecipe {
    /// Passes over the training samples.
    pub epochs: usize,
    /// Samples per step.
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// Whether a last batch that is not full is skipped.
    #[serde(default)]
    pub drop_last: bool,
    /// Stop when the validation accuracy has not improved for this many epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// The optimizer.
    #[serde(default)]
    pub optimizer: OptimizerConfig,
    /// The learning rate.
    #[serde(default)]
    pub learning_rate: LearningRateConfig,
}

/// A stage of the student's training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRecipe {
    /// Its name, and that of its folder.
    pub name: String,
    /// Passes over the training samples; the rest of the training is the student's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// The parts that train in it.
    #[serde(default)]
    pub trains: Trains,
    /// How it is trained, if not as the student.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecipe>,
    /// The terms of its loss.
    #[serde(default, rename = "loss")]
    pub losses: Vec<toml::Table>,
}

/// The parts that train in a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trains {
    /// The student, and what the losses have to learn.
    #[default]
    All,
    /// The parameters of the losses alone.
    Objective,
}

impl StageRecipe {
    /// How it is trained, given how the student is.
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

/// The route that the student is taught along: states of the teacher from early in its training to
/// its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteRecipe {
    /// How many states of the teacher are kept, at equal distances in its training.
    pub anchors: usize,
    /// When the next one teaches.
    #[serde(default)]
    pub by: RouteBy,
    /// By hardness: how many times as hard as the current anchor the next may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// The way to choose which anchor teaches when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteBy {
    /// One after the other, for as many epochs each.
    #[default]
    Interval,
    /// The farthest that is not too hard for the student.
    Hardness,
}

fn seeds() -> Vec<u64> {
    vec![0]
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
