mod clocked;
mod dataset;
mod epoch;
mod epoch_batches;
mod iterator;
mod pairs;
mod plan;
mod showing;
mod two_streams;
mod workers;

use crate::{Augmentation, ImageDataset, MultiCrop, Samples, Views};
use burn::data::dataloader::{DataLoader, DataLoaderIterator};
use burn::tensor::Device;
use burn_distill_core::Batch;
pub use clocked::*;
pub use dataset::*;
use epoch::Epoch;
use iterator::BatchIterator;
use plan::{Plan, permutation, repetitions};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Data loader of samples, with their classes where they are known, ids and clock: an [`ImageDataset`] as
/// normalized images, `[batch_size, channels, height, width]`, or any other [`Samples`].
///
/// | Method | Default | Purpose |
/// | --- | --- | --- |
/// | [`shuffle`](Self::shuffle) | the order of the data set | a new order in every epoch |
/// | [`augment`](Self::augment) | none | random crops, flips and strong operations |
/// | [`views`](Self::views) | 1 | number of augmented views of every sample |
/// | [`multi_crop`](Self::multi_crop) | none | large and small random crops, resized, as views |
/// | [`pairs`](Self::pairs) | none | a second view that shows another sample of the class |
/// | [`labeled`](Self::labeled) | all | the samples whose labels are known |
/// | [`labeled_per_batch`](Self::labeled_per_batch) | random | number of labeled samples in every batch |
/// | [`drop_last`](Self::drop_last) | false | skip a last batch that is not full |
/// | [`starting_at`](Self::starting_at) | 1 | the first epoch, to resume training |
/// | [`workers`](Self::workers) | 0 | threads that prepare batches ahead of time |
/// | [`device`](Self::device) | burn's default | device of the tensors |
///
/// A batch depends only on the data set, the seeds, the epoch and its position in the epoch: not on
/// the workers, nor on the batches loaded before.
///
/// If an id occurs more than once in the data set, each occurrence is augmented, and paired,
/// independently.
///
/// Every [`iter`](DataLoader::iter) is one epoch: the first call is the first epoch, the next call
/// the next one. A loader that is moved [to a device](DataLoader::to_device) or cloned has its own
/// count, which starts from that of the original.
///
/// ```
/// use burn::data::dataloader::DataLoader;
/// use burn_distill_data::{BatchLoader, digits};
///
/// let loader = BatchLoader::new(digits(), 100).shuffle(0);
/// let first = loader.iter().next().unwrap()?;
/// let second = loader.iter().next().unwrap()?;
///
/// assert_eq!((first.clock.epoch, second.clock.epoch), (1, 2));
/// assert_ne!(first.ids, second.ids);
///
/// // A run that is resumed in epoch 2 continues as if it had not been interrupted.
/// let resumed = BatchLoader::new(digits(), 100).shuffle(0).starting_at(2);
/// assert_eq!(resumed.iter().next().unwrap()?.ids, second.ids);
/// # Ok::<(), burn::data::dataset::DatasetError>(())
/// ```
pub struct BatchLoader<S = ImageDataset> {
    plan: Arc<Plan<S>>,
    /// `None` for burn's default, which is looked up only when tensors are created.
    device: Option<Device>,
    next_epoch: AtomicUsize,
}

impl<S: Samples> BatchLoader<S> {
    /// Creates a loader of batches of `batch_size` samples.
    ///
    /// # Panics
    ///
    /// Panics if the batch size is 0.
    pub fn new(dataset: S, batch_size: usize) -> Self {
        assert!(
            batch_size > 0,
            "The batch size should be at least 1, but is 0."
        );
        Self {
            plan: Arc::new(Plan {
                repetitions: repetitions(&dataset),
                dataset,
                batch_size,
                shuffle: None,
                view: Views::default(),
                views: 1,
                pairs: None,
                labeled: None,
                labeled_per_batch: None,
                drop_last: false,
                workers: 0,
            }),
            device: None,
            next_epoch: AtomicUsize::new(1),
        }
    }

