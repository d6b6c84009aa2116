use super::non_finite_weights;
use crate::{MetricKind, StepValues};
use burn::module::Module;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// The quantity of a training that became NaN or infinite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NonFinite {
    /// The loss, although each of its terms is finite.
    Loss,
    /// A term of the loss, by its name.
    Term(String),
    /// A tensor of weights or running statistics, by its path in the model.
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

/// The first quantity of a training that became NaN or infinite, if there is one. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Divergence {
    /// Quantity, and whether it was found in a validation.
    first: Arc<OnceLock<(NonFinite, bool)>>,
    /// Whether this clone checks the steps of the validation.
    on_validation: bool,
}

impl Divergence {
    /// Returns a clone that checks the steps of the validation.
    pub(super) fn on_validation(&self) -> Self {
        Self {
            on_validation: true,
            ..self.clone()
        }
    }

    /// Checks the values of a step.
    pub(crate) fn check(&self, values: &StepValues) {
        match values.non_finite() {
            None => {}
            Some(MetricKind::Term(name)) => self.report(NonFinite::Term(name)),
            Some(_) => self.report(NonFinite::Loss),
        }
    }

    /// Records a quantity, unless another one was recorded before.
    pub(super) fn report(&self, quantity: NonFinite) {
        let _ = self.first.set((quantity, self.on_validation));
    }

    /// Returns the quantity that became NaN or infinite first, if there is one.
    pub(super) fn get(&self) -> Option<&NonFinite> {
        self.first.get().map(|(quantity, _)| quantity)
    }

    /// Returns the quantity by which the training of a model diverged: a weight, if the divergence
    /// was found only in a validation, or else the quantity that became NaN or infinite first.
    pub(super) fn of<M: Module>(&self, model: &M) -> Option<NonFinite> {
        let (first, on_validation) = self.first.get()?;
        let weights = on_validation.then(|| non_finite_weights(model)).flatten();
        Some(weights.map_or_else(|| first.clone(), NonFinite::Weights))
    }
}
