use super::folder::RunFolder;
use super::role::Role;
use anyhow::{Context, Result};
use burn_distill::strategy::{
    CurriculumError, EvaluationError, NonFinite, TrainError, write_atomically,
};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// A network of a run that has become NaN or infinite: there is no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diverged {
    /// The network, under the name of its result.
    pub network: String,
    /// The stage of its training, if it has stages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The seed of the repetition.
    pub seed: u64,
    /// The epoch, counted from 1, if it was being trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<usize>,
    /// The term of the loss that is NaN or infinite, `loss`, the path of a tensor of weights, or
    /// `predictions`.
    pub term: String,
    /// All of that in a sentence.
    pub message: String,
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diverged {}

/// A network of a repetition, as messages and results name it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The name of its result.
    pub network: String,
    /// The name in a sentence.
    pub title: String,
    /// The seed of the repetition.
    pub seed: u64,
}

impl Subject {
    /// Returns the network with that role.
    pub fn new(role: Role, seed: u64) -> Self {
        Self {
            network: role.name(),
            title: role.title(),
            seed,
        }
    }

    /// Returns a network that is trained beside those with a role.
    pub fn named(name: impl Into<String>, seed: u64) -> Self {
        let name = name.into();
        Self {
            title: name.clone(),
            network: name,
            seed,
        }
    }

    /// Returns the error of its training, which says that it has diverged if it has.
    pub fn training_error(&self, error: TrainError) -> anyhow::Error {
        match error {
            TrainError::Diverged { epoch, term } => self.diverged_in(None, epoch, &term).into(),
            error => error.into(),
        }
    }

    /// Returns the error of a training in stages that failed, with the name of the stage.
    pub fn stage_error(&self, error: CurriculumError) -> anyhow::Error {
        if let CurriculumError::Training { stage, source } = &error
            && let TrainError::Diverged { epoch, term } = source.as_ref()
        {
            return self.diverged_in(Some(stage.clone()), *epoch, term).into();
        }
        error.into()
    }

    /// Returns the error of its evaluation.
    pub fn evaluation_error(&self, error: EvaluationError, weights: &Path) -> anyhow::Error {
        match error {
            EvaluationError::NotFinite { .. } => {
                let reason = format!("{}: {error}", weights.display());
                self.unusable("predictions", self.without_result(&reason))
                    .into()
            }
            error => error.into(),
        }
    }

    /// Returns the error of weights in a file of which a tensor is not finite.
    pub fn weights_error(&self, tensor: &str, weights: &Path) -> anyhow::Error {
        let reason = format!(
            "{}: the tensor `{tensor}` holds values that are NaN or infinite",
            weights.display()
        );
        self.unusable(tensor, self.without_result(&reason)).into()
    }

    fn without_result(&self, reason: &str) -> String {
        format!(
            "seed {}, {}: {reason}, so there is no result",
            self.seed, self.title
        )
    }

    fn diverged_in(&self, stage: Option<String>, epoch: usize, term: &NonFinite) -> Diverged {
        let within = stage.iter().map(|stage| format!(", stage `{stage}`"));
        let message = format!(
            "seed {}, {}{} diverged in epoch {epoch}: {term} became NaN or infinite, so there is no \
             result; start a new run with a lower learning rate, or with clipped gradients \
             (`clip_norm`)",
            self.seed,
            self.title,
            within.collect::<String>(),
        );
        Diverged {
            stage,
            epoch: Some(epoch),
            ..self.unusable(term.name(), message)
        }
    }

    fn unusable(&self, term: &str, message: String) -> Diverged {
        Diverged {
            network: self.network.clone(),
            stage: None,
            seed: self.seed,
            epoch: None,
            term: term.into(),
            message,
        }
    }
}

/// The contents of `result.json` where a network has diverged.
#[derive(Serialize)]
struct NoResult<'a> {
    status: &'static str,
    diverged: &'a Diverged,
}

/// Passes an error on, and notes in the run folder that there is no result if a network has diverged.
pub fn noted(error: anyhow::Error, folder: &RunFolder) -> anyhow::Error {
    match error.downcast_ref() {
        Some(diverged) => match note(diverged, folder) {
            Ok(()) => error,
            Err(note) => error.context(format!("{note:#}")),
        },
        None => error,
    }
}

fn note(diverged: &Diverged, folder: &RunFolder) -> Result<()> {
    let file = folder.join("result.json");
    let contents = NoResult {
        status: "diverged",
        diverged,
    };
    write_atomically(&file, serde_json::to_string_pretty(&contents)?.as_bytes())
        .with_context(|| format!("{}", file.display()))
}
