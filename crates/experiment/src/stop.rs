use burn::train::Interrupter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The request to stop, from Ctrl-C, from the system or from the dashboard.
///
/// It stands outside of burn's interrupter, which the dashboard resets after each training.
#[derive(Clone, Default)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    interrupter: Interrupter,
}

impl Stop {
    /// Requests to stop.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
        self.interrupter.stop(Some("stopped on request"));
    }

    /// Returns whether to stop.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Returns the handle that stops a training.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }
}
