//! Values of the samples of an array data set.

use crate::input::InputShape;
use anyhow::{Result, anyhow, bail};
use burn::tensor::{Element, TensorData};
use burn_distill::data::{NumpyArray, TokenFault, ViewedSample};

/// Values of all samples, one after the other.
pub(super) enum Values {
    Numbers(Vec<f32>),
    Tokens {
        ids: Vec<i64>,
        mask: Vec<bool>,
    },
    /// Numbers that are converted where they are used.
    NumberArray(NumpyArray),
    /// Tokens that are converted where they are used.
    TokenArray {
        ids: NumpyArray,
        padding: Option<i64>,
    },
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Tokens { ids, .. } => ids.len(),
            Self::NumberArray(array) | Self::TokenArray { ids: array, .. } => {
                array.shape().iter().product()
            }
        }
    }

    /// Checks the values of samples of a shape.
    ///
    /// # Errors
    ///
    /// Returns an error without the name of the data set if a number is not finite, if a token is
    /// not in the vocabulary, or if a sample has no tokens.
    pub fn check(&self, shape: &InputShape, size: usize) -> Result<()> {
        let not_finite = match self {
            Self::Numbers(values) => {
                let place = values.iter().position(|value| !value.is_finite());
                place.map(|place| (place / size, values[place]))
            }
            Self::NumberArray(array) => array.first_not_finite(),
            Self::Tokens { .. } | Self::TokenArray { .. } => None,
        };
        if let Some((sample, value)) = not_finite {
            bail!(
                "the data set holds the value {value} in sample {sample}, counted from 0, and a \
                 network cannot be trained on values that are NaN or infinite: replace the value, \
                 or leave the sample out"
            );
        }
        if let (Self::TokenArray { ids, padding }, InputShape::Tokens { vocabulary, .. }) =
            (self, shape)
        {
            check_tokens(ids, *padding, *vocabulary)?;
        }
        Ok(())
    }

    /// Returns the numbers of some samples.
    ///
    /// # Panics
    ///
    /// Panics if the values are tokens.
    pub fn numbers<const D: usize>(
        &self,
        shown: &[ViewedSample],
        size: usize,
        shape: [usize; D],
    ) -> TensorData {
        match self {
            Self::Numbers(values) => gathered(values, shown, size, shape),
            Self::NumberArray(array) => {
                let mut numbers = Vec::with_capacity(shown.len() * size);
                shown
                    .iter()
                    .for_each(|shown| numbers.extend(array.numbers(shown.id)));
                TensorData::new(numbers, shape)
            }
            Self::Tokens { .. } | Self::TokenArray { .. } => unreachable!("tokens are no numbers"),
        }
    }

    /// Returns the ids of the tokens of some samples, and their mask.
    ///
    /// # Panics
    ///
    /// Panics if the values are numbers.
    pub fn tokens(
        &self,
        shown: &[ViewedSample],
        size: usize,
        vocabulary: usize,
    ) -> (TensorData, TensorData) {
        let shape = [shown.len(), size];
        match self {
            Self::Tokens { ids, mask } => (
                gathered(ids, shown, size, shape),
                gathered(mask, shown, size, shape),
            ),
            Self::TokenArray { ids, padding } => {
                let tokens = || {
                    let samples = shown.iter();
                    samples.flat_map(|shown| ids.tokens(shown.id, vocabulary, *padding))
                };
                let in_vocabulary = tokens().map(|(id, _)| id);
                let mask = tokens().map(|(_, is_token)| is_token);
                (
                    TensorData::new(in_vocabulary.collect::<Vec<_>>(), shape),
                    TensorData::new(mask.collect::<Vec<_>>(), shape),
                )
            }
            Self::Numbers(_) | Self::NumberArray(_) => unreachable!("numbers are no tokens"),
        }
    }

    /// Passes the values of a sample to a function, such as a hash.
    pub fn feed(&self, sample: usize, size: usize, sink: &mut dyn FnMut(&[u8])) {
        let places = sample * size..(sample + 1) * size;
        match self {
            Self::Numbers(values) => {
                values[places]
                    .iter()
                    .for_each(|value| sink(&value.to_le_bytes()));
            }
            Self::NumberArray(array) => {
                array
                    .numbers(sample)
                    .for_each(|value| sink(&value.to_le_bytes()));
            }
            Self::Tokens { ids, mask } => {
                for place in places {
                    sink(&ids[place].to_le_bytes());
                    sink(&[u8::from(mask[place])]);
                }
            }
            Self::TokenArray { ids, padding } => {
                for id in ids.integers(sample).flatten() {
                    sink(&id.to_le_bytes());
                    sink(&[u8::from(Some(id) != *padding)]);
                }
            }
        }
    }
}

fn check_tokens(ids: &NumpyArray, padding: Option<i64>, vocabulary: usize) -> Result<()> {
    ids.check_tokens(vocabulary, padding).map_err(|fault| {
        let hint = match fault {
            TokenFault::Outside { .. } => {
                ", below `vocabulary`: give a larger one, or the token of `padding`"
            }
            TokenFault::PaddingOnly { .. } => {
                ", and a network cannot learn from nothing: leave the sample out"
            }
        };
        anyhow!("{fault}{hint}")
    })
}

/// Returns the values of some samples, one after the other.
fn gathered<T: Element, const D: usize>(
    values: &[T],
    shown: &[ViewedSample],
    size: usize,
    shape: [usize; D],
) -> TensorData {
    let parts = shown
        .iter()
        .map(|shown| &values[shown.id * size..(shown.id + 1) * size]);
    TensorData::new(parts.collect::<Vec<_>>().concat(), shape)
}
