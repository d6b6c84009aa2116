use super::non_finite_weights;
use crate::{MetricKind, StepValues};
use burn::module::Module;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A quantity of a training that became NaN or infinite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NonFinite {
    /// The loss, where each of its terms is finite.
    Loss,
    /// The term of the loss with that name.
    Term(String),
    /// The weights or running statistics at that path of the model.
    Weights(String),
}

impl NonFinite {
    /// Returns the name of the term, the path of the tensor, or `loss`.
    pub fn name(&self) -> &str {
        match self {
            Self::Loss => "loss",
            Self::Term(name) | Self::Weights(name) => name,
        }
    }
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => f.write_str("the loss"),
            Self::Term(name) => write!(f, "the term `{name}` of the loss"),
            Self::Weights(path) => write!(f, "the tensor `{path}` of the model"),
        }
    }
}

/// The first quantity of a training that became NaN or infinite, if one did. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Divergence {
    /// The quantity, and whether it is one of the validation.
    first: Arc<OnceLock<(NonFinite, bool)>>,
    /// Whether this clone looks at the validation.
    on_validation: bool,
}

impl Divergence {
    /// Returns a clone that looks at the steps of the validation.
    pub(super) fn on_validation(&self) -> Self {
        Self {
            on_validation: true,
            ..self.clone()
        }
    }

    /// Looks at the numbers of a step.
    pub(crate) fn look_at(&self, reading: &StepValues) {
        match reading.non_finite() {
            None => {}
            Some(MetricKind::Term(name)) => self.report(NonFinite::Term(name)),
            Some(_) => self.report(NonFinite::Loss),
        }
    }

    /// Notes a quantity, unless another one was first.
    pub(super) fn report(&self, quantity: NonFinite) {
        let _ = self.first.set((quantity, self.on_validation));
    }

    /// Returns what became NaN or infinite first.
    pub(super) fn get(&self) -> Option<&NonFinite> {
        self.first.get().map(|(quantity, _)| quantity)
    }

    /// Returns what the training of that model diverged by: weights, if they were noticed by a
    /// validation alone, or else what became NaN or infinite first.
    pub(super) fn of<M: Module>(&self, model: &M) -> Option<NonFinite> {
        let (first, on_validation) = self.first.get()?;
        let weights = on_validation.then(|| non_finite_weights(model)).flatten();
        Some(weights.map_or_else(|| first.clone(), NonFinite::Weights))
    }
}
