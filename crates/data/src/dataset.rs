use crate::render::{Palette, render};
use crate::samples::assert_published;
use crate::{DataError, Holdout, Normalization, Samples, ViewedSample, Views};
use burn::tensor::{Device, Tensor, TensorData};
use std::fmt;
use std::sync::Arc;

/// Contents of an [`ImageDataset`].
#[derive(Clone, Debug)]
pub struct ImageData {
    /// Name of the data set.
    pub name: String,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// All images, one after the other, each as planes of rows. Length:
    /// `samples · channels · height · width`.
    pub pixels: Vec<u8>,
    /// Value of a pixel of full intensity, usually 255.
    pub max_value: u8,
    /// Class of each image.
    pub labels: Vec<usize>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Constants that the pixels are normalized by.
    pub normalization: Normalization,
}

/// Labeled images in memory, with one byte per value; normalized when they are batched.
///
/// The id of a sample is its position in the data set as published. It stays the same in every
/// split and subset, which share the images: a clone or a subset only copies the ids. The published
/// training and test images are two data sets, and the ids of each start at 0.
///
/// ```
/// use burn_distill_data::digits;
///
/// let (train, test) = digits().split(0.2, 0)?;
///
/// assert_eq!((train.len(), test.len()), (1438, 359));
/// assert!(test.ids().iter().all(|id| !train.ids().contains(id)));
/// # Ok::<(), burn_distill_data::DataError>(())
/// ```
#[derive(Clone)]
pub struct ImageDataset {
    data: Arc<ImageData>,
    normalization: Arc<Normalization>,
    palette: Arc<Palette>,
    ids: Arc<[usize]>,
}

impl ImageDataset {
    /// Creates a data set from its contents.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if sizes disagree, if a label is not a class, or if the
    /// normalization is invalid.
    pub fn new(data: ImageData) -> Result<Self, DataError> {
        let invalid = |what: String| Err(DataError::Invalid(format!("{}: {what}", data.name)));
        let (samples, pixels) = (data.labels.len(), data.shape.iter().product::<usize>());
        let Normalization { mean, std } = &data.normalization;

        if pixels == 0 || samples.checked_mul(pixels) != Some(data.pixels.len()) {
            return invalid(format!(
                "{samples} labels and {} bytes of pixels do not make images of shape {:?}",
                data.pixels.len(),
                data.shape
            ));
        }
        if let Some(label) = data
            .labels
            .iter()
            .find(|&&label| label >= data.classes.len())
        {
            return invalid(format!(
                "label {label} should be below the number of classes, {}",
                data.classes.len()
            ));
        }
        if mean.len() != data.shape[0] || std.len() != data.shape[0] {
            return invalid(format!(
                "the normalization of {} channels needs one mean and one standard deviation each, \
                 found {} and {}",
                data.shape[0],
                mean.len(),
                std.len()
            ));
        }
        // This also rejects NaN.
        if !mean.iter().all(|mean| mean.is_finite()) || !std.iter().all(|&std| std > 0.0) {
            return invalid(format!(
                "the normalization needs finite means and standard deviations above 0, found \
                 {mean:?} and {std:?}"
            ));
        }
        if data.max_value == 0 {
            return invalid("the maximum of a pixel should be above 0".into());
        }
        let ids = (0..samples).collect();
        let palette = Palette::of(&data.normalization, data.max_value);
        Ok(Self {
            normalization: Arc::new(data.normalization.clone()),
            data: Arc::new(data),
            palette: Arc::new(palette),
            ids,
        })
    }

