use crate::{
    Augmentation, DataError, Holdout, MultiCrop, ViewKey, sample_per_class, stratified_split,
};
use burn::tensor::Device;
use burn_distill_core::Input;
use std::fmt::{self, Debug};
use std::sync::Arc;

/// Samples, in memory or in files, that a [`BatchLoader`](crate::BatchLoader) makes batches of. They
/// are labeled, unless [`is_labeled`](Self::is_labeled) says otherwise.
///
/// The id of a sample is its position in the data set as published, and the same in every split and
/// subset. Splits and subsets of a data set share its contents: a clone only copies the ids.
pub trait Samples: Clone + Debug + Send + Sync + 'static {
    /// Input of networks that the samples are batched to.
    type Input: Input;
    /// One view of the samples of a batch, in host memory.
    type Prepared: Send + 'static;

    /// Returns the id of each sample.
    fn ids(&self) -> &[usize];

    /// Returns the number of samples in the data set as published: every id is below it.
    fn published_len(&self) -> usize;

    /// Returns the number of classes, including those without samples.
    fn num_classes(&self) -> usize;

    /// Returns the class of the sample with this id; 0 for an [unlabeled](Self::is_labeled) one.
    ///
    /// # Panics
    ///
    /// Panics if `id` is not below [`published_len`](Self::published_len).
    fn label(&self, id: usize) -> usize;

    /// Returns whether the class of the sample with this id is known.
    ///
    /// # Panics
    ///
    /// May panic if `id` is not below [`published_len`](Self::published_len).
    fn is_labeled(&self, _id: usize) -> bool {
        true
    }

    /// Returns the samples with these ids, in this order.
    ///
    /// # Panics
    ///
    /// Panics if an id is not below [`published_len`](Self::published_len).
    fn subset(&self, ids: impl Into<Arc<[usize]>>) -> Self;

    /// Checks that these views of the samples can be made.
    ///
    /// # Errors
    ///
    /// Returns an error if they cannot be made, such as random crops of samples that are not
    /// images.
    fn check_views(&self, views: &Views) -> Result<(), DataError>;

    /// Prepares the views of a batch, in host memory; `shown` has the samples of each view.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if the contents of a sample have to be read, and cannot
    /// be.
    fn prepare(
        &self,
        shown: &[Vec<ViewedSample>],
        views: &Views,
    ) -> Result<Vec<Self::Prepared>, DataError>;

    /// Uploads a prepared view to a device.
    fn upload(&self, prepared: Self::Prepared, device: &Device) -> Self::Input;

    /// Returns the shape of the samples and whatever else decides what their contents mean, as a text
    /// without a line break.
    fn layout(&self) -> String;

    /// Passes the contents of the sample with this id to a function, such as a hash, without its
    /// label.
    ///
    /// # Panics
    ///
    /// May panic if `id` is not below [`published_len`](Self::published_len).
    fn feed_sample(&self, id: usize, sink: &mut dyn FnMut(&[u8]));

    /// Passes the layout, the labels and the contents of the samples to a function, such as a hash.
    fn feed(&self, sink: &mut dyn FnMut(&[u8])) {
        sink(format!("{} {}\n", self.layout(), self.len()).as_bytes());
        for &id in self.ids() {
            sink(&(self.label(id) as u64).to_le_bytes());
            self.feed_sample(id, sink);
        }
    }

    /// Returns the number of samples.
    fn len(&self) -> usize {
        self.ids().len()
    }

    /// Returns whether there are no samples.
    fn is_empty(&self) -> bool {
        self.ids().is_empty()
    }

    /// Returns the samples whose class is known.
    fn labeled(&self) -> Self {
        let labeled = self.ids().iter().copied();
        let labeled: Vec<_> = labeled.filter(|&id| self.is_labeled(id)).collect();
        match labeled.len() == self.len() {
            true => self.clone(),
            false => self.subset(labeled),
        }
    }

    /// Returns the class of each sample, in the order of [`ids`](Self::ids).
    fn labels(&self) -> Vec<usize> {
        self.ids().iter().map(|&id| self.label(id)).collect()
    }

    /// Returns the samples at these positions of [`ids`](Self::ids), in this order.
    ///
    /// # Panics
    ///
    /// Panics if a position is out of range.
    fn at(&self, positions: &[usize]) -> Self {
        let ids = positions.iter().map(|&position| self.ids()[position]);
        self.subset(ids.collect::<Vec<_>>())
    }

    /// Returns the first `count` samples, or all if there are fewer.
    fn take(&self, count: usize) -> Self {
        self.subset(&self.ids()[..count.min(self.len())])
    }

    /// Returns the samples of all other classes. The class keeps its position among the classes.
    fn without_class(&self, class: usize) -> Self {
        let kept = self.ids().iter().copied();
        let kept: Vec<_> = kept.filter(|&id| self.label(id) != class).collect();
        self.subset(kept)
    }

    /// Returns the samples of some classes. All classes keep their positions.
    fn only_classes(&self, classes: &[usize]) -> Self {
        let kept = self.ids().iter().copied();
        let kept: Vec<_> = kept
            .filter(|&id| classes.contains(&self.label(id)))
            .collect();
        self.subset(kept)
    }

    /// Returns a stratified split in two, `(rest, held out)`, as [`stratified_split`] computes it.
    /// Unlabeled samples count as samples of class 0.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if there are fewer samples than should be held out.
    fn split(&self, holdout: impl Into<Holdout>, seed: u64) -> Result<(Self, Self), DataError> {
        let (rest, held_out) = stratified_split(&self.labels(), holdout, seed)?;
        Ok((self.at(&rest), self.at(&held_out)))
    }

    /// Returns `count` samples of each class that occurs, as [`sample_per_class`] chooses them.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if a class that occurs has fewer samples.
    fn sample_per_class(&self, count: usize, seed: u64) -> Result<Self, DataError> {
        Ok(self.at(&sample_per_class(&self.labels(), count, seed)?))
    }
}

