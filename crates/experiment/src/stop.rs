use burn::train::Interrupter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Request to stop a run, from Ctrl-C, from the system or from the dashboard.
///
/// It is kept apart from the interrupter of burn, which the dashboard resets after each training.
#[derive(Clone, Default)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    interrupter: Interrupter,
}

impl Stop {
    /// Requests the stop.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        self.interrupter.stop(Some("stopped on request"));
    }

    /// Returns whether a stop is requested.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Returns the interrupter that stops a training of burn.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }
}
