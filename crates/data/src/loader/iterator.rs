use super::workers::Workers;
use crate::DataError;
use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;
use burn_distill_core::{Batch, Input};
use std::sync::Arc;

/// The batches of one epoch. Each is prepared on any thread and put on the device by the thread that
/// trains: burn's queues go by thread.
pub(super) trait EpochBatches: Send + Sync + 'static {
    type Input: Input;
    type Prepared: Send + 'static;

    /// Returns the number of batches.
    fn batches(&self) -> usize;

    /// Returns the number of samples in all batches.
    fn samples(&self) -> usize;

    /// Returns the number of samples in a full batch.
    fn batch_size(&self) -> usize;

    /// Returns the number of threads that prepare batches ahead of time.
    fn workers(&self) -> usize;

    /// Returns why the epoch of a data set with samples has no batch.
    fn no_batch(&self) -> Option<DataError>;

    /// Prepares the batch at this place of the epoch, in host memory.
    fn prepare(&self, place: usize) -> Result<Self::Prepared, DatasetError>;

    /// Puts a batch on the device.
    fn upload(&self, prepared: Self::Prepared, place: usize, device: &Device)
    -> Batch<Self::Input>;
}

/// Iterates over the batches of one epoch.
pub(super) struct BatchIterator<E: EpochBatches> {
    epoch: Arc<E>,
    /// `None` if batches are prepared on the calling thread.
    workers: Option<Workers<E::Prepared>>,
    device: Device,
    next: usize,
    /// Why the epoch cannot have a batch, until it has been told.
    refusal: Option<DataError>,
}

impl<E: EpochBatches> BatchIterator<E> {
    pub(super) fn new(epoch: E, device: Device) -> Self {
        let epoch = Arc::new(epoch);
        let workers = Workers::start(&epoch).inspect_err(|error| {
            log::warn!("batches are prepared on the calling thread, for want of others: {error}");
        });
        Self {
            refusal: epoch.no_batch(),
            epoch,
            workers: workers.ok(),
            device,
            next: 0,
        }
    }
}

impl<E: EpochBatches> Iterator for BatchIterator<E> {
    type Item = Result<Batch<E::Input>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.refusal.take() {
            // Rather than training on nothing without a word.
            return Some(Err(DatasetError::new(error)));
        }
        if self.next == self.epoch.batches() {
            return None;
        }
        let place = self.next;
        self.next += 1;
        let prepared = self
            .workers
            .as_mut()
            .and_then(|workers| workers.take(place));
        let prepared = prepared.unwrap_or_else(|| self.epoch.prepare(place));
        Some(prepared.map(|batch| self.epoch.upload(batch, place, &self.device)))
    }
}

impl<E: EpochBatches> DataLoaderIterator<Batch<E::Input>> for BatchIterator<E> {
    fn progress(&self) -> Progress {
        let samples = self.epoch.samples();
        let processed = samples.min(self.next * self.epoch.batch_size());
        Progress::new(processed, samples, Some("items".into()))
    }
}
