use super::own::OwnData;
use crate::dataset::{AnyDataset, ArrayDataset};
use anyhow::{Context, Result, bail, ensure};
use burn_distill::core::{Check, ConfigError, check};
pub use burn_distill::data::ImageLayout;
use burn_distill::data::{
    ImageData, ImageDataset, Normalization, NpzFile, NumpyArray, TrainTestData,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Data in arrays of NumPy, in `.npy` files or `.npz` archives.
///
/// | Array | Inputs |
/// | --- | --- |
/// | `[samples, features]` | vectors |
/// | `[samples, length, features]` | sequences of vectors |
/// | `[samples, channels, height, width]` of the type `uint8`, or another `layout` | images |
/// | `[samples, length]` of integers, with `vocabulary` | tokens |
///
/// Numbers are not normalized; images are normalized by the mean and the standard deviation of the
/// training samples. The labels are integers, `[samples]` or `[samples, 1]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArraysConfig {
    /// File with the samples, and the labels if it is an archive.
    pub arrays: PathBuf,
    /// File with the labels. Default: `arrays`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// File with the samples of the test set. Default: none, or `arrays` with a `test_x_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_arrays: Option<PathBuf>,
    /// File with the labels of the test set. Default: `test_arrays`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<PathBuf>,
    /// Name of the samples in an archive. Default: `x`, or else the first array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_key: Option<String>,
    /// Name of the labels in an archive. Default: `y`, or else the only other array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y_key: Option<String>,
    /// Name of the samples of the test set. Default: `x_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_x_key: Option<String>,
    /// Name of the labels of the test set. Default: `y_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_y_key: Option<String>,
    /// Order of the axes of images, if the samples are images. Default: `nchw` for four axes, unless
    /// only the last one has the length of channels: 1, 3 or 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<ImageLayout>,
    /// Number of different tokens, if the samples are tokens: every token is below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<usize>,
    /// Integer at positions without a token, which may be outside the vocabulary. Default: none, so
    /// that every position holds a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<i64>,
    /// Names of the classes; the labels are then their positions. Default: the different labels,
    /// sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
}

/// Most classes that are found in the labels.
const MOST_CLASSES: usize = 10_000;

impl ArraysConfig {
    /// Creates the configuration of a file, with default values.
    pub fn new(arrays: impl Into<PathBuf>) -> Self {
        Self {
            arrays: arrays.into(),
            labels: None,
            test_arrays: None,
            test_labels: None,
            x_key: None,
            y_key: None,
            test_x_key: None,
            test_y_key: None,
            layout: None,
            vocabulary: None,
            padding: None,
            classes: None,
        }
    }

    /// Reads the samples and the labels of a part.
    fn part(
        &self,
        [arrays, labels]: [&Path; 2],
        [x_key, y_key]: [Option<&str>; 2],
    ) -> Result<(NumpyArray, NumpyArray)> {
        let mut x = Source::open(arrays, "x_key", x_key)?;
        let x_name = x.name(x_key, "x", None)?;
        let samples = x.read(&x_name)?;
        let mut y = Source::open(labels, "y_key", y_key)?;
        let in_x = (labels == arrays).then_some(x_name.as_str());
        let y_name = y.name(y_key, "y", in_x)?;
        let classes = y.read(&y_name)?;
        ensure!(
            classes.samples() == samples.samples(),
            "{} holds {} samples, but {} holds {} labels: there should be one for each sample",
            arrays.display(),
            samples.samples(),
            labels.display(),
            classes.samples()
        );
        Ok((samples, classes))
    }

    /// Returns the files and the keys of the test set, if there is one.
    fn test_part(&self) -> Option<([&Path; 2], [Option<&str>; 2])> {
        if self.test_arrays.is_none() && self.test_x_key.is_none() {
            return None;
        }
        let arrays = self.test_arrays.as_ref().unwrap_or(&self.arrays);
        // Labels in a separate file belong to the samples of the training set.
        let labels = self.test_labels.as_ref().unwrap_or(arrays);
        let x_key = self.test_x_key.as_ref().or(self.x_key.as_ref());
        let y_key = self.test_y_key.as_ref().or(self.y_key.as_ref());
        Some((
            [arrays, labels],
            [x_key, y_key].map(|key| key.map(String::as_str)),
        ))
    }
}

/// A file of one array, or of several with names.
enum Source {
    Array(PathBuf),
    Archive(PathBuf, NpzFile),
}

impl Source {
    fn open(path: &Path, key: &str, name: Option<&str>) -> Result<Self> {
        let extension = path.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("npz") {
            return Ok(Self::Archive(path.into(), NpzFile::open(path)?));
        }
        if let Some(name) = name {
            bail!(
                "{}: `{key}` is `{name}`, but only .npz files hold arrays with names: leave it out",
                path.display()
            );
        }
        Ok(Self::Array(path.into()))
    }