    /// Sets the seed of the shuffle, which gives the samples a new order in every epoch.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.plan_mut().shuffle = Some(seed);
        self
    }

    /// Sets the random augmentation of the images and its seed.
    ///
    /// # Panics
    ///
    /// Panics if the samples cannot be augmented this way; [`Samples::check_views`] checks it
    /// beforehand.
    pub fn augment(self, augmentation: Augmentation, seed: u64) -> Self {
        let view = Views {
            augmentation,
            seed,
            ..self.plan.view
        };
        self.with_view(view)
    }

    /// Sets the number of views of each sample in a batch, augmented independently: the first
    /// weakly, the others also [strongly](Augmentation::strong) if that is set.
    ///
    /// # Panics
    ///
    /// Panics if `views` is zero.
    pub fn views(mut self, views: usize) -> Self {
        assert!(
            views > 0,
            "The number of views should be at least 1, but is 0."
        );
        self.plan_mut().views = views;
        self
    }

    /// Sets the resized random crops that are the views of each sample, the large ones first. The
    /// views are then flipped and changed by the [augmentation](Self::augment).
    ///
    /// # Panics
    ///
    /// Panics if the samples cannot be cropped this way; [`Samples::check_views`] checks it
    /// beforehand.
    pub fn multi_crop(self, crop: MultiCrop) -> Self {
        let view = Views {
            multi_crop: Some(crop),
            ..self.plan.view
        };
        self.with_view(view)
    }

    fn with_view(mut self, view: Views) -> Self {
        let checked = self.plan.dataset.check_views(&view);
        checked.unwrap_or_else(|error| panic!("{error}"));
        self.plan_mut().view = view;
        self
    }

    /// Sets the seed of pairs: the second view of a batch shows, for each sample, a random sample
    /// of the same class, each with equal probability, including the sample itself. It is augmented
    /// independently.
    ///
    /// Partners depend on the seed, the epoch, the sample and, if its id occurs more than once, on
    /// the occurrence; they are drawn from the loaded samples. Only known labels are used: a sample
    /// without a label is its own partner, as is the only sample of a class. There are then at
    /// least two views, or more if [`views`](Self::views) is larger; the targets and ids of a batch
    /// are those of its first view.
    ///
    /// Follows `PairBatchSampler` of the authors' cs-kd (S. Yun et al., [Regularizing Class-wise
    /// Predictions via Self-knowledge Distillation](https://arxiv.org/abs/2003.13964), CVPR 2020).
    pub fn pairs(mut self, seed: u64) -> Self {
        self.plan_mut().pairs = Some(seed);
        self
    }

    /// Sets the ids whose labels are known. All other samples are loaded, too, as unlabeled samples
    /// of class 0. Samples that the data set has [no label](Samples::is_labeled) of stay unlabeled.
    ///
    /// # Panics
    ///
    /// Panics if an id is not below [`Samples::published_len`].
    pub fn labeled(mut self, ids: &[usize]) -> Self {
        let published = self.plan.dataset.published_len();
        let mut labeled = vec![false; published];
        for &id in ids {
            assert!(
                id < published,
                "The labeled ids should be below the number of samples, {published}, but one is \
                 {id}."
            );
            labeled[id] = true;
        }
        self.plan_mut().labeled = Some(labeled);
        self
    }

    /// Sets the number of samples with a known label in every batch, which is filled with unlabeled
    /// samples.
    ///
    /// An epoch is one pass over the unlabeled samples. The labeled ones are repeated as often as
    /// the epoch needs, in a new order each time, and every repetition of a sample is augmented
    /// independently. A batch begins with its unlabeled samples. The last batch of an epoch may
    /// have fewer of those, unless such a batch is [dropped](Self::drop_last), but has the same
    /// number of labeled ones.
    ///
    /// [`labeled`](Self::labeled) sets which labels are known. If all or none are known, loading
    /// returns an error.
    ///
    /// Follows `TwoStreamBatchSampler` of the authors' mean-teacher (A. Tarvainen and H. Valpola,
    /// [Mean teachers are better role models](https://arxiv.org/abs/1703.01780), NIPS 2017), which
    /// drops the last batch and needs enough labeled samples for one batch.
    ///
    /// # Panics
    ///
    /// Panics if `labeled` is 0, or not below the batch size.
    pub fn labeled_per_batch(mut self, labeled: usize) -> Self {
        let batch_size = self.plan.batch_size;
        assert!(
            (1..batch_size).contains(&labeled),
            "A batch of {batch_size} should have from 1 to {} labeled samples beside unlabeled \
             ones, but {labeled} are requested.",
            batch_size - 1
        );
        self.plan_mut().labeled_per_batch = Some(labeled);
        self
    }

    /// Sets whether to skip a last batch that is not full.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.plan_mut().drop_last = drop_last;
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

    /// Sets the number of threads that prepare batches ahead of time; 0 prepares on the calling
    /// thread.
    pub fn workers(mut self, workers: usize) -> Self {
        self.plan_mut().workers = workers;
        self
    }

    /// Sets the device of the tensors.
    pub fn device(mut self, device: &Device) -> Self {
        self.device = Some(device.clone());
        self
    }

    /// Returns the batches of an epoch: the same as [`iter`](DataLoader::iter) for that epoch,
    /// without advancing the count of epochs.
    pub fn epoch(&self, epoch: usize) -> impl DataLoaderIterator<Batch<S::Input>> + use<S> {
        let device = self.device.clone().unwrap_or_default();
        BatchIterator::new(Epoch::new(self.plan.clone(), epoch), device)
    }

    /// Returns the data set that is loaded.
    pub fn dataset(&self) -> &S {
        &self.plan.dataset
    }

    /// Returns the number of views of each sample.
    pub fn num_views(&self) -> usize {
        self.plan.views()
    }

    /// Returns the number of batches in an epoch.
    pub fn num_batches(&self) -> usize {
        self.plan.batches()
    }

    fn plan_mut(&mut self) -> &mut Plan<S> {
        Arc::make_mut(&mut self.plan)
    }
}

