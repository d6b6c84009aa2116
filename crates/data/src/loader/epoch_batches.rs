use crate::DataError;
use burn::data::dataset::DatasetError;
use burn::tensor::Device;
use burn_distill_core::{Batch, Input};

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
