use super::History;
use crate::MetricKind;
use burn::train::EarlyStoppingStrategy;
use burn::train::metric::store::{Aggregate, EventStoreClient, Split};
use std::sync::{Arc, Mutex, PoisonError};

/// Early stopping of a training whose validation accuracy has not improved for a number of epochs.
///
/// A resumed training stops at the same epoch as an uninterrupted one: [`load`](Self::load)
/// reads the accuracies of the earlier epochs. Clones share their state.
#[derive(Clone, Debug)]
pub struct Patience {
    epochs: usize,
    state: Arc<Mutex<Progress>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// Epoch with the highest accuracy so far, and that accuracy.
    best: Option<(usize, f64)>,
    exhausted: bool,
}

impl Patience {
    /// Creates a strategy that waits `epochs` epochs for an improvement.
    pub fn new(epochs: usize) -> Self {
        Self {
            epochs,
            state: Arc::default(),
        }
    }

    /// Reads the validation accuracies of a training up to and including an epoch.
    pub fn load(&self, history: &History, epoch: usize) {
        let accuracy = MetricKind::Accuracy.to_string();
        for epoch in 1..=epoch {
            let accuracy = history.at(epoch, &Split::Valid).remove(&accuracy);
            self.update(epoch, accuracy);
        }
    }

    /// Returns whether this strategy, or a clone of it, has ended a training.
    pub fn is_exhausted(&self) -> bool {
        self.with(|progress| progress.exhausted)
    }

    /// Updates the state with the accuracy of an epoch, if there is one, and returns whether the
    /// training should end.
    fn update(&self, epoch: usize, accuracy: Option<f64>) -> bool {
        self.with(|progress| {
            if let Some(accuracy) = accuracy
                && progress.best.is_none_or(|(_, best)| accuracy > best)
            {
                progress.best = Some((epoch, accuracy));
            }
            progress.exhausted |= progress
                .best
                .is_some_and(|(best, _)| epoch >= best + self.epochs);
            progress.exhausted
        })
    }

    fn with<R>(&self, use_progress: impl FnOnce(&mut Progress) -> R) -> R {
        // The state is consistent between two epochs, even if a thread panicked in one.
        use_progress(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EarlyStoppingStrategy for Patience {
    fn should_stop(&mut self, epoch: usize, store: &EventStoreClient) -> bool {
        let accuracy = MetricKind::Accuracy.to_string();
        let accuracy = store.find_metric(&accuracy, epoch, Aggregate::Mean, &Split::Valid);
        self.update(epoch, accuracy.filter(|accuracy| !accuracy.is_nan()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_training_ends_when_the_best_epoch_was_too_long_ago() {
        let patience = Patience::new(2);
        // An epoch without an accuracy counts as one without an improvement.
        let accuracies = [Some(50.0), Some(60.0), None, Some(60.0)];

        let over = (1..).zip(accuracies).map(|(epoch, accuracy)| {
            let over = patience.update(epoch, accuracy);
            assert_eq!(over, patience.clone().is_exhausted());
            over
        });

        assert_eq!(over.collect::<Vec<_>>(), [false, false, false, true]);
    }

    #[test]
    fn without_any_accuracy_the_training_continues() {
        let patience = Patience::new(1);

        assert!((1..9).all(|epoch| !patience.update(epoch, None)));
    }
}
