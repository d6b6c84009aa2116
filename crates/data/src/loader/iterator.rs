use super::epoch::Epoch;
use super::workers::Workers;
use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Tensor};
use burn_distill_core::Batch;
use std::sync::Arc;

/// The batches of one epoch.
pub(super) struct BatchIterator {
    epoch: Arc<Epoch>,
    /// `None` if batches are prepared on the calling thread.
    workers: Option<Workers>,
    device: Device,
    next: usize,
    /// Set when the epoch cannot have a batch, until it has been told.
    refused: bool,
}

impl BatchIterator {
    pub(super) fn new(epoch: Epoch, device: Device) -> Self {
        let epoch = Arc::new(epoch);
        let workers = Workers::start(&epoch).inspect_err(|error| {
            log::warn!("batches are prepared on the calling thread, for want of others: {error}");
        });
        let refused = epoch.plan.batches() == 0 && !epoch.plan.dataset.is_empty();
        Self {
            epoch,
            workers: workers.ok(),
            device,
            next: 0,
            refused,
        }
    }
}

impl Iterator for BatchIterator {
    type Item = Result<Batch<Tensor<4>>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let plan = &self.epoch.plan;
        if std::mem::take(&mut self.refused) {
            // Rather than training on nothing without a word.
            return Some(Err(DatasetError::new(plan.no_batch())));
        }
        if self.next == plan.batches() {
            return None;
        }
        let place = self.next;
        self.next += 1;
        let prepared = self
            .workers
            .as_mut()
            .and_then(|workers| workers.take(place));
        let batch = prepared.unwrap_or_else(|| self.epoch.prepare(place));
        Some(Ok(self.epoch.upload(batch, &self.device)))
    }
}

impl DataLoaderIterator<Batch<Tensor<4>>> for BatchIterator {
    fn progress(&self) -> Progress {
        let plan = &self.epoch.plan;
        let processed = plan.samples().min(self.next * plan.batch_size);
        Progress::new(processed, plan.samples(), Some("items".into()))
    }
}
