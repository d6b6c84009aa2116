//! Weights that rise over the first epochs.

use burn_distill::core::{ChangingWeight, Clock, RampInterval};

/// Weight that rises over the first epochs, as the sigmoid of several papers.
#[derive(Clone, Copy)]
pub struct Ramp {
    /// Number of epochs until the weight reaches its end.
    pub epochs: usize,
    /// Interval at which the weight changes.
    pub interval: RampInterval,
}

impl Ramp {
    /// Returns the weight that rises to `to`.
    pub fn to(self, to: f64) -> ChangingWeight {
        ChangingWeight::SigmoidRampUp {
            to,
            epochs: self.epochs,
            interval: self.interval,
        }
    }

    /// Returns a warning if the ramp is longer than a training of `trained` epochs.
    pub fn warning(self, what: &str, trained: usize) -> Option<String> {
        (self.epochs > trained).then(|| {
            // The end of the last epoch.
            let share = self.to(1.0).at(&Clock {
                epoch: trained,
                batch: 1,
                batches: 1,
            });
            format!(
                "in {trained} epochs {what} only rises to {share:.2} of its maximum: lower \
                 `strategy.ramp_epochs`, which is {}",
                self.epochs
            )
        })
    }
}
