use super::History;
use crate::MetricKind;
use burn::train::EarlyStoppingStrategy;
use burn::train::metric::store::{Aggregate, EventStoreClient, Split};
use std::sync::{Arc, Mutex, PoisonError};

/// Stops a training whose validation accuracy has not improved for a number of epochs.
///
/// A resumed training stops where an uninterrupted one would: [`recall`](Self::recall) tells it the
/// accuracies of the epochs before. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Patience {
    epochs: usize,
    state: Arc<Mutex<Progress>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The epoch with the highest accuracy so far, and that accuracy.
    best: Option<(usize, f64)>,
    exhausted: bool,
}

impl Patience {
    /// Creates a strategy that waits that many epochs for an improvement.
    pub fn new(epochs: usize) -> Self {
        Self {
            epochs,
            state: Arc::default(),
        }
    }

    /// Looks at the validation accuracies of a training up to and including an epoch.
    pub fn recall(&self, history: &History, epoch: usize) {
        let accuracy = MetricKind::Accuracy.to_string();
        for epoch in 1..=epoch {
            let accuracy = history.at(epoch, &Split::Valid).remove(&accuracy);
            self.look_at(epoch, accuracy);
        }
    }

    /// Returns whether this, or a clone, has ended a training.
    pub fn is_exhausted(&self) -> bool {
        self.with(|progress| progress.exhausted)
    }

    /// Looks at the accuracy of an epoch, if it has one, and returns whether the training is over.
    fn look_at(&self, epoch: usize, accuracy: Option<f64>) -> bool {
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

    fn with<R>(&self, see: impl FnOnce(&mut Progress) -> R) -> R {
        // It is whole between two epochs, also if a thread panicked in one.
        see(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EarlyStoppingStrategy for Patience {
    fn should_stop(&mut self, epoch: usize, store: &EventStoreClient) -> bool {
        let accuracy = MetricKind::Accuracy.to_string();
        let accuracy = store.find_metric(&accuracy, epoch, Aggregate::Mean, &Split::Valid);
        self.look_at(epoch, accuracy.filter(|accuracy| !accuracy.is_nan()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_training_is_over_when_the_best_epoch_is_long_ago() {
        let patience = Patience::new(2);
        // An epoch without an accuracy is one without an improvement.
        let accuracies = [Some(50.0), Some(60.0), None, Some(60.0)];

        let over = (1..).zip(accuracies).map(|(epoch, accuracy)| {
            let over = patience.look_at(epoch, accuracy);
            assert_eq!(over, patience.clone().is_exhausted());
            over
        });

        assert_eq!(over.collect::<Vec<_>>(), [false, false, false, true]);
    }

    #[test]
    fn without_any_accuracy_it_waits() {
        let patience = Patience::new(1);

        assert!((1..9).all(|epoch| !patience.look_at(epoch, None)));
    }
}
