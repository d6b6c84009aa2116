use crate::Figure;
use burn::train::EarlyStoppingStrategy;
use burn::train::metric::store::{Aggregate, Direction, EventStoreClient, Split};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops a training whose validation accuracy has not improved for a number of epochs.
///
/// It looks at the history alone, so a resumed training stops where an uninterrupted one would.
#[derive(Clone, Debug)]
pub struct Patience {
    epochs: usize,
    exhausted: Arc<AtomicBool>,
}

impl Patience {
    /// Wait that many epochs for an improvement.
    pub fn new(epochs: usize) -> Self {
        Self {
            epochs,
            exhausted: Arc::default(),
        }
    }

    /// Whether this, or a clone, has ended a training.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }
}

impl EarlyStoppingStrategy for Patience {
    fn should_stop(&mut self, epoch: usize, store: &EventStoreClient) -> bool {
        let best = store.find_epoch(
            &Figure::Accuracy.to_string(),
            Aggregate::Mean,
            Direction::Highest,
            &Split::Valid,
        );
        let stop = best.is_some_and(|best| epoch >= best + self.epochs);
        self.exhausted.fetch_or(stop, Ordering::Relaxed);
        stop
    }
}
