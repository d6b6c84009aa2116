use crate::Taps;
use burn::tensor::{Bool, Tensor};
use std::ops::Range;

/// The output of one forward pass: the response and the selected taps.
#[derive(Clone, Debug)]
pub struct Knowledge {
    /// The output of the network.
    pub response: Response,
    /// The selected intermediate results, by name.
    pub taps: Taps,
}

impl Knowledge {
    /// Creates the knowledge of a classifier from its logits, without taps.
    ///
    /// # Shapes
    ///
    /// - logits: `[batch_size, num_classes]`
    pub fn from_logits(logits: Tensor<2>) -> Self {
        Self {
            response: Response::Classes(logits),
            taps: Taps::default(),
        }
    }

    /// Sets the taps, such as `[("layer1", map)]`.
    pub fn with_taps(mut self, taps: impl Into<Taps>) -> Self {
        self.taps = taps.into();
        self
    }

    /// Returns the same values as constants, off the autodiff graph.
    pub fn without_autodiff(self) -> Self {
        Self {
            response: self.response.without_autodiff(),
            taps: self.taps.without_autodiff(),
        }
    }

    /// Returns the knowledge about a range of the samples in the batch.
    ///
    /// # Panics
    ///
    /// Panics if the batch has fewer samples, or if the response is of [boxes](Response::Boxes),
    /// which are not assigned to samples.
    pub fn of_samples(&self, samples: Range<usize>) -> Self {
        Self {
            response: self.response.of_samples(samples.clone()),
            taps: self.taps.of_samples(samples),
        }
    }

    /// Returns the mask of the tokens that count: the tap of that name, or else the mask of the
    /// response.
    pub(crate) fn token_mask(&self, tap: &Option<String>) -> Option<Tensor<2, Bool>> {
        match tap {
            Some(name) => Some(self.taps.expect(name).into_mask()),
            None => self.response.token_mask(),
        }
    }
}

/// The output of a network.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Response {
    /// Class logits. Shape: `[batch_size, num_classes]`.
    Classes(Tensor<2>),
    /// Logits of every token of a sequence.
    Tokens {
        /// Logits over the vocabulary. Shape: `[batch_size, length, vocabulary]`.
        logits: Tensor<3>,
        /// True for the tokens that count, false for padding. Shape: `[batch_size, length]`.
        mask: Tensor<2, Bool>,
    },
    /// Dense maps, such as heat maps. Shape: `[batch_size, channels, height, width]`.
    Maps(Tensor<4>),
    /// Proposals of an object detector.
    Boxes {
        /// Class logits, background included. Shape: `[proposals, num_classes]`.
        logits: Tensor<2>,
        /// Encoded offsets of the boxes. Shape: `[proposals, 4]`.
        deltas: Tensor<2>,
    },
}

/// The logits of a response as rows of one distribution each, with a mask of the rows that count.
///
/// Created by [`Response::rows`].
#[derive(Clone, Debug)]
pub struct Rows {
    /// One row of logits per distribution. Shape: `[rows, num_classes]`.
    pub logits: Tensor<2>,
    /// True for the rows that count; `None` when all do. Shape: `[rows]`.
    pub mask: Option<Tensor<1, Bool>>,
}

impl Response {
    /// Returns the logits as rows of one distribution each: one row per sample, per token of a
    /// sequence, or per proposal of a detector.
    ///
    /// # Panics
    ///
    /// Panics if the response is of maps, which hold no distributions over classes.
    pub fn rows(&self) -> Rows {
        match self {
            Self::Classes(logits) => Rows::all(logits.clone()),
            Self::Tokens { logits, mask } => Rows {
                logits: logits.clone().flatten(0, 1),
                mask: Some(mask.clone().flatten(0, 1)),
            },
            Self::Boxes { logits, .. } => Rows::all(logits.clone()),
            Self::Maps(maps) => panic!(
                "A response of maps with shape {:?} has no rows of logits: use a loss for maps.",
                maps.dims()
            ),
        }
    }

