use super::epoch_batches::EpochBatches;
use super::iterator::BatchIterator;
use super::plan::permutation;
use crate::DataError;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderIterator};
use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::Device;
use burn_distill_core::{Batch, Clock, Input};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Data loader that makes reproducible batches from any data set of burn, with a batcher of burn.
///
/// The batcher may return any type that converts to a [`Batch`] by `From`. Each batch is stamped
/// with the [`Clock`] and, unless it has ids already, with the indices of its samples in the data
/// set.
///
/// | Method | Default | Purpose |
/// | --- | --- | --- |
/// | [`shuffle`](Self::shuffle) | the order of the data set | a new order in every epoch |
/// | [`drop_last`](Self::drop_last) | false | skip a last batch that is not full |
/// | [`starting_at`](Self::starting_at) | 1 | the first epoch, to resume training |
/// | [`workers`](Self::workers) | 0 | threads that read items ahead of time |
/// | [`device`](Self::device) | burn's default | device of the tensors |
///
/// The samples of a batch depend only on the seed, the epoch and the position in the epoch, so
/// resumed training gets the same batches as uninterrupted training. Workers read the items; the
/// batcher runs on the training thread.
///
/// ```
/// use burn::data::dataloader::{DataLoader, batcher::Batcher};
/// use burn::data::dataset::InMemDataset;
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_distill_core::Batch;
/// use burn_distill_data::DatasetLoader;
///
/// struct NumbersBatcher;
///
/// impl Batcher<i32, Batch<Tensor<2>>> for NumbersBatcher {
///     fn batch(&self, items: Vec<i32>, device: &Device) -> Batch<Tensor<2>> {
///         let classes = Tensor::<1, Int>::from_data(items.as_slice(), device);
///         Batch::new(classes.clone().float().unsqueeze_dim(1), classes)
///     }
/// }
///
/// let numbers = InMemDataset::new((0..10).collect());
/// let loader = DatasetLoader::new(numbers, NumbersBatcher, 4).shuffle(0);
///
/// let first = loader.iter().next().unwrap()?;
/// assert_eq!((first.ids.len(), first.clock.batches), (4, 3));
/// assert_ne!(loader.iter().next().unwrap()?.ids, first.ids);
/// # Ok::<(), burn::data::dataset::DatasetError>(())
/// ```
pub struct DatasetLoader<T, B, I> {
    source: Arc<Source<T, B>>,
    plan: Plan,
    /// `None` for burn's default, which is looked up only when tensors are created.
    device: Option<Device>,
    next_epoch: AtomicUsize,
    input: PhantomData<fn() -> I>,
}

struct Source<T, B> {
    dataset: Box<dyn Dataset<T>>,
    batcher: Box<dyn Batcher<T, B>>,
}

#[derive(Clone)]
struct Plan {
    /// Indices of the samples that are loaded.
    indices: Arc<[usize]>,
    batch_size: usize,
    shuffle: Option<u64>,
    drop_last: bool,
    workers: usize,
}

impl<T, B, I> DatasetLoader<T, B, I>
where
    T: Send + 'static,
    B: Into<Batch<I>> + 'static,
    I: Input,
{
    /// Creates a loader of batches of `batch_size` samples.
    ///
    /// # Panics
    ///
    /// Panics if the batch size is 0.
    pub fn new(
        dataset: impl Dataset<T> + 'static,
        batcher: impl Batcher<T, B> + 'static,
        batch_size: usize,
    ) -> Self {
        assert!(
            batch_size > 0,
            "The batch size should be at least 1, but is 0."
        );
        Self {
            plan: Plan {
                indices: (0..dataset.len()).collect(),
                batch_size,
                shuffle: None,
                drop_last: false,
                workers: 0,
            },
            source: Arc::new(Source {
                dataset: Box::new(dataset),
                batcher: Box::new(batcher),
            }),
            device: None,
            next_epoch: AtomicUsize::new(1),
            input: PhantomData,
        }
    }

    /// Sets the seed of the shuffle, which gives the samples a new order in every epoch.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.plan.shuffle = Some(seed);
        self
    }

    /// Sets whether to skip a last batch that is not full.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.plan.drop_last = drop_last;
        self
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

    /// Sets the number of threads that read items ahead of time; 0 reads on the calling thread.
    pub fn workers(mut self, workers: usize) -> Self {
        self.plan.workers = workers;
        self
    }

    /// Sets the device of the tensors.
    pub fn device(mut self, device: &Device) -> Self {
        self.device = Some(device.clone());
        self
    }

    /// Returns the number of batches in an epoch.
    pub fn num_batches(&self) -> usize {
        self.plan.batches()
    }
}

