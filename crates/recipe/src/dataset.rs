//! Data sets of a recipe: images, tables, arrays of numbers or tokens, or the bytes of files.

mod array;
mod prepared;
mod values;

pub use array::ArrayDataset;
pub use prepared::Prepared;

use crate::input::{AnyInput, InputShape};
use burn::tensor::Device;
use burn_distill::data::{
    ByteFolder, ByteWindow, DataError, ImageDataset, ImageFolder, Normalization, Preprocessing,
    Samples, TableDataset, TableEncoding, TrainTestData, ViewedSample, Views,
};
use std::sync::Arc;

/// A data set of a recipe.
#[derive(Clone, Debug)]
pub enum AnyDataset {
    /// Images in memory, one byte per pixel.
    Images(ImageDataset),
    /// Images in memory whose normalization is measured on the training samples.
    MeasuredImages(ImageDataset),
    /// Images in the files of a folder.
    Folder(ImageFolder),
    /// Vectors, sequences of vectors, or sequences of tokens.
    Arrays(ArrayDataset),
    /// Rows of a table, as vectors.
    Table(TableDataset),
    /// Files, the bytes of which are tokens.
    Bytes(ByteFolder),
}

/// Constants that are measured on the training samples, and that all samples are normalized by.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// Mean and standard deviation of each channel of images.
    Channels(Normalization),
    /// Conversion of the columns of a table to features.
    Columns(TableEncoding),
}

/// Evaluates an expression with the data set inside an `AnyDataset`.
macro_rules! of_any {
    ($data:expr, $inside:ident => $result:expr) => {
        match $data {
            AnyDataset::Images($inside) => $result,
            AnyDataset::MeasuredImages($inside) => $result,
            AnyDataset::Folder($inside) => $result,
            AnyDataset::Arrays($inside) => $result,
            AnyDataset::Table($inside) => $result,
            AnyDataset::Bytes($inside) => $result,
        }
    };
}

impl AnyDataset {
    /// Returns the shape of a sample.
    pub fn shape(&self) -> InputShape {
        match self {
            Self::Images(images) | Self::MeasuredImages(images) => {
                InputShape::Image(images.shape())
            }
            Self::Folder(folder) => InputShape::Image(folder.shape()),
            Self::Arrays(arrays) => arrays.shape().clone(),
            Self::Table(table) => InputShape::Vector([table.features()]),
            Self::Bytes(files) => InputShape::Tokens {
                length: files.window().tokens(),
                vocabulary: ByteWindow::VOCABULARY,
            },
        }
    }

    /// Returns the names of the classes, also of those without samples.
    pub fn classes(&self) -> &[String] {
        of_any!(self, data => data.classes())
    }

    /// Returns the normalization of the pixels; none for other samples than images.
    pub fn normalization(&self) -> Option<&Normalization> {
        match self {
            Self::Images(images) | Self::MeasuredImages(images) => Some(images.normalization()),
            Self::Folder(folder) => folder.normalization(),
            Self::Arrays(_) | Self::Table(_) | Self::Bytes(_) => None,
        }
    }

    /// Returns the steps from the file of an image to its pixels, if the samples are such files.
    pub fn preprocessing(&self) -> Option<Preprocessing> {
        match self {
            Self::Folder(folder) => Some(folder.preprocessing()),
            _ => None,
        }
    }

    /// Returns the conversion of the columns of a table to features, if the samples are its rows.
    pub fn encoding(&self) -> Option<&TableEncoding> {
        match self {
            Self::Table(table) => Some(table.encoding()),
            _ => None,
        }
    }

    /// Returns the bytes of a file that are tokens, if the samples are files.
    pub fn window(&self) -> Option<ByteWindow> {
        match self {
            Self::Bytes(files) => Some(files.window()),
            _ => None,
        }
    }

    /// Returns the constants measured on these samples: none if the data set has constants of its
    /// own, or is not normalized.
    ///
    /// # Errors
    ///
    /// Returns an error if a column of numbers has no values in these samples.
    pub fn measured(&self) -> Result<Option<Measured>, DataError> {
        Ok(match self {
            Self::MeasuredImages(images) => {
                Some(Measured::Channels(images.measured_normalization()))
            }
            Self::Folder(folder) if folder.normalization().is_none() => {
                Some(Measured::Channels(folder.measured_normalization()))
            }
            Self::Table(table) => Some(Measured::Columns(table.measured()?)),
            Self::Images(_) | Self::Folder(_) | Self::Arrays(_) | Self::Bytes(_) => None,
        })
    }

