//! Term between a student and its ensemble, as in ONE and OKDDip.

use super::ramp::Ramp;
use burn_distill::core::{CrossEntropyObjective, RampInterval};
use burn_distill::strategy::EnsembleKl;

/// Default temperature.
pub const TEMPERATURE: f64 = 3.0;
/// Default number of epochs until the weight is 1.
pub const RAMP_EPOCHS: usize = 80;

/// Name of the weight in a warning.
pub const WHAT: &str = "the weight of the ensemble term";

/// Creates the term, whose weight rises to 1.
pub fn towards_ensemble(temperature: f64, ramp: Ramp) -> EnsembleKl {
    EnsembleKl::new(temperature, ramp.to(1.0))
}

/// Returns the names of the cross-entropy and of the term.
pub fn names() -> Vec<String> {
    [CrossEntropyObjective::TERM, EnsembleKl::TERM]
        .map(String::from)
        .into()
}

/// Returns the ramp of these options, or else that of the authors.
pub fn ramp(epochs: Option<usize>, interval: Option<RampInterval>) -> Ramp {
    Ramp {
        epochs: epochs.unwrap_or(RAMP_EPOCHS),
        interval: interval.unwrap_or_default(),
    }
}
