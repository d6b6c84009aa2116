use super::History;
use crate::MetricKind;
use burn::train::metric::store::{Aggregate, EventStoreClient, Split};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Value of an epoch that should rise.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Accuracy(f64),
    Agreement(f64),
}

impl Value {
    /// Returns the validation accuracy of an epoch, or the agreement where there is none.
    pub fn of_store(epoch: usize, store: &EventStoreClient) -> Option<Self> {
        Self::of(|metric| {
            let value = store.find_metric(metric, epoch, Aggregate::Mean, &Split::Valid);
            value.filter(|value| !value.is_nan())
        })
    }

    /// Returns the validation accuracy of an earlier epoch, or the agreement where there is none.
    pub fn of_history(epoch: usize, history: &History) -> Option<Self> {
        let values = history.at(epoch, &Split::Valid);
        Self::of(|metric| values.get(metric).copied())
    }

    pub fn of(read: impl Fn(&str) -> Option<f64>) -> Option<Self> {
        let of = |metric: MetricKind| read(&metric.to_string());
        let accuracy = of(MetricKind::Accuracy).map(Self::Accuracy);
        accuracy.or_else(|| of(MetricKind::Agreement).map(Self::Agreement))
    }

    /// Returns whether the value is above another one of the same metric.
    pub fn is_above(self, other: Self) -> bool {
        match (self, other) {
            (Self::Accuracy(new), Self::Accuracy(best)) => new > best,
            (Self::Agreement(new), Self::Agreement(best)) => new > best,
            // Of an epoch without labels among others with labels.
            (Self::Accuracy(_), Self::Agreement(_)) => true,
            (Self::Agreement(_), Self::Accuracy(_)) => false,
        }
    }
}

/// Epochs of a training whose value was above that of all epochs before them. The last of them is
/// the best epoch so far; of several equal ones it is the first.
///
/// All of them are known, not only the last, since a checkpoint may be written after the next epoch
/// has ended. Clones share their state.
#[derive(Clone, Debug, Default)]
pub(super) struct BestEpochs(Arc<Mutex<Best>>);

#[derive(Debug, Default)]
struct Best {
    value: Option<Value>,
    epochs: BTreeSet<usize>,
}

impl BestEpochs {
    /// Reads the values of a training up to and including an epoch.
    pub fn load(&self, history: &History, epoch: usize) {
        for epoch in 1..=epoch {
            self.update(epoch, Value::of_history(epoch, history));
        }
    }

    /// Updates the state with the value of an epoch, if there is one.
    pub fn update(&self, epoch: usize, value: Option<Value>) {
        self.with(|best| {
            if let Some(value) = value
                && best.value.is_none_or(|best| value.is_above(best))
            {
                best.value = Some(value);
                best.epochs.insert(epoch);
            }
        });
    }

    /// Returns whether an epoch was the best one when it ended.
    pub fn contains(&self, epoch: usize) -> bool {
        self.with(|best| best.epochs.contains(&epoch))
    }

    /// Returns the best epoch up to and including one; none if no epoch had a value.
    pub fn up_to(&self, epoch: usize) -> Option<usize> {
        self.with(|best| best.epochs.range(..=epoch).next_back().copied())
    }

    fn with<R>(&self, use_best: impl FnOnce(&mut Best) -> R) -> R {
        // The state is consistent between two epochs, even if a thread panicked in one.
        use_best(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_epochs_the_first_is_the_best() {
        let best = BestEpochs::default();
        assert_eq!(best.up_to(9), None);
        // An epoch without an accuracy is never the best.
        let accuracies = [None, Some(50.0), Some(70.0), Some(60.0), Some(70.0)];
        for (epoch, accuracy) in (1..).zip(accuracies) {
            best.update(epoch, accuracy.map(Value::Accuracy));
        }

        assert_eq!(
            [1, 2, 3, 4, 5, 9].map(|epoch| best.up_to(epoch)),
            [None, Some(2), Some(3), Some(3), Some(3), Some(3)]
        );
        assert!(best.contains(2) && best.contains(3) && !best.contains(5));
    }
}