    /// Returns the name of the data set.
    pub fn name(&self) -> &str {
        &self.data.name
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns channels, height and width of an image.
    pub fn shape(&self) -> [usize; 3] {
        self.data.shape
    }

    /// Returns the names of the classes, including those without samples.
    pub fn classes(&self) -> &[String] {
        &self.data.classes
    }

    /// Returns the number of classes, including those without samples.
    pub fn num_classes(&self) -> usize {
        self.data.classes.len()
    }

    /// Returns the constants that the pixels are normalized by.
    pub fn normalization(&self) -> &Normalization {
        &self.normalization
    }

    /// Returns the mean and the standard deviation of each channel over all pixels of these samples.
    /// The standard deviation of a channel of one level is 1.
    pub fn measured_normalization(&self) -> Normalization {
        let [channels, height, width] = self.shape();
        let max_value = f64::from(self.max_value());
        let channel = |channel: usize| {
            // Whole numbers, so that the order of the samples does not matter.
            let mut counts = [0_u64; 256];
            for &id in self.ids() {
                let plane = &self.pixels(id)[channel * height * width..][..height * width];
                plane
                    .iter()
                    .for_each(|&pixel| counts[usize::from(pixel)] += 1);
            }
            let total = counts.iter().sum::<u64>().max(1) as f64;
            let levels = || (0..).map(|level| f64::from(level) / max_value).zip(counts);
            let mean = levels()
                .map(|(level, count)| level * count as f64)
                .sum::<f64>()
                / total;
            let squares = levels().map(|(level, count)| (level - mean).powi(2) * count as f64);
            let is_constant = counts.iter().filter(|&&count| count > 0).count() < 2;
            let std = match is_constant {
                true => 1.0,
                false => (squares.sum::<f64>() / total).sqrt(),
            };
            (mean as f32, std as f32)
        };
        let (mean, std) = (0..channels).map(channel).unzip();
        Normalization { mean, std }
    }

    /// Returns the samples, normalized by these constants.
    ///
    /// # Panics
    ///
    /// Panics if there is not one mean and one standard deviation per channel.
    pub fn with_normalization(self, normalization: Normalization) -> Self {
        let (channels, Normalization { mean, std }) = (self.shape()[0], &normalization);
        assert!(
            mean.len() == channels && std.len() == channels,
            "The normalization of {channels} channels needs one mean and one standard deviation \
             each, but has {} and {}.",
            mean.len(),
            std.len()
        );
        Self {
            palette: Arc::new(Palette::of(&normalization, self.max_value())),
            normalization: Arc::new(normalization),
            ..self
        }
    }

    /// Returns the id of each sample: its position in the data set as published.
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// Returns the number of samples in the data set as published: every id is below it.
    pub fn published_len(&self) -> usize {
        self.data.labels.len()
    }

    /// Returns the class of each sample, in the order of [`ids`](Self::ids).
    pub fn labels(&self) -> Vec<usize> {
        Samples::labels(self)
    }

    /// Returns the class of the sample with this id.
    ///
    /// # Panics
    ///
    /// Panics if `id` is not below [`published_len`](Self::published_len).
    pub fn label(&self, id: usize) -> usize {
        self.data.labels[id]
    }

    /// Returns the image with this id as planes of rows, not normalized.
    ///
    /// # Panics
    ///
    /// Panics if `id` is not below [`published_len`](Self::published_len).
    pub fn pixels(&self, id: usize) -> &[u8] {
        let size = self.data.shape.iter().product::<usize>();
        &self.data.pixels[id * size..(id + 1) * size]
    }

    /// Returns the number of samples of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.num_classes()];
        for label in self.labels() {
            counts[label] += 1;
        }
        counts
    }

    /// Returns the samples with these ids, in this order.
    ///
    /// # Panics
    ///
    /// Panics if an id is not below [`published_len`](Self::published_len).
    pub fn subset(&self, ids: impl Into<Arc<[usize]>>) -> Self {
        let ids = ids.into();
        assert_published(self.name(), &ids, self.published_len());
        Self {
            ids,
            ..self.clone()
        }
    }

    /// Returns the first `count` samples, or all if there are fewer.
    pub fn take(&self, count: usize) -> Self {
        Samples::take(self, count)
    }

    /// Returns the samples of all other classes. The class keeps its position among the classes.
    pub fn without_class(&self, class: usize) -> Self {
        Samples::without_class(self, class)
    }

    /// Returns a stratified split in two, `(rest, held out)`, as
    /// [`stratified_split`](crate::stratified_split) computes it.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if there are fewer samples than should be held out.
    pub fn split(&self, holdout: impl Into<Holdout>, seed: u64) -> Result<(Self, Self), DataError> {
        Samples::split(self, holdout, seed)
    }

    /// Returns `count` samples of each class that occurs, as
    /// [`sample_per_class`](crate::sample_per_class) chooses them.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if a class that occurs has fewer samples.
    pub fn sample_per_class(&self, count: usize, seed: u64) -> Result<Self, DataError> {
        Samples::sample_per_class(self, count, seed)
    }

    /// Returns the value of a pixel of full intensity.
    pub(crate) fn max_value(&self) -> u8 {
        self.data.max_value
    }
}

impl Samples for ImageDataset {
    type Input = Tensor<4>;
    type Prepared = TensorData;

    fn ids(&self) -> &[usize] {
        &self.ids
    }

    fn published_len(&self) -> usize {
        self.data.labels.len()
    }

    fn num_classes(&self) -> usize {
        self.data.classes.len()
    }

    fn label(&self, id: usize) -> usize {
        self.data.labels[id]
    }

    fn subset(&self, ids: impl Into<Arc<[usize]>>) -> Self {
        self.subset(ids)
    }

    fn check_views(&self, views: &Views) -> Result<(), DataError> {
        views.check_images(self.shape())
    }

    fn prepare(
        &self,
        shown: &[Vec<ViewedSample>],
        views: &Views,
    ) -> Result<Vec<TensorData>, DataError> {
        let published = |id| self.pixels(id);
        let view = |shown: &Vec<_>| render(self.shape(), published, &self.palette, shown, views);
        Ok(shown.iter().map(view).collect())
    }

    fn upload(&self, prepared: TensorData, device: &Device) -> Tensor<4> {
        Tensor::from_data(prepared, device)
    }

