use burn_distill_core::Clock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The clock of the last batch of a training, for the step of the optimizer, which gets no batch.
/// Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct LastClock(Arc<Mutex<Clock>>);

impl Default for LastClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Clock::start())))
    }
}

impl LastClock {
    pub(crate) fn get(&self) -> Clock {
        *self.lock()
    }

    pub(crate) fn set(&self, clock: Clock) {
        *self.lock() = clock;
    }

    fn lock(&self) -> MutexGuard<'_, Clock> {
        // The value is consistent even if a thread panicked: it is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
