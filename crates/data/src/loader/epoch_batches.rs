use crate::DataError;
use burn::data::dataset::DatasetError;
use burn::tensor::Device;
use burn_distill_core::{Batch, Input};

/// Batches of one epoch. They are prepared on any thread, but uploaded to the device by the
/// training thread, because burn's queues are per thread.
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

    /// Returns the error if the epoch has no batch although the data set has samples.
    fn no_batch(&self) -> Option<DataError>;

    /// Prepares the batch at a position of the epoch, in host memory.
    fn prepare(&self, place: usize) -> Result<Self::Prepared, DatasetError>;

    /// Uploads a batch to the device.
    fn upload(&self, prepared: Self::Prepared, place: usize, device: &Device)
    -> Batch<Self::Input>;
}