    /// Returns the mask of the tokens that count, if the response is of tokens.
    /// Shape: `[batch_size, length]`.
    pub fn token_mask(&self) -> Option<Tensor<2, Bool>> {
        match self {
            Self::Tokens { mask, .. } => Some(mask.clone()),
            _ => None,
        }
    }

    fn of_samples(&self, samples: Range<usize>) -> Self {
        let (start, count) = (samples.start, samples.len());
        match self.clone() {
            Self::Classes(logits) => Self::Classes(logits.narrow(0, start, count)),
            Self::Tokens { logits, mask } => Self::Tokens {
                logits: logits.narrow(0, start, count),
                mask: mask.narrow(0, start, count),
            },
            Self::Maps(maps) => Self::Maps(maps.narrow(0, start, count)),
            Self::Boxes { logits, .. } => panic!(
                "A response of {} boxes cannot be split by samples, because boxes are not assigned to \
                 samples: use a response of another kind.",
                logits.dims()[0]
            ),
        }
    }

    /// Returns the class logits, if the response is of classes. Shape: `[batch_size, num_classes]`.
    pub fn classes(&self) -> Option<&Tensor<2>> {
        match self {
            Self::Classes(logits) => Some(logits),
            _ => None,
        }
    }

    /// Returns the same values as constants, off the autodiff graph.
    pub fn without_autodiff(self) -> Self {
        match self {
            Self::Classes(logits) => Self::Classes(logits.without_autodiff()),
            Self::Tokens { logits, mask } => Self::Tokens {
                logits: logits.without_autodiff(),
                mask: mask.without_autodiff(),
            },
            Self::Maps(maps) => Self::Maps(maps.without_autodiff()),
            Self::Boxes { logits, deltas } => Self::Boxes {
                logits: logits.without_autodiff(),
                deltas: deltas.without_autodiff(),
            },
        }
    }
}

impl Rows {
    fn all(logits: Tensor<2>) -> Self {
        Self { logits, mask: None }
    }
}

/// Class logits. Shape: `[batch_size, num_classes]`.
impl From<Tensor<2>> for Response {
    fn from(logits: Tensor<2>) -> Self {
        Self::Classes(logits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tap, TapRecorder, TapSelection};
    use burn::tensor::Device;

    #[test]
    fn tokens_become_rows_with_their_mask() {
        let device = Device::default();
        let response = Response::Tokens {
            logits: Tensor::arange(0..12, &device).float().reshape([2, 3, 2]),
            mask: Tensor::from_data([[true, true, false], [true, false, false]], &device),
        };

        let rows = response.rows();

        assert_eq!(rows.logits.dims(), [6, 2]);
        let mask = rows.mask.unwrap().into_data();
        let expected = [true, true, false, true, false, false];
        mask.assert_eq(&expected.into(), false);
    }

    #[test]
    fn samples_of_a_batch_are_selected() {
        let device = Device::default();
        let mut taps = TapRecorder::new(TapSelection::All);
        let pool = Tensor::<2>::from_data([[1.0], [2.0], [3.0]], &device);
        taps.offer("pool", || Tap::Vector(pool.clone()));
        let knowledge = Knowledge {
            response: Response::Classes(pool.mul_scalar(10.0)),
            taps: taps.finish().unwrap(),
        };

        let last = knowledge.of_samples(1..3);

        let logits = last.response.classes().unwrap().clone().into_data();
        logits.assert_eq(&[[20.0_f32], [30.0]].into(), false);
        let pool = last.taps.expect("pool").into_vectors().into_data();
        pool.assert_eq(&[[2.0_f32], [3.0]].into(), false);
    }

    #[test]
    #[should_panic(expected = "A response of 4 boxes cannot be split by samples")]
    fn boxes_cannot_be_split_by_samples() {
        let device = Device::default();
        let response = Response::Boxes {
            logits: Tensor::zeros([4, 3], &device),
            deltas: Tensor::zeros([4, 4], &device),
        };
        response.of_samples(0..1);
    }

    #[test]
    #[should_panic(expected = "has no rows of logits")]
    fn maps_have_no_rows() {
        Response::Maps(Tensor::zeros([1, 2, 3, 3], &Device::default())).rows();
    }
}
