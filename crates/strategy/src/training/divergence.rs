use crate::{Figure, Reading};
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
pub(crate) struct Divergence(Arc<OnceLock<NonFinite>>);

impl Divergence {
    /// Looks at the numbers of a training step.
    pub(crate) fn look_at(&self, reading: &Reading) {
        match reading.non_finite() {
            None => {}
            Some(Figure::Term(name)) => self.report(NonFinite::Term(name)),
            Some(_) => self.report(NonFinite::Loss),
        }
    }

    /// Notes a quantity, unless another one was first.
    pub(super) fn report(&self, quantity: NonFinite) {
        let _ = self.0.set(quantity);
    }

    /// Returns what became NaN or infinite first.
    pub(super) fn get(&self) -> Option<&NonFinite> {
        self.0.get()
    }
}
