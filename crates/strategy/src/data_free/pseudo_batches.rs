use crate::EpochLoader;
use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;
use burn_distill_core::{Batch, Clock, Input, Targets};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Training loader of a strategy without data. Its batches have a [clock](Clock), but no view, no
/// target and no id: a strategy that would look at a sample panics.
///
/// ```
/// use burn::data::dataloader::DataLoader;
/// use burn::tensor::Tensor;
/// use burn_distill_core::Batch;
/// use burn_distill_strategy::PseudoBatches;
///
/// let loader = PseudoBatches::new(3);
/// let batches: Vec<Batch<Tensor<4>>> = loader.iter().collect::<Result<_, _>>()?;
///
/// assert_eq!(batches.len(), 3);
/// assert!(batches.iter().all(|batch| batch.views.is_empty()));
/// # Ok::<(), burn::data::dataset::DatasetError>(())
/// ```
#[derive(Debug)]
pub struct PseudoBatches {
    batches: usize,
    next_epoch: AtomicUsize,
}

impl PseudoBatches {
    /// Creates a loader with this number of pseudo batches in an epoch.
    ///
    /// # Panics
    ///
    /// Panics if the number is zero.
    pub fn new(batches: usize) -> Self {
        assert!(
            batches > 0,
            "The number of pseudo batches in an epoch should be at least 1, but is 0."
        );
        Self {
            batches,
            next_epoch: AtomicUsize::new(1),
        }
    }

    /// Sets the number of the first epoch, counted from 1, to resume training.
    ///
    /// # Panics
    ///
    /// Panics if the epoch is 0.
    pub fn starting_at(self, epoch: usize) -> Self {
        assert!(
            epoch > 0,
            "Epochs are counted from 1, but the first epoch is set to 0."
        );
        self.next_epoch.store(epoch, Ordering::Relaxed);
        self
    }

    fn with_batches(&self, batches: usize) -> Self {
        Self::new(batches).starting_at(self.next_epoch.load(Ordering::Relaxed))
    }
}

impl<I: Input> DataLoader<Batch<I>> for PseudoBatches {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch<I>> + 'a> {
        Box::new(PseudoIterator {
            clock: Clock {
                epoch: self.next_epoch.fetch_add(1, Ordering::Relaxed),
                batch: 0,
                batches: self.batches,
            },
            input: PhantomData,
        })
    }

    fn num_items(&self) -> usize {
        self.batches
    }

    fn to_device(&self, _device: &Device) -> Arc<dyn DataLoader<Batch<I>>> {
        Arc::new(self.with_batches(self.batches))
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch<I>>> {
        Arc::new(self.with_batches(end - start))
    }
}

impl<I: Input> EpochLoader<I> for PseudoBatches {
    fn num_batches(&self) -> usize {
        self.batches
    }

    fn batches(&self) -> Box<dyn DataLoaderIterator<Batch<I>> + '_> {
        self.iter()
    }

    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<I>>> {
        Arc::new(self.starting_at(epoch))
    }
}

/// Iterator over the pseudo batches of an epoch.
struct PseudoIterator<I> {
    /// Clock of the next batch.
    clock: Clock,
    input: PhantomData<fn() -> I>,
}

impl<I: Input> Iterator for PseudoIterator<I> {
    type Item = Result<Batch<I>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let clock = self.clock;
        (clock.batch < clock.batches).then(|| {
            self.clock.batch += 1;
            Ok(Batch {
                views: Vec::new(),
                targets: Targets::Unlabeled,
                ids: Vec::new(),
                clock,
            })
        })
    }
}

impl<I: Input> DataLoaderIterator<Batch<I>> for PseudoIterator<I> {
    fn progress(&self) -> Progress {
        Progress {
            items_processed: self.clock.batch,
            items_total: self.clock.batches,
            unit: Some("batches".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;

    fn clocks(loader: &Arc<dyn DataLoader<Batch<Tensor<4>>>>) -> Vec<(usize, usize, usize)> {
        let batches = loader.iter().map(|batch| batch.unwrap().clock);
        batches
            .map(|clock| (clock.epoch, clock.batch, clock.batches))
            .collect()
    }

    #[test]
    fn every_iteration_is_an_epoch_and_a_resume_starts_at_one() {
        let loader: Arc<dyn DataLoader<Batch<Tensor<4>>>> = Arc::new(PseudoBatches::new(2));

        assert_eq!(clocks(&loader), [(1, 0, 2), (1, 1, 2)]);
        assert_eq!(clocks(&loader), [(2, 0, 2), (2, 1, 2)]);
        let moved = loader.to_device(&Device::default());
        assert_eq!(clocks(&moved), [(3, 0, 2), (3, 1, 2)]);
        assert_eq!(clocks(&PseudoBatches::new(1).starting_from(7)), [(7, 0, 1)]);
    }
}
