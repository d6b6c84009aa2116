use super::folder::RunFolder;
use super::role::Role;
use anyhow::{Context, Result};
use burn_distill::strategy::{
    CurriculumError, EvaluationError, NonFinite, TrainError, write_atomically,
};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// Error of a run in which a network has become NaN or infinite, so that there is no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diverged {
    /// Network, by the name of its result.
    pub network: String,
    /// Stage of its training, if there are stages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Seed of the repetition.
    pub seed: u64,
    /// Epoch of its training, counted from 1; none for an evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<usize>,
    /// Term of the loss that is NaN or infinite, `loss`, the path of a tensor of weights, or
    /// `predictions`.
    pub term: String,
    /// Error message.
    pub message: String,
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diverged {}

/// Name of a network in messages and results.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Name of its result.
    pub network: String,
    /// Name in a sentence.
    pub title: String,
    /// Seed of the repetition.
    pub seed: u64,
}

impl Subject {
    /// Returns the name of the network with that role.
    pub fn new(role: Role, seed: u64) -> Self {
        Self {
            network: role.name(),
            title: role.title(),
            seed,
        }
    }

    /// Returns the name of a network without a role, such as a member of the result.
    pub fn named(name: impl Into<String>, seed: u64) -> Self {
        let name = name.into();
        Self {
            title: name.clone(),
            network: name,
            seed,
        }
    }

    /// Returns the error of its training, as [`Diverged`] if it has diverged.
    pub fn training_error(&self, error: TrainError) -> anyhow::Error {
        match error {
            TrainError::Diverged { epoch, term } => self.diverged_in(None, epoch, &term).into(),
            error => error.into(),
        }
    }

    /// Returns the error of its training in stages, as [`Diverged`] with the name of the stage if
    /// it has diverged.
    pub fn stage_error(&self, error: CurriculumError) -> anyhow::Error {
        if let CurriculumError::Training { stage, source } = &error
            && let TrainError::Diverged { epoch, term } = source.as_ref()
        {
            return self.diverged_in(Some(stage.clone()), *epoch, term).into();
        }
        error.into()
    }

    /// Returns the error of its evaluation, as [`Diverged`] if its predictions are not finite.
    pub fn evaluation_error(&self, error: EvaluationError, weights: &Path) -> anyhow::Error {
        match error {
            EvaluationError::NotFinite { .. } | EvaluationError::NotFiniteEmbeddings { .. } => {
                let reason = format!("{}: {error}", weights.display());
                self.unusable("predictions", self.without_result(&reason))
                    .into()
            }
            error => error.into(),
        }
    }

    /// Returns the error of a file of weights with a tensor that is not finite.
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

/// Contents of `result.json` if a network has diverged.
#[derive(Serialize)]
struct NoResult<'a> {
    status: &'static str,
    diverged: &'a Diverged,
}

/// Returns the error. If a network has diverged, writes a `result.json` without a result to the run
/// folder.
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
