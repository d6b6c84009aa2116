use super::classify::Model;
use super::error::ModelError;
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::{AnyInput, InputShape, Tokens};
use burn_distill_data::{ArrayReader, ArraySamples, ArrayValues, ByteWindow, DataError, TableRows};
use std::ops::Range;
use std::path::Path;

/// Samples in a file, prepared as those of the training of a model were.
///
/// | Model | File | Samples |
/// | --- | --- | --- |
/// | of images | an image, such as PNG or JPEG | the image |
/// | of a [table](crate::ModelDescription::table) | CSV, with the columns of the training, with or without the label | the rows |
/// | of the [bytes](crate::ModelDescription::window) of files | any | the file |
/// | of images, vectors, sequences or tokens | `.npy` or `.npz` | the rows of the array, along its first axis |
///
/// [`Model::open`] creates it.
pub struct FileSamples<'a> {
    model: &'a Model,
    samples: Samples,
}

enum Samples {
    Image(Vec<u8>),
    Rows(TableRows),
    Array(ArraySamples),
    Bytes(Vec<u16>),
}

impl Model {
    /// Opens a file with samples, which are prepared as those of the training were.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if it cannot be read or its samples do not fit the model,
    /// with the line and the column, or the position, of the first fault.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<FileSamples<'_>, ModelError> {
        let path = path.as_ref();
        if path.is_dir() {
            return Err(ModelError::Input(format!(
                "{}: this is a folder: give the files in it, such as {}",
                path.display(),
                path.join("*").display()
            )));
        }
        let in_words = |error: DataError| ModelError::Input(error.to_string());
        let description = &self.description;
        let samples = if let Some(window) = description.window {
            Samples::Bytes(window.read(path).map_err(in_words)?)
        } else if let Some(table) = &description.table {
            if ArrayReader::reads(path) {
                return Err(ModelError::Input(format!(
                    "{}: the model takes rows of a table, whose columns it encodes itself, but the \
                     file holds arrays: write them as CSV with the names of the columns",
                    path.display()
                )));
            }
            Samples::Rows(table.read(path).map_err(in_words)?)
        } else if ArrayReader::reads(path) {
            let reader = description.arrays.clone().unwrap_or_default();
            Samples::Array(reader.read(path, &description.input).map_err(in_words)?)
        } else if let InputShape::Image(_) = description.input {
            Samples::Image(self.read_image(path)?)
        } else {
            return Err(ModelError::Input(format!(
                "{}: the model takes {}, which are read from files .npy and .npz",
                path.display(),
                description.input
            )));
        };
        let model = self;
        Ok(FileSamples { model, samples })
    }
}

impl FileSamples<'_> {
    /// Returns the number of samples, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one sample")]
    pub fn len(&self) -> usize {
        match &self.samples {
            Samples::Image(_) | Samples::Bytes(_) => 1,
            Samples::Rows(rows) => rows.len(),
            Samples::Array(array) => array.len(),
        }
    }

    /// Returns whether the samples are rows of the file, as opposed to the file as a whole.
    pub fn are_rows(&self) -> bool {
        matches!(self.samples, Samples::Rows(_) | Samples::Array(_))
    }

    /// Returns the input of the network for some samples.
    ///
    /// # Panics
    ///
    /// Panics if there are no samples in the range, or if one is not below [`len`](Self::len).
    pub fn input(&self, samples: Range<usize>) -> AnyInput {
        assert!(!samples.is_empty(), "There should be at least one sample.");
        let count = samples.len();
        let device = self.model.device();
        match &self.samples {
            Samples::Image(pixels) => self.images(pixels),
            Samples::Rows(rows) => self.numbers(rows.features(samples), count, device),
            Samples::Bytes(tokens) => {
                let ids = tokens.iter().map(|&token| i64::from(token)).collect();
                tokens_of(ids, ByteWindow::mask(tokens).collect(), count, device)
            }
            Samples::Array(array) => match array.values(samples) {
                ArrayValues::Numbers(numbers) => self.numbers(numbers, count, device),
                ArrayValues::Tokens(ids, mask) => tokens_of(ids, mask, count, device),
                ArrayValues::Pixels(pixels) => self.images(pixels),
            },
        }
    }

    fn images(&self, pixels: &[u8]) -> AnyInput {
        let images = self.model.images(pixels);
        images.expect("The pixels are of the shape that the model takes.")
    }

    fn numbers(&self, numbers: Vec<f32>, count: usize, device: &Device) -> AnyInput {
        match self.model.description.input {
            InputShape::Sequence([length, features]) => {
                let data = TensorData::new(numbers, [count, length, features]);
                Tensor::<3>::from_data(data, device).into()
            }
            _ => {
                let features = numbers.len() / count;
                let data = TensorData::new(numbers, [count, features]);
                Tensor::<2>::from_data(data, device).into()
            }
        }
    }
}

fn tokens_of(ids: Vec<i64>, mask: Vec<bool>, count: usize, device: &Device) -> AnyInput {
    let shape = [count, ids.len() / count];
    AnyInput::Tokens(Tokens {
        ids: Tensor::from_data(TensorData::new(ids, shape), device),
        mask: Tensor::from_data(TensorData::new(mask, shape), device),
    })
}
