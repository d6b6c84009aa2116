//! Data sets of a recipe: images, or arrays of numbers or tokens.

use crate::input::{AnyInput, InputShape, Tokens};
use anyhow::{Result, bail, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill::data::{
    DataError, ImageDataset, Normalization, Samples, TrainTestData, ViewedSample, Views,
};
use std::fmt;
use std::sync::Arc;

/// A data set of a recipe.
#[derive(Clone, Debug)]
pub enum AnyDataset {
    /// Images, one byte per pixel.
    Images(ImageDataset),
    /// Vectors, sequences of vectors, or sequences of tokens.
    Arrays(ArrayDataset),
}

/// Labeled arrays in memory, all of one shape.
///
/// ```
/// use burn_distill_recipe::{ArrayDataset, InputShape};
///
/// let points = vec![0.0, 1.0, 0.5, -1.0, 2.0, 0.0];
/// let data = ArrayDataset::vectors("points", 2, points, vec![0, 1, 1], ["inner", "outer"])?;
///
/// assert_eq!(data.shape(), &InputShape::Vector([2]));
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone)]
pub struct ArrayDataset {
    data: Arc<ArrayData>,
    ids: Arc<[usize]>,
}

struct ArrayData {
    name: String,
    shape: InputShape,
    values: Values,
    labels: Vec<usize>,
    classes: Vec<String>,
}

/// Values of all samples, one after the other.
enum Values {
    Numbers(Vec<f32>),
    Tokens { ids: Vec<i64>, mask: Vec<bool> },
}

impl ArrayDataset {
    /// Creates a data set of vectors, such as the rows of a table, one after the other.
    ///
    /// # Errors
    ///
    /// Returns an error if sizes disagree, if a label is not the index of a class, or if a value is
    /// NaN or infinite.
    pub fn vectors<C: Into<String>>(
        name: impl Into<String>,
        features: usize,
        values: Vec<f32>,
        labels: Vec<usize>,
        classes: impl IntoIterator<Item = C>,
    ) -> Result<Self> {
        let shape = InputShape::Vector([features]);
        Self::new(name.into(), shape, Values::Numbers(values), labels, classes)
    }

    /// Creates a data set of sequences of vectors, one sequence after the other; `shape` is the
    /// length of a sequence and the features of a vector.
    ///
    /// # Errors
    ///
    /// Returns an error if sizes disagree, if a label is not the index of a class, or if a value is
    /// NaN or infinite.
    pub fn sequences<C: Into<String>>(
        name: impl Into<String>,
        shape: [usize; 2],
        values: Vec<f32>,
        labels: Vec<usize>,
        classes: impl IntoIterator<Item = C>,
    ) -> Result<Self> {
        let shape = InputShape::Sequence(shape);
        Self::new(name.into(), shape, Values::Numbers(values), labels, classes)
    }

    /// Creates a data set of sequences of tokens out of a vocabulary, which are padded to the
    /// longest.
    ///
    /// # Errors
    ///
    /// Returns an error if a token is not below the size of the vocabulary, if there are no tokens,
    /// if the numbers of sequences and labels differ, or if a label is not the index of a class.
    pub fn tokens<C: Into<String>>(
        name: impl Into<String>,
        vocabulary: usize,
        sequences: &[Vec<usize>],
        labels: Vec<usize>,
        classes: impl IntoIterator<Item = C>,
    ) -> Result<Self> {
        let name = name.into();
        let length = sequences.iter().map(Vec::len).max().unwrap_or_default();
        let mut ids = Vec::with_capacity(sequences.len() * length);
        let mut mask = Vec::with_capacity(sequences.len() * length);
        for sequence in sequences {
            if let Some(token) = sequence.iter().find(|&&token| token >= vocabulary) {
                bail!(
                    "{name}: token {token} is not below the size of the vocabulary, {vocabulary}"
                );
            }
            let padding = length - sequence.len();
            ids.extend(sequence.iter().map(|&token| token as i64));
            ids.extend(std::iter::repeat_n(0, padding));
            mask.extend(std::iter::repeat_n(true, sequence.len()));
            mask.extend(std::iter::repeat_n(false, padding));
        }
        let shape = InputShape::Tokens { length, vocabulary };
        Self::new(name, shape, Values::Tokens { ids, mask }, labels, classes)
    }