    /// Returns the name of the array to read: the given one, the usual one, or the first one for
    /// samples and the only other one for labels.
    fn name(&self, given: Option<&str>, usual: &str, samples: Option<&str>) -> Result<String> {
        let (path, archive) = match self {
            Self::Archive(path, archive) => (path, archive),
            Self::Array(path) => {
                ensure!(
                    samples.is_none(),
                    "{}: the labels are missing: give them in a separate file by `labels`, or by \
                     `test_labels` for the test set",
                    path.display()
                );
                return Ok(String::new());
            }
        };
        if let Some(given) = given {
            return Ok(given.into());
        }
        let names = archive.names();
        if names.iter().any(|name| name == usual) {
            return Ok(usual.into());
        }
        let quoted: Vec<_> = names
            .iter()
            .map(|name| format!("`{}`", name.escape_debug()))
            .collect();
        let mut others = names
            .into_iter()
            .filter(|name| Some(name.as_str()) != samples);
        match (others.next(), others.next(), samples) {
            (Some(first), _, None) | (Some(first), None, Some(_)) => Ok(first),
            (_, _, _) => bail!(
                "{}: there is no array `{usual}`, and the file holds {}: set `{usual}_key`, or give \
                 the labels in a separate file by `labels`",
                path.display(),
                match quoted.is_empty() {
                    true => "no arrays".into(),
                    false => quoted.join(", "),
                }
            ),
        }
    }

    fn read(&mut self, name: &str) -> Result<NumpyArray> {
        Ok(match self {
            Self::Array(path) => NumpyArray::open(path)?,
            Self::Archive(_, archive) => archive.read(name)?,
        })
    }
}

/// Returns the integers that are the labels.
fn labels(array: &NumpyArray, path: &Path) -> Result<Vec<i64>> {
    let shape = array.shape();
    ensure!(
        shape[1..].iter().all(|&axis| axis == 1),
        "{}: labels should be of the shape [samples], but are of {shape:?}: store the index of each \
         class, for one-hot labels by `y.argmax(axis=1)`",
        path.display()
    );
    ensure!(
        array.is_integer(),
        "{}: labels should be integers, but are floats: convert them by `y.astype('int64')`",
        path.display()
    );
    let labels = (0..array.samples()).flat_map(|sample| array.integers(sample));
    let labels: Option<Vec<_>> = labels.collect();
    labels.with_context(|| {
        format!(
            "{}: a label is larger than the largest signed integer",
            path.display()
        )
    })
}

/// Classes of the training set, with their names.
struct Classes {
    names: Vec<String>,
    values: Vec<i64>,
}

impl Classes {
    fn of(labels: &[i64], given: Option<&[String]>, path: &Path) -> Result<Self> {
        if let Some(names) = given {
            let values = (0..names.len() as i64).collect();
            return Ok(Self {
                names: names.to_vec(),
                values,
            });
        }
        let values: BTreeSet<_> = labels.iter().copied().collect();
        ensure!(
            values.len() >= 2,
            "{}: there should be two classes or more, but all labels are {}",
            path.display(),
            values.first().copied().unwrap_or_default()
        );
        ensure!(
            values.len() <= MOST_CLASSES,
            "{}: there are {} different labels, more than {MOST_CLASSES} classes: give their names \
             by `classes`, if they are classes",
            path.display(),
            values.len()
        );
        Ok(Self {
            names: values.iter().map(i64::to_string).collect(),
            values: values.into_iter().collect(),
        })
    }

    /// Returns the position of the class of each label.
    fn positions(&self, labels: &[i64], path: &Path) -> Result<Vec<usize>> {
        let position = |(sample, label): (usize, &i64)| {
            self.values.binary_search(label).ok().with_context(|| {
                format!(
                    "{}: the label of sample {sample}, counted from 0, is {label}, but the classes \
                     are {}",
                    path.display(),
                    match self.values.len() {
                        count if count <= 12 => format!("{:?}", self.values),
                        count => format!(
                            "{count}, from {} to {}",
                            self.values[0],
                            self.values[count - 1]
                        ),
                    }
                )
            })
        };
        labels.iter().enumerate().map(position).collect()
    }
}

