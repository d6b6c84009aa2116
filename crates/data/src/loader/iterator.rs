use super::epoch_batches::EpochBatches;
use super::workers::Workers;
use crate::DataError;
use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;
use burn_distill_core::Batch;
use std::sync::Arc;

/// Iterator over the batches of one epoch.
pub(super) struct BatchIterator<E: EpochBatches> {
    epoch: Arc<E>,
    /// `None` if batches are prepared on the calling thread.
    workers: Option<Workers<E::Prepared>>,
    device: Device,
    next: usize,
    /// Error of an epoch without a batch, until it has been returned.
    refusal: Option<DataError>,
}

impl<E: EpochBatches> BatchIterator<E> {
    pub(super) fn new(epoch: E, device: Device) -> Self {
        let epoch = Arc::new(epoch);
        let workers = Workers::start(&epoch).inspect_err(|error| {
            log::warn!(
                "batches are prepared on the calling thread, because no worker could be started: \
                 {error}"
            );
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
            // An error, instead of training silently on nothing.
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