    fn layout(&self) -> String {
        format!("{:?} {}", self.shape(), self.max_value())
    }

    fn feed_sample(&self, id: usize, sink: &mut dyn FnMut(&[u8])) {
        sink(self.pixels(id));
    }
}

impl fmt::Debug for ImageDataset {
    // Without the pixels, which may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageDataset")
            .field("name", &self.name())
            .field("shape", &self.shape())
            .field("classes", &self.num_classes())
            .field("samples", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{BatchLoader, DataSource};
    use burn::data::dataloader::DataLoader;

    /// Returns six gray images of 2 by 3 pixels with increasing values, of classes 0 0 0 1 1 2.
    pub(crate) fn six() -> ImageDataset {
        ImageDataset::new(six_data()).unwrap()
    }

    fn six_data() -> ImageData {
        ImageData {
            name: "six".into(),
            shape: [1, 2, 3],
            pixels: (0..36).collect(),
            max_value: 255,
            labels: vec![0, 0, 0, 1, 1, 2],
            classes: ["a", "b", "c"].map(String::from).to_vec(),
            normalization: Normalization {
                mean: vec![0.5],
                std: vec![0.25],
            },
        }
    }

    #[test]
    fn ids_stay_the_same_in_subsets_of_subsets() {
        let rest = six().without_class(0);
        assert_eq!(rest.ids(), [3, 4, 5]);
        assert_eq!(rest.class_counts(), [0, 2, 1]);
        assert_eq!(rest.num_classes(), 3);

        let (rest, held_out) = rest.split(1, 0).unwrap();
        assert_eq!(held_out.len() + rest.len(), 3);
        let id = held_out.ids()[0];
        assert_eq!(held_out.pixels(id), six().pixels(id));
        assert_eq!(held_out.published_len(), 6);

        assert_eq!(
            six().take(4).sample_per_class(1, 0).unwrap().labels(),
            [0, 1]
        );
        assert_eq!(six().take(9).len(), 6);
    }

    #[test]
    #[should_panic(
        expected = "The ids of six should be below its number of samples, 6, but one is 6."
    )]
    fn unknown_ids_are_refused() {
        six().subset([0, 6]);
    }

    #[test]
    fn levels_are_normalized_pixels() {
        let levels = six().normalization().levels(255);

        assert_eq!(levels[0][0], -2.0);
        assert_eq!(levels[0][255], 2.0);
    }

    #[test]
    fn the_normalization_is_measured_on_a_part_and_applied() {
        // Pixels 0 to 11, whose mean is 5.5 and whose variance is (12² - 1) / 12.
        let part = six().subset([0, 1]);
        let measured = part.measured_normalization();
        assert!((measured.mean[0] - 5.5 / 255.0).abs() < 1e-7);
        assert!((measured.std[0] - (143.0_f32 / 12.0).sqrt() / 255.0).abs() < 1e-7);

        let normalized = six().with_normalization(measured.clone());
        assert_eq!(normalized.normalization(), &measured);
        let batch = BatchLoader::new(normalized.subset([0]), 1).iter().next();
        let pixels: Vec<f32> = batch.unwrap().unwrap().view().to_data().iter().collect();
        assert!((pixels[0] + 5.5 / (143.0_f32 / 12.0).sqrt()).abs() < 1e-5);

        let mut data = six_data();
        data.pixels.fill(7);
        let constant = ImageDataset::new(data).unwrap().measured_normalization();
        assert_eq!((constant.mean[0], constant.std[0]), (7.0 / 255.0, 1.0));
    }

    #[test]
    fn disagreeing_sizes_are_refused() {
        let error = |change: fn(&mut ImageData)| {
            let mut data = six_data();
            change(&mut data);
            ImageDataset::new(data).unwrap_err().to_string()
        };

        assert_eq!(
            error(|data| data.pixels.truncate(35)),
            "six: 6 labels and 35 bytes of pixels do not make images of shape [1, 2, 3]"
        );
        assert_eq!(
            error(|data| data.labels[0] = 3),
            "six: label 3 should be below the number of classes, 3"
        );
        assert_eq!(
            error(|data| data.normalization.mean = vec![]),
            "six: the normalization of 1 channels needs one mean and one standard deviation each, \
             found 0 and 1"
        );
        assert_eq!(
            error(|data| data.normalization.std = vec![0.0]),
            "six: the normalization needs finite means and standard deviations above 0, found \
             [0.5] and [0.0]"
        );
        assert_eq!(
            error(|data| data.max_value = 0),
            "six: the maximum of a pixel should be above 0"
        );
        assert!(error(|data| data.shape = [0, 2, 3]).contains("do not make images"));
    }

    #[test]
    fn public_types_move_between_threads() {
        fn check<T: Send + Sync + Unpin + 'static>() {}

        check::<ImageDataset>();
        check::<BatchLoader>();
        check::<DataSource>();
        check::<DataError>();
    }
}
