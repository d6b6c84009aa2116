use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;
use burn_distill_core::{Batch, Clock, Input};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Data loader that makes batches for distillers from any data loader of burn.
///
/// Each batch of the wrapped loader is converted to a [`Batch`] by the `From` of its type, and
/// stamped with the [`Clock`] that weight schedules depend on. Every [`iter`](DataLoader::iter) is
/// one epoch, counted from [`starting_at`](Self::starting_at). The wrapped loader determines the
/// order of the samples: burn's own shuffle restarts when training is resumed, while that of a
/// [`BatchLoader`](crate::BatchLoader) continues.
///
/// ```
/// use burn::data::dataloader::{DataLoaderBuilder, batcher::Batcher};
/// use burn::data::dataset::InMemDataset;
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_distill_core::Batch;
/// use burn_distill_data::ClockedLoader;
///
/// #[derive(Clone, Debug)]
/// struct NumbersBatch {
///     inputs: Tensor<2>,
///     classes: Tensor<1, Int>,
/// }
///
/// impl From<NumbersBatch> for Batch<Tensor<2>> {
///     fn from(numbers: NumbersBatch) -> Self {
///         Batch::new(numbers.inputs, numbers.classes)
///     }
/// }
///
/// struct NumbersBatcher;
///
/// impl Batcher<i32, NumbersBatch> for NumbersBatcher {
///     fn batch(&self, items: Vec<i32>, device: &Device) -> NumbersBatch {
///         let classes = Tensor::<1, Int>::from_data(items.as_slice(), device);
///         NumbersBatch { inputs: classes.clone().float().unsqueeze_dim(1), classes }
///     }
/// }
///
/// let numbers = InMemDataset::new((0..10).collect());
/// let loader = DataLoaderBuilder::new(NumbersBatcher).batch_size(4).build(numbers);
/// let loader = ClockedLoader::wrap(loader);
///
/// let last = loader.iter().last().unwrap()?;
/// assert_eq!((last.clock.epoch, last.clock.batch, last.clock.batches), (1, 2, 3));
/// assert_eq!(loader.iter().next().unwrap()?.clock.epoch, 2);
/// # Ok::<(), burn::data::dataset::DatasetError>(())
/// ```
pub struct ClockedLoader<B, I> {
    loader: Arc<dyn DataLoader<B>>,
    next_epoch: AtomicUsize,
    input: PhantomData<fn() -> I>,
}

impl<B, I> ClockedLoader<B, I>
where
    B: Into<Batch<I>> + 'static,
    I: Input,
{
    /// Creates a loader of distillation batches from any data loader.
    pub fn new(loader: Arc<dyn DataLoader<B>>) -> Self {
        Self {
            loader,
            next_epoch: AtomicUsize::new(1),
            input: PhantomData,
        }
    }

    /// Creates a loader of distillation batches in the form that burn's `SupervisedTraining`
    /// accepts.
    pub fn wrap(loader: Arc<dyn DataLoader<B>>) -> Arc<dyn DataLoader<Batch<I>>> {
        Arc::new(Self::new(loader))
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

    /// Returns the number of batches in an epoch. This loads the first batch, because a data loader
    /// of burn only knows the number of its samples.
    ///
    /// Returns 0 if there is no batch, or if the first cannot be loaded.
    pub fn num_batches(&self) -> usize {
        let first = self.loader.iter().next().and_then(Result::ok);
        first.map_or(0, |batch| batches(self.loader.num_items(), &batch.into()))
    }

    fn of(&self, loader: Arc<dyn DataLoader<B>>) -> Arc<dyn DataLoader<Batch<I>>> {
        Arc::new(Self::new(loader).starting_at(self.next_epoch.load(Ordering::Relaxed)))
    }
}

impl<B, I> DataLoader<Batch<I>> for ClockedLoader<B, I>
where
    B: Into<Batch<I>> + 'static,
    I: Input,
{
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch<I>> + 'a> {
        Box::new(ClockedIterator {
            batches: self.loader.iter(),
            samples: self.loader.num_items(),
            clock: Clock {
                epoch: self.next_epoch.fetch_add(1, Ordering::Relaxed),
                ..Clock::start()
            },
            input: PhantomData,
        })
    }

    fn num_items(&self) -> usize {
        self.loader.num_items()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch<I>>> {
        self.of(self.loader.to_device(device))
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch<I>>> {
        self.of(self.loader.slice(start, end))
    }
}

/// Returns the number of batches in an epoch, given its first, full batch.
fn batches<I: Input>(samples: usize, first: &Batch<I>) -> usize {
    samples.div_ceil(first.len().max(1)).max(1)
}

struct ClockedIterator<'a, B, I> {
    batches: Box<dyn DataLoaderIterator<B> + 'a>,
    samples: usize,
    /// Clock of the next batch.
    clock: Clock,
    input: PhantomData<fn() -> I>,
}

impl<B, I> Iterator for ClockedIterator<'_, B, I>
where
    B: Into<Batch<I>>,
    I: Input,
{
    type Item = Result<Batch<I>, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch: Batch<I> = match self.batches.next()? {
            Ok(batch) => batch.into(),
            Err(error) => return Some(Err(error)),
        };
        if self.clock.batch == 0 {
            self.clock.batches = batches(self.samples, &batch);
        }
        let clock = self.clock;
        self.clock.batch += 1;
        Some(Ok(batch.with_clock(clock)))
    }
}

impl<B, I> DataLoaderIterator<Batch<I>> for ClockedIterator<'_, B, I>
where
    B: Into<Batch<I>>,
    I: Input,
{
    fn progress(&self) -> Progress {
        self.batches.progress()
    }
}
