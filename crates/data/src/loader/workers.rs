use super::epoch_batches::EpochBatches;
use burn::data::dataset::DatasetError;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Batches that each worker has ready at most, besides the one it prepares.
const READY: usize = 2;

/// Threads that prepare batches ahead of time: of `n` threads, each prepares every `n`-th batch, so
/// taking them in turn gives the batches in order.
pub(super) struct Workers<P> {
    queues: Vec<Receiver<Result<P, DatasetError>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<P: Send + 'static> Workers<P> {
    /// Starts the workers of an epoch, but no more than it has batches.
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
                        // The iterator is gone: nobody wants the rest.
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

    /// Returns the batch at this place of the epoch, or nothing if there are no workers.
    ///
    /// # Panics
    ///
    /// Panics if its worker did, with the same message.
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
        // A worker that waits to send fails now, and ends.
        self.queues.clear();
        for thread in self.threads.drain(..) {
            // A panic was either passed on already, or in a batch that nobody took.
            let _ = thread.join();
        }
    }
}
