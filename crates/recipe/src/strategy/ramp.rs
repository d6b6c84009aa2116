//! Weights that rise over the first epochs.

use burn_distill::core::{ChangingWeight, Clock, RampInterval};

/// A weight that rises over the first epochs, as the sigmoid of the authors of several strategies.
#[derive(Clone, Copy)]
pub struct Ramp {
    /// The epochs until the weight is at its end.
    pub epochs: usize,
    /// The interval at which the weight moves.
    pub interval: RampInterval,
}

impl Ramp {
    /// Returns the weight with its end.
    pub fn to(self, to: f64) -> ChangingWeight {
        ChangingWeight::SigmoidRampUp {
            to,
            epochs: self.epochs,
            interval: self.interval,
        }
    }

    /// Returns the warning about a ramp that is longer than a training of `trained` epochs, so that its
    /// end is never reached.
    pub fn warning(self, what: &str, trained: usize) -> Option<String> {
        (self.epochs > trained).then(|| {
            // The end of the last epoch.
            let share = self.to(1.0).at(&Clock {
                epoch: trained,
                batch: 1,
                batches: 1,
            });
            format!(
                "in {trained} epochs {what} only rises to {share:.2} of its end: lower \
                 `strategy.ramp_epochs`, which is {}",
                self.epochs
            )
        })
    }
}