    fn new<C: Into<String>>(
        name: String,
        shape: InputShape,
        values: Values,
        labels: Vec<usize>,
        classes: impl IntoIterator<Item = C>,
    ) -> Result<Self> {
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        let (size, numbers) = (size_of(&shape), values.len());
        ensure!(
            size > 0 && labels.len().checked_mul(size) == Some(numbers),
            "{name}: {} labels and {numbers} numbers do not make {shape}",
            labels.len()
        );
        if let Some(label) = labels.iter().find(|&&label| label >= classes.len()) {
            bail!(
                "{name}: label {label} is not below the number of classes, {}",
                classes.len()
            );
        }
        if let Values::Numbers(values) = &values
            && let Some(place) = values.iter().position(|value| !value.is_finite())
        {
            bail!(
                "{name}: the data set holds the value {} in sample {}, counted from 0, and a network \
                 cannot be trained on values that are NaN or infinite: replace the value, or leave the \
                 sample out",
                values[place],
                place / size
            );
        }
        Ok(Self {
            ids: (0..labels.len()).collect(),
            data: Arc::new(ArrayData {
                name,
                shape,
                values,
                labels,
                classes,
            }),
        })
    }

    /// Returns the shape of a sample.
    pub fn shape(&self) -> &InputShape {
        &self.data.shape
    }
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Tokens { ids, .. } => ids.len(),
        }
    }
}

/// Returns the number of values or tokens in a sample.
fn size_of(shape: &InputShape) -> usize {
    match shape {
        InputShape::Image(shape) => shape.iter().product(),
        InputShape::Sequence(shape) => shape.iter().product(),
        InputShape::Vector([features]) => *features,
        InputShape::Tokens { length, .. } => *length,
    }
}

impl fmt::Debug for ArrayDataset {
    // Without the values, of which there may be millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayDataset")
            .field("name", &self.data.name)
            .field("shape", &self.data.shape)
            .field("classes", &self.data.classes.len())
            .field("samples", &self.ids.len())
            .finish_non_exhaustive()
    }
}

/// View of some samples, in host memory.
pub enum Prepared {
    /// Images.
    Images(TensorData),
    /// Vectors.
    Vectors(TensorData),
    /// Sequences of vectors.
    Sequences(TensorData),
    /// Ids of tokens, and the mask of the positions that hold a token.
    Tokens(TensorData, TensorData),
}

impl AnyDataset {
    /// Returns the shape of a sample.
    pub fn shape(&self) -> InputShape {
        match self {
            Self::Images(images) => InputShape::Image(images.shape()),
            Self::Arrays(arrays) => arrays.data.shape.clone(),
        }
    }

    /// Returns the names of the classes, also of those without samples.
    pub fn classes(&self) -> &[String] {
        match self {
            Self::Images(images) => images.classes(),
            Self::Arrays(arrays) => &arrays.data.classes,
        }
    }

    /// Returns the normalization of the pixels; none for arrays, which are not normalized.
    pub fn normalization(&self) -> Option<&Normalization> {
        match self {
            Self::Images(images) => Some(images.normalization()),
            Self::Arrays(_) => None,
        }
    }
}

impl From<ImageDataset> for AnyDataset {
    fn from(images: ImageDataset) -> Self {
        Self::Images(images)
    }
}

impl From<ArrayDataset> for AnyDataset {
    fn from(arrays: ArrayDataset) -> Self {
        Self::Arrays(arrays)
    }
}

/// Creates a data set without a published test set.
impl From<AnyDataset> for TrainTestData<AnyDataset> {
    fn from(train: AnyDataset) -> Self {
        Self { train, test: None }
    }
}

/// Creates a data set without a published test set.
impl From<ArrayDataset> for TrainTestData<AnyDataset> {
    fn from(arrays: ArrayDataset) -> Self {
        AnyDataset::from(arrays).into()
    }
}

/// Converts a data set of images to one of any kind.
pub fn any_published(published: TrainTestData) -> TrainTestData<AnyDataset> {
    TrainTestData {
        train: published.train.into(),
        test: published.test.map(AnyDataset::from),
    }
}

impl Samples for AnyDataset {
    type Input = AnyInput;
    type Prepared = Prepared;

    fn ids(&self) -> &[usize] {
        match self {
            Self::Images(images) => images.ids(),
            Self::Arrays(arrays) => &arrays.ids,
        }
    }

    fn published_len(&self) -> usize {
        match self {
            Self::Images(images) => images.published_len(),
            Self::Arrays(arrays) => arrays.data.labels.len(),
        }
    }

