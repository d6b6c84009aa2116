use super::epoch_batches::EpochBatches;
use burn::data::dataset::DatasetError;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Maximum number of batches that each worker has ready, besides the one it prepares.
const READY: usize = 2;

/// Threads that prepare batches ahead of time. Each of `n` threads prepares every `n`-th batch, so
/// taking from them in turn gives the batches in order.
pub(super) struct Workers<P> {
    queues: Vec<Receiver<Result<P, DatasetError>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<P: Send + 'static> Workers<P> {
    /// Starts the workers of an epoch, at most one per batch.
    pub(super) fn start(epoch: &Arc<impl EpochBatches<Prepared = P>>) -> std::io::Result<Self> {
        let batches = epoch.batches();
        let count = epoch.workers().min(batches);
        let mut workers = Self {
            queues: Vec::with_capacity(count),
            threads: Vec::with_capacity(count),
        };
        for worker in 0..count {
            let (sender, queue) = sync_channel(READY);
            let epoch = epoch.clone();
            let thread = Builder::new()
                .name(format!("batches-{worker}"))
                .spawn(move || {
                    for place in (worker..batches).step_by(count) {
                        // The iterator was dropped: the remaining batches are not needed.
                        if sender.send(epoch.prepare(place)).is_err() {
                            return;
                        }
                    }
                })?;
            workers.queues.push(queue);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Returns the batch at a position of the epoch, or `None` if there are no workers.
    ///
    /// # Panics
    ///
    /// Panics with the worker's message if the worker panicked.
    pub(super) fn take(&mut self, place: usize) -> Option<Result<P, DatasetError>> {
        let worker = place.checked_rem(self.queues.len())?;
        match self.queues[worker].recv() {
            Ok(batch) => Some(batch),
            Err(_) => match self.threads.swap_remove(worker).join() {
                Err(panic) => resume_unwind(panic),
                Ok(()) => unreachable!("A worker ends only after its last batch."),
            },
        }
    }
}

impl<P> Drop for Workers<P> {
    fn drop(&mut self) {
        // A worker that waits to send now fails, and ends.
        self.queues.clear();
        for thread in self.threads.drain(..) {
            // A panic was either passed on already, or belongs to a batch that was never taken.
            let _ = thread.join();
        }
    }
}
