use burn::train::Interrupter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The request to stop, from Ctrl-C or from the dashboard.
///
/// It stands outside of burn's interrupter, which the dashboard resets after each training.
#[derive(Clone, Default)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    interrupter: Interrupter,
}

impl Stop {
    /// Listen to Ctrl-C and to the request to terminate. A second one ends the program at once.
    pub fn listen() -> anyhow::Result<Self> {
        let stop = Self::default();
        let handler = stop.clone();
        ctrlc::set_handler(move || {
            if handler.requested.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(crate::STOPPED));
            }
            handler.interrupter.stop(Some("stopped on request"));
        })?;
        Ok(stop)
    }

    /// Whether to stop.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// What stops a training.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }
}