impl ArraysConfig {
    fn dataset(
        &self,
        path: &Path,
        samples: NumpyArray,
        labels: Vec<usize>,
        classes: &[String],
    ) -> Result<AnyDataset> {
        let name = file_name(path);
        if let Some(vocabulary) = self.vocabulary {
            let padding = self.padding;
            let array =
                ArrayDataset::token_array(name, samples, vocabulary, padding, labels, classes);
            return Ok(array?.into());
        }
        let layout = match (self.layout, samples.shape()) {
            (Some(layout), _) => layout,
            (None, [_, axis, _, last]) if !is_channels(*axis) && is_channels(*last) => bail!(
                "{}: images are [samples, channels, height, width], but the array {:?} has {axis} \
                 channels then: set `layout = \"nhwc\"` if its last axis holds the channels, and \
                 `layout = \"nchw\"` if not",
                path.display(),
                samples.shape()
            ),
            (None, [_, _, _, _]) => ImageLayout::Nchw,
            (None, [_, _] | [_, _, _]) => {
                return Ok(ArrayDataset::number_array(name, samples, labels, classes)?.into());
            }
            (None, shape) => bail!(
                "{}: samples should be vectors [samples, features], sequences [samples, length, \
                 features] or images [samples, channels, height, width], but are of the shape \
                 {shape:?}",
                path.display()
            ),
        };
        let (shape, pixels) = layout.pixels(&samples, path)?;
        let images = ImageDataset::new(ImageData {
            name,
            shape,
            pixels,
            max_value: u8::MAX,
            labels,
            classes: classes.to_vec(),
            normalization: Normalization {
                mean: vec![0.0; shape[0]],
                std: vec![1.0; shape[0]],
            },
        });
        Ok(AnyDataset::MeasuredImages(images?))
    }
}

/// Returns whether images usually have this number of channels: gray, RGB, or RGB with transparency.
fn is_channels(axis: usize) -> bool {
    matches!(axis, 1 | 3 | 4)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

impl OwnData for ArraysConfig {
    const KEY: &'static str = "arrays";

    const ABOUT: &'static str = "arrays of NumPy";

    const PATHS: &'static [&'static str] = &["arrays", "labels", "test_arrays", "test_labels"];

    fn name(&self) -> String {
        file_name(&self.arrays)
    }

    fn load(&self) -> Result<TrainTestData<AnyDataset>> {
        let labels_path = self.labels.as_ref().unwrap_or(&self.arrays);
        let keys = [&self.x_key, &self.y_key].map(Option::as_deref);
        let (samples, of_samples) = self.part([&self.arrays, labels_path], keys)?;
        let of_samples = labels(&of_samples, labels_path)?;
        let classes = Classes::of(&of_samples, self.classes.as_deref(), labels_path)?;
        let positions = classes.positions(&of_samples, labels_path)?;
        let train = self.dataset(&self.arrays, samples, positions, &classes.names)?;

        let test = self.test_part().map(|(paths, keys)| {
            let (samples, of_samples) = self.part(paths, keys)?;
            let of_samples = labels(&of_samples, paths[1])?;
            let positions = classes.positions(&of_samples, paths[1])?;
            self.dataset(paths[0], samples, positions, &classes.names)
        });
        Ok(TrainTestData {
            train,
            validation: None,
            test: test.transpose()?,
        })
    }
}

impl Check for ArraysConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let paths = [
            ("arrays", Some(&self.arrays)),
            ("labels", self.labels.as_ref()),
            ("test_arrays", self.test_arrays.as_ref()),
            ("test_labels", self.test_labels.as_ref()),
        ];
        for (key, path) in paths {
            let given = path.is_none_or(|path| !path.as_os_str().is_empty());
            check::ensure(given, key, "the path of a file", "empty")?;
        }
        if let Some(vocabulary) = self.vocabulary {
            check::count_in("vocabulary", vocabulary, 2..=i32::MAX as usize)?;
        }
        check::ensure(
            self.layout.is_none() || self.vocabulary.is_none(),
            "layout",
            "left out with `vocabulary`, which makes the samples tokens",
            "given",
        )?;
        check::ensure(
            self.padding.is_none() || self.vocabulary.is_some(),
            "padding",
            "given together with `vocabulary`, as it is a token",
            "given alone",
        )?;
        let is_test = self.test_part().is_some();
        for (key, given) in [
            ("test_labels", self.test_labels.is_some()),
            ("test_y_key", self.test_y_key.is_some()),
        ] {
            let expected = "given together with `test_arrays` or `test_x_key`";
            check::ensure(is_test || !given, key, expected, "given alone")?;
        }
        // The labels of the training set would be taken for those of the test set.
        let own_labels = self.test_arrays.is_some() || self.labels.is_none();
        check::ensure(
            !is_test || own_labels || self.test_labels.is_some(),
            "test_labels",
            "given, because `labels` are those of the training set",
            "missing",
        )?;
        match &self.classes {
            Some(classes) => check::class_names("classes", classes),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
