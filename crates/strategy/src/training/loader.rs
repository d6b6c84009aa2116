use burn::data::dataloader::DataLoader;
use burn_distill_core::{Batch, Input};
use burn_distill_data::{BatchLoader, ClockedLoader, DatasetLoader, Samples};
use std::sync::Arc;

/// A data loader that begins at any epoch: a training that is resumed goes on with the samples, and with
/// the weights of terms, of the epoch it was stopped in.
///
/// The loaders of the data crate are, and so is any data loader of burn whose batches are [`Batch`]es:
/// its clock is set, but the order of its samples begins anew.
pub trait EpochLoader<I: Input> {
    /// Returns the number of batches in an epoch.
    fn num_batches(&self) -> usize;

    /// Returns the loader whose first epoch is this one, counted from 1.
    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<I>>>;
}

impl<S: Samples> EpochLoader<S::Input> for BatchLoader<S> {
    fn num_batches(&self) -> usize {
        self.num_batches()
    }

    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<S::Input>>> {
        Arc::new(self.starting_at(epoch))
    }
}

impl<T, B, I> EpochLoader<I> for DatasetLoader<T, B, I>
where
    T: Send + 'static,
    B: Into<Batch<I>> + 'static,
    I: Input,
{
    fn num_batches(&self) -> usize {
        self.num_batches()
    }

    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<I>>> {
        Arc::new(self.starting_at(epoch))
    }
}

impl<B, I> EpochLoader<I> for ClockedLoader<B, I>
where
    B: Into<Batch<I>> + 'static,
    I: Input,
{
    fn num_batches(&self) -> usize {
        self.num_batches()
    }

    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<I>>> {
        Arc::new(self.starting_at(epoch))
    }
}

impl<I: Input> EpochLoader<I> for Arc<dyn DataLoader<Batch<I>>> {
    fn num_batches(&self) -> usize {
        ClockedLoader::new(self.clone()).num_batches()
    }

    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<I>>> {
        ClockedLoader::new(self).starting_from(epoch)
    }
}
