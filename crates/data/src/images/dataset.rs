use super::preprocessing::Preprocessing;
use super::scan::{ScannedImage, read_again};
use crate::render::{Palette, render};
use crate::samples::assert_published;
use crate::{DataError, Normalization, Samples, ViewedSample, Views};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

/// Images in the files of a folder. Decoded images are kept in memory up to a limit; the others are
/// decoded whenever a batch is prepared.
///
/// [`ImageFolderConfig::load`](crate::ImageFolderConfig::load) creates it. The id of an image is its
/// position in the order of the paths, without images that are skipped because they are broken.
///
/// Pixels are normalized by the [normalization](Self::with_normalization), or are from 0 to 1
/// without one.
#[derive(Clone)]
pub struct ImageFolder {
    data: Arc<FolderData>,
    /// Constants of the normalization, if they are known.
    normalization: Option<Normalization>,
    palette: Arc<Palette>,
    ids: Arc<[usize]>,
}

/// Contents of an [`ImageFolder`].
pub(super) struct FolderData {
    pub(super) name: String,
    pub(super) shape: [usize; 3],
    pub(super) preprocessing: Preprocessing,
    pub(super) images: Vec<ScannedImage>,
    pub(super) classes: Vec<String>,
    /// Whether the classes of the images are known.
    pub(super) labeled: bool,
}

impl ImageFolder {
    pub(super) fn new(data: FolderData) -> Self {
        let ids = (0..data.images.len()).collect();
        let palette = palette(None, data.shape[0]);
        Self {
            data: Arc::new(data),
            normalization: None,
            palette,
            ids,
        }
    }

    /// Returns the name of the data set: that of the folder.
    pub fn name(&self) -> &str {
        &self.data.name
    }

    /// Returns channels, height and width of an image.
    pub fn shape(&self) -> [usize; 3] {
        self.data.shape
    }

    /// Returns the names of the classes, including those without samples.
    pub fn classes(&self) -> &[String] {
        &self.data.classes
    }

    /// Returns the steps from the file of an image to its pixels.
    pub fn preprocessing(&self) -> Preprocessing {
        Preprocessing {
            channels: Some(self.data.shape[0]),
            ..self.data.preprocessing
        }
    }

    /// Returns the constants that the pixels are normalized by, if they are set.
    pub fn normalization(&self) -> Option<&Normalization> {
        self.normalization.as_ref()
    }

    /// Returns the mean and the standard deviation of each channel over all pixels of these
    /// samples. The standard deviation of a constant channel is 1.
    pub fn measured_normalization(&self) -> Normalization {
        let [channels, height, width] = self.shape();
        let pixels = (self.ids.len() * height * width) as f64;
        let channel = |channel: usize| {
            let images = self.ids.iter().map(|&id| &self.data.images[id]);
            // A gray image has the same pixels in every channel.
            let sums = images.map(|image| image.sums[channel % image.sums.len()]);
            // Whole numbers, so that the order of the samples does not matter.
            let [sum, squares] = sums.fold([0_u128; 2], |[sum, squares], [next, square]| {
                [sum + u128::from(next), squares + u128::from(square)]
            });
            let mean = sum as f64 / pixels;
            let variance = squares as f64 / pixels - mean * mean;
            let std = match variance > 1e-6 {
                true => variance.sqrt(),
                false => 255.0,
            };
            ((mean / 255.0) as f32, (std / 255.0) as f32)
        };
        let (mean, std) = match self.ids.is_empty() {
            true => (vec![0.0; channels], vec![1.0; channels]),
            false => (0..channels).map(channel).unzip(),
        };
        Normalization { mean, std }
    }

    /// Returns the samples, normalized by these constants.
    ///
    /// # Panics
    ///
    /// Panics if there is not one mean and one standard deviation per channel.
    pub fn with_normalization(self, normalization: Normalization) -> Self {
        let channels = self.data.shape[0];
        assert!(
            normalization.mean.len() == channels && normalization.std.len() == channels,
            "The normalization of {channels} channels needs one mean and one standard deviation \
             each, but has {} and {}.",
            normalization.mean.len(),
            normalization.std.len()
        );
        Self {
            palette: palette(Some(&normalization), channels),
            normalization: Some(normalization),
            ..self
        }
    }

    /// Returns the pixels of an image, with the channels of the data set.
    fn pixels(&self, id: usize) -> Result<Pixels<'_>, DataError> {
        let image = &self.data.images[id];
        let expanded = image.shape[0] != self.data.shape[0];
        match &image.pixels {
            Some(pixels) if !expanded => Ok(Pixels::Kept(pixels)),
            Some(pixels) => Ok(Pixels::Own(pixels.repeat(3))),
            None => {
                let read = read_again(image, &self.data.preprocessing)?;
                Ok(Pixels::Own(read.with_channels(self.data.shape[0]).pixels))
            }
        }
    }
}

/// Pixels of an image with the shape of the data set.
enum Pixels<'a> {
    Kept(&'a [u8]),
    Own(Vec<u8>),
}

impl Pixels<'_> {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Kept(pixels) => pixels,
            Self::Own(pixels) => pixels,
        }
    }
}

fn palette(normalization: Option<&Normalization>, channels: usize) -> Arc<Palette> {
    let plain = Normalization {
        mean: vec![0.0; channels],
        std: vec![1.0; channels],
    };
    Arc::new(Palette::of(normalization.unwrap_or(&plain), u8::MAX))
}

impl Samples for ImageFolder {
    type Input = Tensor<4>;
    type Prepared = TensorData;

    fn ids(&self) -> &[usize] {
        &self.ids
    }

    fn published_len(&self) -> usize {
        self.data.images.len()
    }

    fn num_classes(&self) -> usize {
        self.data.classes.len()
    }

    fn label(&self, id: usize) -> usize {
        self.data.images[id].label
    }

    fn is_labeled(&self, _: usize) -> bool {
        self.data.labeled
    }

    fn subset(&self, ids: impl Into<Arc<[usize]>>) -> Self {
        let ids = ids.into();
        assert_published(self.name(), &ids, self.published_len());
        Self {
            ids,
            ..self.clone()
        }
    }

    fn check_views(&self, views: &Views) -> Result<(), DataError> {
        views.check_images(self.shape())
    }

    fn prepare(
        &self,
        shown: &[Vec<ViewedSample>],
        views: &Views,
    ) -> Result<Vec<TensorData>, DataError> {
        // Once for all views of a sample.
        let mut pixels = BTreeMap::new();
        for sample in shown.iter().flatten() {
            if let Entry::Vacant(entry) = pixels.entry(sample.id) {
                entry.insert(self.pixels(sample.id)?);
            }
        }
        let of_id = |id: usize| pixels[&id].as_slice();
        let view = |shown: &Vec<_>| render(self.shape(), of_id, &self.palette, shown, views);
        Ok(shown.iter().map(view).collect())
    }

    fn upload(&self, prepared: TensorData, device: &Device) -> Tensor<4> {
        Tensor::from_data(prepared, device)
    }

    fn layout(&self) -> String {
        format!("{:?} {:?}", self.shape(), self.preprocessing())
    }

    fn feed_sample(&self, id: usize, sink: &mut dyn FnMut(&[u8])) {
        sink(&self.data.images[id].hash);
    }
}

impl fmt::Debug for ImageFolder {
    // Without the images, which may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageFolder")
            .field("name", &self.name())
            .field("shape", &self.shape())
            .field("classes", &self.num_classes())
            .field("samples", &self.len())
            .finish_non_exhaustive()
    }
}