    /// Returns the samples, normalized by constants that were [measured](Self::measured) on a part
    /// of the same data set.
    pub fn normalized_by(self, measured: &Measured) -> Self {
        match (self, measured) {
            (Self::MeasuredImages(images), Measured::Channels(normalization)) => {
                Self::MeasuredImages(images.with_normalization(normalization.clone()))
            }
            (Self::Folder(folder), Measured::Channels(normalization))
                if folder.normalization().is_none() =>
            {
                folder.with_normalization(normalization.clone()).into()
            }
            (Self::Table(table), Measured::Columns(encoding)) => {
                table.with_encoding(encoding.clone()).into()
            }
            (other, _) => other,
        }
    }
}

macro_rules! from_inside {
    ($($kind:ident($inside:ty)),* $(,)?) => {$(
        impl From<$inside> for AnyDataset {
            fn from(inside: $inside) -> Self {
                Self::$kind(inside)
            }
        }
    )*};
}

from_inside!(
    Images(ImageDataset),
    Folder(ImageFolder),
    Arrays(ArrayDataset),
    Table(TableDataset),
    Bytes(ByteFolder),
);

/// Creates a data set without a published test set.
impl From<AnyDataset> for TrainTestData<AnyDataset> {
    fn from(train: AnyDataset) -> Self {
        Self {
            train,
            validation: None,
            test: None,
        }
    }
}

/// Creates a data set without a published test set.
impl From<ArrayDataset> for TrainTestData<AnyDataset> {
    fn from(arrays: ArrayDataset) -> Self {
        AnyDataset::from(arrays).into()
    }
}

/// Converts a data set to one of any kind.
pub fn any_published<S: Into<AnyDataset>>(
    published: TrainTestData<S>,
) -> TrainTestData<AnyDataset> {
    TrainTestData {
        train: published.train.into(),
        validation: published.validation.map(Into::into),
        test: published.test.map(Into::into),
    }
}

impl Samples for AnyDataset {
    type Input = AnyInput;
    type Prepared = Prepared;

    fn ids(&self) -> &[usize] {
        of_any!(self, data => data.ids())
    }

    fn published_len(&self) -> usize {
        of_any!(self, data => data.published_len())
    }

    fn num_classes(&self) -> usize {
        of_any!(self, data => data.num_classes())
    }

    fn label(&self, id: usize) -> usize {
        of_any!(self, data => data.label(id))
    }

    fn is_labeled(&self, id: usize) -> bool {
        of_any!(self, data => data.is_labeled(id))
    }

    fn subset(&self, ids: impl Into<Arc<[usize]>>) -> Self {
        match self {
            Self::MeasuredImages(images) => Self::MeasuredImages(images.subset(ids)),
            Self::Images(images) => images.subset(ids).into(),
            Self::Folder(folder) => folder.subset(ids).into(),
            Self::Arrays(arrays) => arrays.subset(ids).into(),
            Self::Table(table) => table.subset(ids).into(),
            Self::Bytes(files) => files.subset(ids).into(),
        }
    }

    fn check_views(&self, views: &Views) -> Result<(), DataError> {
        of_any!(self, data => data.check_views(views))
    }

    fn prepare(
        &self,
        shown: &[Vec<ViewedSample>],
        views: &Views,
    ) -> Result<Vec<Prepared>, DataError> {
        let images = match self {
            Self::Images(images) | Self::MeasuredImages(images) => images.prepare(shown, views)?,
            Self::Folder(folder) => folder.prepare(shown, views)?,
            Self::Arrays(arrays) => return arrays.prepare(shown, views),
            Self::Table(table) => {
                let rows = table.prepare(shown, views)?.into_iter();
                return Ok(rows.map(Prepared::Vectors).collect());
            }
            Self::Bytes(files) => {
                let tokens = files.prepare(shown, views)?.into_iter();
                return Ok(tokens
                    .map(|(ids, mask)| Prepared::Tokens(ids, mask))
                    .collect());
            }
        };
        Ok(images.into_iter().map(Prepared::Images).collect())
    }

    fn upload(&self, prepared: Prepared, device: &Device) -> AnyInput {
        prepared.upload(device)
    }

    fn layout(&self) -> String {
        of_any!(self, data => data.layout())
    }

    fn feed_sample(&self, id: usize, sink: &mut dyn FnMut(&[u8])) {
        of_any!(self, data => data.feed_sample(id, sink));
    }
}

#[cfg(test)]
mod tests;
