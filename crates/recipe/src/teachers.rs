use super::{TeacherRecipe, TrainingRecipe};
use crate::model::ModelRecipe;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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

impl TeacherRecipe {
    /// Every teacher as if it were the only one, the first first.
    pub fn all(&self) -> Vec<Self> {
        let first = Self {
            others: Vec::new(),
            ..self.clone()
        };
        let others = self.others.iter().map(|other| Self {
            model: other.model.clone(),
            weights: other.weights.clone(),
            training_mode: other.training_mode.unwrap_or(self.training_mode),
            training: other.training.as_ref().unwrap_or(&self.training).clone(),
            others: Vec::new(),
        });
        [first].into_iter().chain(others).collect()
    }

    /// Where a teacher stands in the recipe.
    pub fn place(index: usize) -> String {
        match index {
            0 => "teacher".into(),
            index => format!("teacher.others.{}", index - 1),
        }
    }
}