impl Plan {
    fn batches(&self) -> usize {
        match self.drop_last {
            true => self.indices.len() / self.batch_size,
            false => self.indices.len().div_ceil(self.batch_size),
        }
    }

    fn samples(&self) -> usize {
        self.indices.len().min(self.batches() * self.batch_size)
    }
}

impl<T, B, I> Clone for DatasetLoader<T, B, I> {
    fn clone(&self) -> Self {
        Self {
            source: self.source.clone(),
            plan: self.plan.clone(),
            device: self.device.clone(),
            next_epoch: AtomicUsize::new(self.next_epoch.load(Ordering::Relaxed)),
            input: PhantomData,
        }
    }
}

impl<T, B, I> DataLoader<Batch<I>> for DatasetLoader<T, B, I>
where
    T: Send + 'static,
    B: Into<Batch<I>> + 'static,
    I: Input,
{
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch<I>> + 'a> {
        let number = self.next_epoch.fetch_add(1, Ordering::Relaxed);
        let order = match self.plan.shuffle {
            Some(seed) => permutation(seed, number, self.plan.indices.len())
                .into_iter()
                .map(|place| self.plan.indices[place])
                .collect(),
            None => self.plan.indices.clone(),
        };
        let epoch = ItemEpoch {
            source: self.source.clone(),
            plan: self.plan.clone(),
            number,
            order,
            input: PhantomData,
        };
        Box::new(BatchIterator::new(
            epoch,
            self.device.clone().unwrap_or_default(),
        ))
    }

    /// Returns the number of samples that an epoch delivers, without those of a dropped last batch.
    fn num_items(&self) -> usize {
        self.plan.samples()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch<I>>> {
        Arc::new(self.clone().device(device))
    }

    /// Returns a loader of part of the samples, the same part in every epoch.
    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch<I>>> {
        let mut slice = self.clone();
        slice.plan.indices = self.plan.indices[start..end].into();
        Arc::new(slice)
    }
}

/// One pass over the items.
struct ItemEpoch<T, B, I> {
    source: Arc<Source<T, B>>,
    plan: Plan,
    number: usize,
    /// Indices in the order in which they are loaded.
    order: Arc<[usize]>,
    input: PhantomData<fn() -> I>,
}

impl<T, B, I> ItemEpoch<T, B, I> {
    fn indices(&self, place: usize) -> &[usize] {
        let start = place * self.plan.batch_size;
        &self.order[start..self.order.len().min(start + self.plan.batch_size)]
    }
}

impl<T, B, I> EpochBatches for ItemEpoch<T, B, I>
where
    T: Send + 'static,
    B: Into<Batch<I>> + 'static,
    I: Input,
{
    type Input = I;
    type Prepared = Vec<T>;

    fn batches(&self) -> usize {
        self.plan.batches()
    }

    fn samples(&self) -> usize {
        self.plan.samples()
    }

    fn batch_size(&self) -> usize {
        self.plan.batch_size
    }

    fn workers(&self) -> usize {
        self.plan.workers
    }

    fn no_batch(&self) -> Option<DataError> {
        let refused = self.batches() == 0 && !self.order.is_empty();
        refused.then_some(DataError::NoBatch {
            samples: self.order.len(),
            batch_size: self.plan.batch_size,
        })
    }

    fn prepare(&self, place: usize) -> Result<Vec<T>, DatasetError> {
        let dataset = &self.source.dataset;
        self.indices(place)
            .iter()
            .map(|&index| dataset.get(index))
            .collect()
    }

    fn upload(&self, items: Vec<T>, place: usize, device: &Device) -> Batch<I> {
        let batch: Batch<I> = self.source.batcher.batch(items, device).into();
        let batch = match batch.ids.is_empty() {
            true => batch.with_ids(self.indices(place)),
            false => batch,
        };
        batch.with_clock(Clock {
            epoch: self.number,
            batch: place,
            batches: self.plan.batches(),
        })
    }
}
