//! The tables of a recipe but `[data]`, `[strategy]` and those of losses.

use crate::class_names::ClassNames;
use crate::fault::Place;
use crate::input::AnyNetwork;
use crate::model::ModelRecipe;
use crate::onnx::OnnxRecipe;
use crate::strategy::Configured;
use anyhow::{Result, bail, ensure};
use burn_distill::architecture::QuantizationConfig;
use burn_distill::core::NetworkMismatch;
use burn_distill::strategy::{ClassTasks, LearningRateConfig, OptimizerConfig};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A teacher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherRecipe {
    /// Network, if it is not in an ONNX file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRecipe>,
    /// ONNX file of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnx: Option<OnnxRecipe>,
    /// File of its weights: of an earlier run, of PyTorch or of SafeTensors. Without one, the
    /// teacher is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Changes of the names of the tensors in that file: regular expressions and what replaces
    /// them, in the order of the expressions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// Classes of these weights, if they are not those of the data in the same order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassNames>,
    /// Names of the classes that it knows, if it does not know all classes of the data. It is
    /// trained on samples of these only, and its logits of all others are −∞.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_classes: Option<ClassNames>,
    /// Whether its outputs are computed in training mode, normalized by the statistics of each
    /// batch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub training_mode: bool,
    /// Training of the network; none for an ONNX file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<TrainingRecipe>,
    /// Further teachers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherTeacherRecipe>,
}

/// A further teacher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherTeacherRecipe {
    /// Network, if it is not in an ONNX file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRecipe>,
    /// ONNX file of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnx: Option<OnnxRecipe>,
    /// File of its weights: of an earlier run, of PyTorch or of SafeTensors. Without one, the
    /// teacher is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Changes of the names of the tensors in that file: regular expressions and what replaces
    /// them, in the order of the expressions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// Classes of these weights, if they are not those of the data in the same order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassNames>,
    /// Names of the classes that it knows, if it does not know all classes of the data. It is
    /// trained on samples of these only, and its logits of all others are −∞.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_classes: Option<ClassNames>,
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
    /// Parts that are copied from the teacher, or from the first of several, before the
    /// distillation. The baseline starts from its own initial weights.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_teacher: Vec<String>,
    /// Parts that are not trained during the distillation. The baseline trains all its parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<String>,
    /// Quantization of the weights, both as baseline and distilled. None: full precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Configured<QuantizationConfig>>,
}

/// Key of the quantization of the student.
pub const QUANTIZATION: &str = "student.quantization";

impl StudentRecipe {
    /// Returns a student that is trained with quantized weights, if the recipe says so, and else
    /// the student itself.
    ///
    /// # Errors
    ///
    /// Returns an error if the quantization does not fit the network.
    pub fn quantized(&self, student: AnyNetwork) -> Result<AnyNetwork, NetworkMismatch> {
        Ok(match &self.quantization {
            Some(Configured(config)) => AnyNetwork::new(config.try_init(student)?),
            None => student,
        })
    }
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
    /// Number of epochs without improvement of the validation accuracy, or of the agreement with the
    /// teacher on data without labels, after which the training stops.
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

/// Division of the classes into tasks: `[tasks]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TasksRecipe {
    /// Number of tasks of equal size, in the order of the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Classes of each task, as indices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<Vec<usize>>>,
}

impl TasksRecipe {
    /// Returns the tasks of a data set with this number of classes.
    ///
    /// # Errors
    ///
    /// Returns an error that names the key if the tasks do not have every class once.
    pub fn of(&self, classes: usize) -> Result<ClassTasks> {
        let tasks = match (&self.count, &self.classes) {
            (Some(count), None) => ClassTasks::equal(classes, *count).at("tasks")?,
            (None, Some(of_each)) => ClassTasks::new(of_each.clone(), classes).at("tasks")?,
            (None, None) => bail!(
                "`tasks` is empty: give the number of tasks as `count`, or the classes of each as \
                 `classes`"
            ),
            (Some(_), Some(_)) => {
                bail!("there are both `tasks.count` and `tasks.classes`: leave one of them out")
            }
        };
        let last = tasks.len() - 1;
        let learned = tasks.columns(last).end;
        ensure!(
            learned == classes,
            "`tasks.classes` has {learned} classes, but the data has {classes}: give each class a task \
             (missing: {:?})",
            &tasks.order()[learned..]
        );
        Ok(tasks)
    }
}

fn batch_size() -> usize {
    64
}