impl<S> Clone for BatchLoader<S> {
    fn clone(&self) -> Self {
        Self {
            plan: self.plan.clone(),
            device: self.device.clone(),
            next_epoch: AtomicUsize::new(self.next_epoch.load(Ordering::Relaxed)),
        }
    }
}

impl<S: Samples> fmt::Debug for BatchLoader<S> {
    // Without the mask of labeled samples, which is as long as the data set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchLoader")
            .field("dataset", &self.plan.dataset)
            .field("batch_size", &self.plan.batch_size)
            .field("next_epoch", &self.next_epoch)
            .finish_non_exhaustive()
    }
}

impl<S: Samples> DataLoader<Batch<S::Input>> for BatchLoader<S> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch<S::Input>> + 'a> {
        let epoch = self.next_epoch.fetch_add(1, Ordering::Relaxed);
        Box::new(self.epoch(epoch))
    }

    /// Returns the number of samples that an epoch delivers, without those of a dropped last batch.
    fn num_items(&self) -> usize {
        self.plan.samples()
    }

    fn to_device(&self, device: &Device) -> Arc<dyn DataLoader<Batch<S::Input>>> {
        Arc::new(self.clone().device(device))
    }

    /// Returns a loader of part of the samples, the same part in every epoch.
    ///
    /// If the loader shuffles, the parts are random, so that each of several devices gets every
    /// class even if the data set is sorted by class.
    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<Batch<S::Input>>> {
        let mut slice = self.clone();
        let plan = slice.plan_mut();
        let places = match plan.shuffle {
            // Epoch 0 is never trained on.
            Some(seed) => permutation(seed, 0, plan.dataset.len())[start..end].to_vec(),
            None => (start..end).collect(),
        };
        // Counted over the whole data set, so that an id in two slices is augmented differently in
        // each.
        plan.repetitions = places.iter().map(|&at| plan.repetitions[at]).collect();
        let ids: Vec<_> = places.iter().map(|&at| plan.dataset.ids()[at]).collect();
        plan.dataset = plan.dataset.subset(ids);
        Arc::new(slice)
    }
}

#[cfg(test)]
mod tests;
