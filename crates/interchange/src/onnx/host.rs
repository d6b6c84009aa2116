use super::images::InputTransform;
use burn::tensor::{Bool, Device, Int, Tensor};
use burn_distill_core::{Input, Tokens};

/// Input of a network in an ONNX file.
pub trait OnnxInput: Input {
    /// Number of axes of the values, with that of the samples.
    const RANK: usize;

    /// Whether the input consists of tokens.
    const TOKENS: bool = false;

    /// Creates an input of zeros with samples of this shape, in which no token is padding.
    fn zeros(samples: usize, sample: &[usize], device: &Device) -> Self;

    /// Prepares the values for the network and copies them to the memory of the host.
    fn into_host(self, transform: &InputTransform) -> HostInput;

    /// Returns the device of the values.
    fn device(&self) -> Device;

    /// Returns the mask, true for tokens that are not padding, if the input consists of tokens.
    fn mask(&self) -> Option<Tensor<2, Bool>> {
        None
    }
}

/// Input in the memory of the host.
#[derive(Clone, Debug)]
pub enum HostInput {
    /// Values of vectors, sequences or images.
    Values {
        /// Values of all samples, one sample after the other.
        values: Vec<f32>,
        /// Shape, with the axis of the samples.
        shape: Vec<usize>,
    },
    /// Sequences of tokens.
    Tokens {
        /// Index of each token in the vocabulary.
        ids: Vec<i64>,
        /// Whether each position holds a token, not padding.
        mask: Vec<bool>,
        /// Number of samples, and length.
        shape: Vec<usize>,
    },
}

impl HostInput {
    /// Returns the shape, with the axis of the samples.
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Self::Values { shape, .. } | Self::Tokens { shape, .. } => shape,
        }
    }
}

macro_rules! input_of_tensor {
    ($($rank:literal),*) => {$(
        impl OnnxInput for Tensor<$rank> {
            const RANK: usize = $rank;

            fn zeros(samples: usize, sample: &[usize], device: &Device) -> Self {
                let mut shape = [samples; $rank];
                shape[1..].copy_from_slice(sample);
                Tensor::zeros(shape, device)
            }

            fn device(&self) -> Device {
                Tensor::device(self).without_autodiff()
            }

            fn into_host(self, transform: &InputTransform) -> HostInput {
                let prepared = transform.apply(self.without_autodiff());
                HostInput::Values {
                    shape: prepared.dims().to_vec(),
                    values: prepared.into_data().iter::<f32>().collect(),
                }
            }
        }
    )*};
}

input_of_tensor!(2, 3, 4);

impl OnnxInput for Tokens {
    const RANK: usize = 2;
    const TOKENS: bool = true;

    fn zeros(samples: usize, sample: &[usize], device: &Device) -> Self {
        let shape = [samples, sample[0]];
        Self {
            ids: Tensor::<2, Int>::zeros(shape, device),
            mask: Tensor::<2, Int>::ones(shape, device).bool(),
        }
    }

    fn device(&self) -> Device {
        self.ids.device().without_autodiff()
    }

    fn into_host(self, _: &InputTransform) -> HostInput {
        HostInput::Tokens {
            shape: self.ids.dims().to_vec(),
            ids: self.ids.into_data().iter::<i64>().collect(),
            mask: self.mask.into_data().iter::<bool>().collect(),
        }
    }

    fn mask(&self) -> Option<Tensor<2, Bool>> {
        Some(self.mask.clone())
    }
}
