use super::History;
use super::best::Value;
use burn::train::EarlyStoppingStrategy;
use burn::train::metric::store::EventStoreClient;
use std::sync::{Arc, Mutex, PoisonError};

/// Early stopping of a training whose validation accuracy has not improved for a number of epochs.
/// Without labels the agreement with the teacher takes the place of the accuracy, if it is among the
/// metrics of the training.
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
    /// Epoch with the highest value so far, and that value.
    best: Option<(usize, Value)>,
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
        for epoch in 1..=epoch {
            self.update(epoch, Value::of_history(epoch, history));
        }
    }

    /// Returns whether this strategy, or a clone of it, has ended a training.
    pub fn is_exhausted(&self) -> bool {
        self.with(|progress| progress.exhausted)
    }

    /// Updates the state with the value of an epoch, if there is one, and returns whether the training
    /// should end.
    fn update(&self, epoch: usize, value: Option<Value>) -> bool {
        self.with(|progress| {
            if let Some(value) = value
                && progress.best.is_none_or(|(_, best)| value.is_above(best))
            {
                progress.best = Some((epoch, value));
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
        self.update(epoch, Value::of_store(epoch, store))
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
            let over = patience.update(epoch, accuracy.map(Value::Accuracy));
            assert_eq!(over, patience.clone().is_exhausted());
            over
        });

        assert_eq!(over.collect::<Vec<_>>(), [false, false, false, true]);
    }

    #[test]
    fn without_labels_the_agreement_should_rise() {
        let value = |accuracy: Option<f64>| {
            Value::of(move |metric| match metric {
                "Accuracy" => accuracy,
                _ => Some(90.0),
            })
        };
        let patience = Patience::new(2);
        let over: Vec<_> = (1..5)
            .map(|epoch| patience.update(epoch, value(None)))
            .collect();
        assert_eq!(over, [false, false, true, true]);

        // An accuracy is not compared with an agreement.
        let patience = Patience::new(1);
        assert!(!patience.update(1, value(Some(50.0))));
        assert!(!patience.update(2, value(Some(60.0))));
        assert!(patience.update(3, value(None)));
    }

    #[test]
    fn without_any_accuracy_the_training_continues() {
        let patience = Patience::new(1);

        assert!((1..9).all(|epoch| !patience.update(epoch, None)));
    }
}