    fn num_classes(&self) -> usize {
        self.classes().len()
    }

    fn label(&self, id: usize) -> usize {
        match self {
            Self::Images(images) => images.label(id),
            Self::Arrays(arrays) => arrays.data.labels[id],
        }
    }

    fn subset(&self, ids: impl Into<Arc<[usize]>>) -> Self {
        match self {
            Self::Images(images) => images.subset(ids).into(),
            Self::Arrays(arrays) => {
                let ids = ids.into();
                let (published, name) = (arrays.data.labels.len(), &arrays.data.name);
                if let Some(id) = ids.iter().find(|&&id| id >= published) {
                    panic!("{name} has {published} samples, but none with id {id}.");
                }
                let data = arrays.data.clone();
                ArrayDataset { data, ids }.into()
            }
        }
    }

    fn check_views(&self, views: &Views) -> Result<(), DataError> {
        match self {
            Self::Images(images) => images.check_views(views),
            Self::Arrays(_) if views.are_plain() => Ok(()),
            Self::Arrays(arrays) => Err(DataError::Invalid(format!(
                "only images can be cropped, flipped and changed at random, and the samples of {} are \
                 {}: leave out the augmentation",
                arrays.data.name, arrays.data.shape
            ))),
        }
    }

    fn prepare(&self, shown: &[ViewedSample], views: &Views) -> Prepared {
        let arrays = match self {
            Self::Images(images) => return Prepared::Images(images.prepare(shown, views)),
            Self::Arrays(arrays) => arrays,
        };
        let ArrayData { shape, values, .. } = &*arrays.data;
        let size = size_of(shape);
        let of_sample = |shown: &ViewedSample| shown.id * size..(shown.id + 1) * size;
        match (shape, values) {
            (InputShape::Vector(_), Values::Numbers(values)) => {
                let shape = [shown.len(), size];
                Prepared::Vectors(gathered(values, shown, of_sample, shape))
            }
            (InputShape::Sequence([length, features]), Values::Numbers(values)) => {
                let shape = [shown.len(), *length, *features];
                Prepared::Sequences(gathered(values, shown, of_sample, shape))
            }
            (_, Values::Tokens { ids, mask }) => {
                let shape = [shown.len(), size];
                Prepared::Tokens(
                    gathered(ids, shown, of_sample, shape),
                    gathered(mask, shown, of_sample, shape),
                )
            }
            (shape, Values::Numbers(_)) => unreachable!("numbers do not make {shape}"),
        }
    }

    fn upload(&self, prepared: Prepared, device: &Device) -> AnyInput {
        match prepared {
            Prepared::Images(data) => AnyInput::Images(Tensor::from_data(data, device)),
            Prepared::Vectors(data) => AnyInput::Vectors(Tensor::from_data(data, device)),
            Prepared::Sequences(data) => AnyInput::Sequences(Tensor::from_data(data, device)),
            Prepared::Tokens(ids, mask) => AnyInput::Tokens(Tokens {
                ids: Tensor::from_data(ids, device),
                mask: Tensor::from_data(mask, device),
            }),
        }
    }

    fn feed(&self, sink: &mut dyn FnMut(&[u8])) {
        let arrays = match self {
            Self::Images(images) => return images.feed(sink),
            Self::Arrays(arrays) => arrays,
        };
        let ArrayData {
            shape,
            values,
            labels,
            ..
        } = &*arrays.data;
        let size = size_of(shape);
        sink(format!("{shape} {}\n", arrays.ids.len()).as_bytes());
        for &id in &*arrays.ids {
            sink(&(labels[id] as u64).to_le_bytes());
            for at in id * size..(id + 1) * size {
                match values {
                    Values::Numbers(values) => sink(&values[at].to_le_bytes()),
                    Values::Tokens { ids, mask } => {
                        sink(&ids[at].to_le_bytes());
                        sink(&[u8::from(mask[at])]);
                    }
                }
            }
        }
    }
}

/// Returns the values of some samples, one after the other.
fn gathered<T: burn::tensor::Element, const D: usize>(
    values: &[T],
    shown: &[ViewedSample],
    of_sample: impl Fn(&ViewedSample) -> std::ops::Range<usize>,
    shape: [usize; D],
) -> TensorData {
    let parts = shown.iter().map(|shown| &values[of_sample(shown)]);
    TensorData::new(parts.collect::<Vec<_>>().concat(), shape)
}

#[cfg(test)]
mod tests;