/// Checks that a data set of this name has published samples with these ids.
///
/// # Panics
///
/// Panics if an id is not below the number of published samples.
pub(crate) fn assert_published(name: &str, ids: &[usize], published: usize) {
    if let Some(id) = ids.iter().find(|&&id| id >= published) {
        panic!(
            "The ids of {name} should be below its number of samples, {published}, but one is {id}."
        );
    }
}

/// Settings from which the views of samples are made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Views {
    /// Random augmentation of images.
    pub augmentation: Augmentation,
    /// Seed of the augmentation and of the crops.
    pub seed: u64,
    /// Random crops of images, resized, if views are made of these.
    pub multi_crop: Option<MultiCrop>,
}

impl Views {
    /// Returns whether every view shows the samples unchanged.
    pub fn are_plain(&self) -> bool {
        self.augmentation == Augmentation::default() && self.multi_crop.is_none()
    }

    /// Checks that the views show the samples of a data set unchanged, which are not images; the
    /// name of the data set and the kind of its samples are for the error.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if they would be changed.
    pub fn check_plain(&self, name: &str, kind: impl fmt::Display) -> Result<(), DataError> {
        match self.are_plain() {
            true => Ok(()),
            false => Err(DataError::Invalid(format!(
                "only images can be cropped, flipped and changed at random, and the samples of \
                 {name} are {kind}: leave out the augmentation"
            ))),
        }
    }

    /// Checks that these views can be made of images of this shape, `[channels, height, width]`.
    ///
    /// # Errors
    ///
    /// Returns the error of [`Augmentation::check`] or [`MultiCrop::check`], or an error if images
    /// would be cropped twice.
    pub fn check_images(&self, shape: [usize; 3]) -> Result<(), DataError> {
        self.augmentation.check(shape)?;
        if let Some(crop) = self.multi_crop {
            crop.check(shape)?;
            self.augmentation.check_multi_crop()?;
        }
        Ok(())
    }
}

/// Sample shown in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewedSample {
    /// Id of the sample whose content is shown: in a pair, another sample of the same class.
    pub id: usize,
    /// Key of the random choices of the view.
    pub key: ViewKey,
}
