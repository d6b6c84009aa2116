use super::prepared::Prepared;
use super::values::Values;
use crate::input::{AnyInput, InputShape};
use anyhow::{Result, anyhow, bail, ensure};
use burn::tensor::Device;
use burn_distill::data::{DataError, NumpyArray, Samples, ViewedSample, Views};
use std::fmt;
use std::sync::Arc;

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

    /// Creates a data set of vectors or sequences of vectors from an array of NumPy, of the shape
    /// `[samples, features]` or `[samples, length, features]`, which is not copied.
    ///
    /// # Errors
    ///
    /// Returns an error if the array is of another shape, and for the reasons of
    /// [`vectors`](Self::vectors).
    pub fn number_array<C: Into<String>>(
        name: impl Into<String>,
        array: NumpyArray,
        labels: Vec<usize>,
        classes: impl IntoIterator<Item = C>,
    ) -> Result<Self> {
        let name = name.into();
        let shape = match *array.shape() {
            [_, features] => InputShape::Vector([features]),
            [_, length, features] => InputShape::Sequence([length, features]),
            ref shape => bail!(
                "{name}: numbers should be of the shape [samples, features] or [samples, length, \
                 features], but are of {shape:?}"
            ),
        };
        Self::new(name, shape, Values::NumberArray(array), labels, classes)
    }

    /// Creates a data set of sequences of tokens from an array of integers of NumPy, of the shape
    /// `[samples, length]`, which is not copied. `padding` stands where there is no token, and may
    /// be outside the vocabulary.
    ///
    /// # Errors
    ///
    /// Returns an error if the array is of another shape or type, if a sample holds padding only,
    /// and for the reasons of [`tokens`](Self::tokens).
    pub fn token_array<C: Into<String>>(
        name: impl Into<String>,
        array: NumpyArray,
        vocabulary: usize,
        padding: Option<i64>,
        labels: Vec<usize>,
        classes: impl IntoIterator<Item = C>,
    ) -> Result<Self> {
        let name = name.into();
        let &[_, length] = array.shape() else {
            bail!(
                "{name}: tokens should be of the shape [samples, length], but are of {:?}",
                array.shape()
            );
        };
        ensure!(
            array.is_integer(),
            "{name}: tokens should be integers, but are floats: convert them by \
             `x.astype('int32')`"
        );
        let shape = InputShape::Tokens { length, vocabulary };
        let values = Values::TokenArray {
            ids: array,
            padding,
        };
        Self::new(name, shape, values, labels, classes)
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
        values
            .check(&shape, size)
            .map_err(|error| anyhow!("{name}: {error}"))?;
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

    /// Returns the names of the classes, also of those without samples.
    pub fn classes(&self) -> &[String] {
        &self.data.classes
    }

    /// Returns a view of some samples.
    fn view(&self, shown: &[ViewedSample]) -> Prepared {
        let ArrayData { shape, values, .. } = &*self.data;
        let (samples, size) = (shown.len(), size_of(shape));
        match *shape {
            InputShape::Vector([features]) => {
                Prepared::Vectors(values.numbers(shown, size, [samples, features]))
            }
            InputShape::Sequence([length, features]) => {
                Prepared::Sequences(values.numbers(shown, size, [samples, length, features]))
            }
            InputShape::Tokens { vocabulary, .. } => {
                let (ids, mask) = values.tokens(shown, size, vocabulary);
                Prepared::Tokens(ids, mask)
            }
            InputShape::Image(_) => unreachable!("images are not arrays"),
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

impl Samples for ArrayDataset {
    type Input = AnyInput;
    type Prepared = Prepared;

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
        let ids = ids.into();
        let (published, name) = (self.published_len(), &self.data.name);
        if let Some(id) = ids.iter().find(|&&id| id >= published) {
            panic!("{name} has {published} samples, but none with id {id}.");
        }
        let data = self.data.clone();
        Self { data, ids }
    }

    fn check_views(&self, views: &Views) -> Result<(), DataError> {
        views.check_plain(&self.data.name, &self.data.shape)
    }

    fn prepare(&self, shown: &[Vec<ViewedSample>], _: &Views) -> Result<Vec<Prepared>, DataError> {
        Ok(shown.iter().map(|shown| self.view(shown)).collect())
    }

    fn upload(&self, prepared: Prepared, device: &Device) -> AnyInput {
        prepared.upload(device)
    }

    fn layout(&self) -> String {
        self.data.shape.to_string()
    }

    fn feed_sample(&self, id: usize, sink: &mut dyn FnMut(&[u8])) {
        self.data.values.feed(id, size_of(&self.data.shape), sink);
    }
}
