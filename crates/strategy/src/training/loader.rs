use burn::data::dataloader::{DataLoader, DataLoaderIterator};
use burn_distill_core::{Batch, Input};
use burn_distill_data::{BatchLoader, ClockedLoader, DatasetLoader, Samples};
use std::sync::Arc;

/// A data loader that can start at any epoch, so that a resumed training continues with the samples
/// and the weights of terms of the epoch in which it was stopped.
///
/// It is implemented for the loaders of burn-distill-data, and for any data loader of burn whose
/// batches are [`Batch`]es: the clock of such a loader starts at the epoch, but its order of
/// samples starts again.
pub trait EpochLoader<I: Input> {
    /// Returns the number of batches in an epoch.
    fn num_batches(&self) -> usize;

    /// Returns an iterator over the batches of the next epoch.
    fn batches(&self) -> Box<dyn DataLoaderIterator<Batch<I>> + '_>;

    /// Returns the loader whose first epoch is `epoch`, counted from 1.
    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<I>>>;
}

impl<S: Samples> EpochLoader<S::Input> for BatchLoader<S> {
    fn num_batches(&self) -> usize {
        self.num_batches()
    }

    fn batches(&self) -> Box<dyn DataLoaderIterator<Batch<S::Input>> + '_> {
        self.iter()
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

    fn batches(&self) -> Box<dyn DataLoaderIterator<Batch<I>> + '_> {
        self.iter()
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

    fn batches(&self) -> Box<dyn DataLoaderIterator<Batch<I>> + '_> {
        self.iter()
    }

    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<I>>> {
        Arc::new(self.starting_at(epoch))
    }
}

impl<I: Input> EpochLoader<I> for Arc<dyn DataLoader<Batch<I>>> {
    fn num_batches(&self) -> usize {
        ClockedLoader::new(self.clone()).num_batches()
    }

    fn batches(&self) -> Box<dyn DataLoaderIterator<Batch<I>> + '_> {
        self.iter()
    }

    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<I>>> {
        ClockedLoader::new(self).starting_from(epoch)
    }
}
