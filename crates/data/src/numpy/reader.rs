use super::array::NumpyArray;
use super::layout::ImageLayout;
use super::npz::NpzFile;
use crate::DataError;
use burn_distill_core::InputShape;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;

/// Conversion of arrays in the files of NumPy to the input of a trained network.
///
/// | Input | Array |
/// | --- | --- |
/// | vectors | `[samples, features]` |
/// | sequences of vectors | `[samples, length, features]` |
/// | tokens | `[samples, length]`, integers |
/// | images | `[samples, channels, height, width]`, or another layout, of the type `uint8` |
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArrayReader {
    /// Name of the samples in an archive. Default: `x`, or else the first array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_key: Option<String>,
    /// Order of the axes of images. Default: `nchw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<ImageLayout>,
    /// Integer at positions without a token. Default: none, every position holds a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<i64>,
}

/// Name of the samples in an archive, if no other is given.
const USUAL: &str = "x";

impl ArrayReader {
    /// Returns whether a path is that of a file of NumPy, by its extension `.npy` or `.npz`.
    pub fn reads(path: impl AsRef<Path>) -> bool {
        let extension = path.as_ref().extension();
        extension.is_some_and(|extension| {
            ["npy", "npz"]
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
    }

    /// Reads the samples in a file, for a network that takes inputs of this shape.
    ///
    /// # Errors
    ///
    /// Returns [`DataError::Invalid`] if the array has another shape or type, or a value that no input
    /// may have, and the errors of [`NumpyArray::open`] and [`NpzFile::read`].
    pub fn read(
        &self,
        path: impl AsRef<Path>,
        input: &InputShape,
    ) -> Result<ArraySamples, DataError> {
        let path = path.as_ref();
        let array = self.array(path)?;
        let invalid = |what: String| Err(DataError::Invalid(format!("{}: {what}", path.display())));
        let samples = array.samples();
        let other_shape = |expected: &str| {
            let found = array.shape();
            invalid(format!(
                "the model takes {input}, an array of the shape {expected}, but the array is of the \
                 shape {found:?}"
            ))
        };
        match *input {
            InputShape::Vector([features]) if array.shape() != [samples, features] => {
                other_shape(&format!("[samples, {features}]"))
            }
            InputShape::Sequence([length, features])
                if array.shape() != [samples, length, features] =>
            {
                other_shape(&format!("[samples, {length}, {features}]"))
            }
            InputShape::Tokens { length, .. } if array.shape() != [samples, length] => {
                other_shape(&format!("[samples, {length}]"))
            }
            InputShape::Vector(_) | InputShape::Sequence(_) => match array.first_not_finite() {
                Some((sample, value)) => invalid(format!(
                    "sample {sample}, counted from 0, holds the value {value}: replace it, or leave \
                     the sample out"
                )),
                None => Ok(ArraySamples(Values::Numbers(array))),
            },
            InputShape::Tokens { vocabulary, .. } => {
                if !array.is_integer() {
                    return invalid(
                        "tokens should be integers, but are floats: convert them by \
                         `x.astype('int32')`"
                            .into(),
                    );
                }
                match array.check_tokens(vocabulary, self.padding) {
                    Err(fault) => invalid(format!("{fault}: leave the sample out, or correct it")),
                    Ok(()) => Ok(ArraySamples(Values::Tokens {
                        array,
                        vocabulary,
                        padding: self.padding,
                    })),
                }
            }
            InputShape::Image(shape) => {
                let layout = self.layout.unwrap_or(ImageLayout::Nchw);
                let (found, pixels) = layout.pixels(&array, path)?;
                match found == shape {
                    true => Ok(ArraySamples(Values::Pixels { pixels, shape })),
                    false => invalid(format!(
                        "the model takes images of the shape {shape:?}, but those of the array are \
                         of the shape {found:?}: channels, height, width"
                    )),
                }
            }
        }
    }

    fn array(&self, path: &Path) -> Result<NumpyArray, DataError> {
        let extension = path.extension().unwrap_or_default();
        if !extension.eq_ignore_ascii_case("npz") {
            return NumpyArray::open(path);
        }
        let mut archive = NpzFile::open(path)?;
        let names = archive.names();
        let first = || {
            let has_usual = names.iter().any(|name| name == USUAL);
            let first = names.first().filter(|_| !has_usual);
            first.cloned().unwrap_or(USUAL.into())
        };
        let name = self.x_key.clone().unwrap_or_else(first);
        archive.read(&name)
    }
}

/// Samples in an array without labels, as an [`ArrayReader`] reads them.
#[derive(Clone, Debug)]
pub struct ArraySamples(Values);

#[derive(Clone, Debug)]
enum Values {
    Numbers(NumpyArray),
    Tokens {
        array: NumpyArray,
        vocabulary: usize,
        padding: Option<i64>,
    },
    Pixels {
        pixels: Vec<u8>,
        shape: [usize; 3],
    },
}

/// Values of some samples, one sample after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrayValues<'a> {
    /// Numbers of vectors or sequences of vectors.
    Numbers(Vec<f32>),
    /// Tokens, and whether each position holds one.
    Tokens(Vec<i64>, Vec<bool>),
    /// Pixels of images, as planes of rows.
    Pixels(&'a [u8]),
}

impl ArraySamples {
    /// Returns the number of samples, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one sample")]
    pub fn len(&self) -> usize {
        match &self.0 {
            Values::Numbers(array) | Values::Tokens { array, .. } => array.samples(),
            Values::Pixels { pixels, shape } => pixels.len() / shape.iter().product::<usize>(),
        }
    }

    /// Returns the values of some samples.
    ///
    /// # Panics
    ///
    /// Panics if a sample is not below [`len`](Self::len).
    pub fn values(&self, samples: Range<usize>) -> ArrayValues<'_> {
        match &self.0 {
            Values::Numbers(array) => {
                ArrayValues::Numbers(samples.flat_map(|sample| array.numbers(sample)).collect())
            }
            Values::Tokens {
                array,
                vocabulary,
                padding,
            } => {
                let tokens = samples.flat_map(|sample| array.tokens(sample, *vocabulary, *padding));
                let (ids, mask) = tokens.unzip();
                ArrayValues::Tokens(ids, mask)
            }
            Values::Pixels { pixels, shape } => {
                let size = shape.iter().product::<usize>();
                ArrayValues::Pixels(&pixels[samples.start * size..samples.end * size])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;
    use tempfile::TempDir;

    /// Writes an `.npy` file of these bytes.
    fn npy(folder: &TempDir, element: &str, shape: &str, content: &[u8]) -> PathBuf {
        let header =
            format!("{{'descr': '{element}', 'fortran_order': False, 'shape': ({shape})}}\n");
        let length = (header.len() as u16).to_le_bytes();
        let path = folder.path().join("x.npy");
        let parts = [
            b"\x93NUMPY\x01\x00",
            &length[..],
            header.as_bytes(),
            content,
        ];
        fs::write(&path, parts.concat()).unwrap();
        path
    }

    const TOKENS: InputShape = InputShape::Tokens {
        length: 3,
        vocabulary: 5,
    };

    #[test]
    fn the_samples_of_each_kind_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let reader = ArrayReader {
            padding: Some(-1),
            layout: Some(ImageLayout::Nhwc),
            ..ArrayReader::default()
        };
        let path = npy(&folder, "|i1", "2,3", &[1, 4, 0xff, 2, 0, 3]);
        let tokens = reader.read(&path, &TOKENS).unwrap();
        assert_eq!(tokens.len(), 2);
        assert_eq!(
            tokens.values(0..2),
            ArrayValues::Tokens(
                vec![1, 4, 0, 2, 0, 3],
                vec![true, true, false, true, true, true]
            )
        );
        let vectors = reader.read(&path, &InputShape::Vector([3])).unwrap();
        let second = ArrayValues::Numbers(vec![2.0, 0.0, 3.0]);
        assert_eq!(vectors.values(1..2), second);

        let path = npy(&folder, "|u1", "2,1,2,3", &(0..12).collect::<Vec<_>>());
        let images = reader.read(&path, &InputShape::Image([3, 1, 2])).unwrap();
        assert_eq!(images.len(), 2);
        assert_eq!(
            images.values(1..2),
            ArrayValues::Pixels(&[6, 9, 7, 10, 8, 11])
        );
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |reader: &ArrayReader, path: &Path, input: &InputShape| {
            let message = reader.read(path, input).unwrap_err().to_string();
            message[message.find("x.npy").expect("the file is named")..].to_string()
        };
        let reader = ArrayReader::default();
        let path = npy(&folder, "|i1", "2,3", &[1, 4, 0xff, 2, 0, 3]);
        assert_eq!(
            refusal(&reader, &path, &InputShape::Vector([4])),
            "x.npy: the model takes vectors of 4 features, an array of the shape [samples, 4], but \
             the array is of the shape [2, 3]"
        );
        assert_eq!(
            refusal(&reader, &path, &TOKENS),
            "x.npy: sample 0, counted from 0, holds the token -1, but tokens are from 0 to 4: leave \
             the sample out, or correct it"
        );
        let path = npy(&folder, "|i1", "1,3", &[0xff; 3]);
        let padded = ArrayReader {
            padding: Some(-1),
            ..ArrayReader::default()
        };
        assert!(refusal(&padded, &path, &TOKENS).contains("holds padding only"));
        assert!(refusal(&reader, &path, &InputShape::Image([1, 1, 3])).contains("have 4 axes"),);
        let path = npy(&folder, "|u1", "1,3,1,1", &[1; 3]);
        assert!(
            refusal(&reader, &path, &InputShape::Image([1, 1, 3]))
                .contains("takes images of the shape [1, 1, 3], but those of the array are of the"),
        );
        let path = npy(&folder, "<f4", "1,3", &f32::NAN.to_le_bytes().repeat(3));
        assert!(
            refusal(&reader, &path, &InputShape::Vector([3]))
                .contains("sample 0, counted from 0, holds the value NaN"),
        );
        assert!(refusal(&reader, &path, &TOKENS).contains("tokens should be integers"));
    }

    #[test]
    fn files_of_numpy_are_known_by_their_extension() {
        for (path, expected) in [
            ("a.npy", true),
            ("a/b.NPZ", true),
            ("npy", false),
            ("a.csv", false),
        ] {
            assert_eq!(ArrayReader::reads(path), expected, "{path}");
        }
    }
}
