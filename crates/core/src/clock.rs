use serde::{Deserialize, Serialize};

/// Position of a batch in the training.
///
/// The loader sets it in every [`Batch`](crate::Batch). It depends only on the epoch and on the
/// batch, so it is correct after a resume, and it is a value on the host, so reading it does not
/// wait for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Current epoch, counted from 1.
    pub epoch: usize,
    /// Batch within the epoch, counted from 0.
    pub batch: usize,
    /// Number of batches in an epoch; 0 if no loader has [stamped](Self::is_stamped) the batch.
    pub batches: usize,
}

impl Clock {
    /// Creates the clock of a batch whose position is unknown. Schedules stay at their start.
    pub fn unstamped() -> Self {
        Self {
            batches: 0,
            ..Self::start()
        }
    }

    /// Returns whether a loader has set the position of the batch.
    pub fn is_stamped(&self) -> bool {
        self.batches > 0
    }

    /// Creates the clock of the first batch of the first epoch.
    pub fn start() -> Self {
        Self {
            epoch: 1,
            batch: 0,
            batches: 1,
        }
    }

    /// Returns the number of batches before this one, over all epochs.
    pub fn step(&self) -> usize {
        (self.epoch - 1) * self.batches + self.batch
    }

    /// Returns the number of epochs that have passed, including the fraction of the current one: 0
    /// at the first batch.
    pub fn elapsed(&self) -> f64 {
        (self.epoch - 1) as f64 + self.batch as f64 / self.batches.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_across_epochs() {
        let clock = Clock {
            epoch: 3,
            batch: 5,
            batches: 10,
        };

        assert_eq!(clock.step(), 25);
        assert_eq!(clock.elapsed(), 2.5);
        assert_eq!(Clock::start().step(), 0);
        assert_eq!(Clock::start().elapsed(), 0.0);
        assert_eq!(Clock::unstamped().elapsed(), 0.0);
    }
}
