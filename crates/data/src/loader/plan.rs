use super::two_streams::Streams;
use crate::rng::{Purpose, rng};
use crate::{DataError, Samples, Views};
use std::sync::Arc;

/// Data set and settings of a loader: everything that a batch depends on except the epoch.
#[derive(Clone)]
pub(super) struct Plan<S> {
    pub(super) dataset: S,
    /// Number of earlier occurrences of the same id, for each position in the data set.
    pub(super) repetitions: Arc<[usize]>,
    pub(super) batch_size: usize,
    pub(super) shuffle: Option<u64>,
    /// Settings of the views.
    pub(super) view: Views,
    pub(super) views: usize,
    /// Seed of the partners.
    pub(super) pairs: Option<u64>,
    /// Whether the label of each published sample is used; `None` if all that are known are.
    pub(super) labeled: Option<Vec<bool>>,
    /// Number of labeled samples in every batch; `None` to draw batches from all samples alike.
    pub(super) labeled_per_batch: Option<usize>,
    pub(super) drop_last: bool,
    pub(super) workers: usize,
}

impl<S> Plan<S> {
    pub(super) fn views(&self) -> usize {
        let views = self.view.multi_crop.map_or(self.views, |crop| crop.views());
        match self.pairs {
            Some(_) => views.max(2),
            None => views,
        }
    }
}

impl<S: Samples> Plan<S> {
    /// Returns whether the class of a sample is known and used.
    pub(super) fn is_labeled(&self, id: usize) -> bool {
        let used = self.labeled.as_ref().is_none_or(|labeled| labeled[id]);
        used && self.dataset.is_labeled(id)
    }

    pub(super) fn batches(&self) -> usize {
        self.samples_and_batches().1
    }

    /// Returns the number of samples that an epoch delivers.
    pub(super) fn samples(&self) -> usize {
        self.samples_and_batches().0
    }

    fn samples_and_batches(&self) -> (usize, usize) {
        if let Some(streams) = self.streams() {
            return streams.samples_and_batches();
        }
        let samples = self.dataset.len();
        let batches = match self.drop_last {
            true => samples / self.batch_size,
            false => samples.div_ceil(self.batch_size),
        };
        (samples.min(batches * self.batch_size), batches)
    }

    /// Returns the error of an epoch without a batch.
    pub(super) fn no_batch(&self) -> DataError {
        match self.streams() {
            Some(streams) => streams.no_batch(),
            None => DataError::NoBatch {
                samples: self.dataset.len(),
                batch_size: self.batch_size,
            },
        }
    }

    /// Returns the labeled and the unlabeled stream, if batches are drawn from two.
    pub(super) fn streams(&self) -> Option<Streams> {
        let per_batch = self.labeled_per_batch?;
        let ids = self.dataset.ids();
        let (labeled, unlabeled) = (0..ids.len()).partition(|&at| self.is_labeled(ids[at]));
        Some(Streams {
            labeled,
            unlabeled,
            batch: [per_batch, self.batch_size - per_batch],
            drop_last: self.drop_last,
        })
    }
}

/// Returns the number of earlier occurrences of the same id, for each position in a data set.
pub(super) fn repetitions(dataset: &impl Samples) -> Arc<[usize]> {
    let mut counts = vec![0; dataset.published_len()];
    let mut count = |id: &usize| {
        counts[*id] += 1;
        counts[*id] - 1
    };
    dataset.ids().iter().map(&mut count).collect()
}

/// Returns the order of `len` samples in an epoch.
pub(super) fn permutation(seed: u64, epoch: usize, len: usize) -> Vec<usize> {
    rng(Purpose::Order, [seed, epoch as u64, 0], 0).permutation(len)
}
