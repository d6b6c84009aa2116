use crate::input::{AnyInput, Tokens};
use burn::tensor::{Device, Tensor, TensorData};

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

impl Prepared {
    /// Uploads the view to a device.
    pub(super) fn upload(self, device: &Device) -> AnyInput {
        match self {
            Self::Images(data) => AnyInput::Images(Tensor::from_data(data, device)),
            Self::Vectors(data) => AnyInput::Vectors(Tensor::from_data(data, device)),
            Self::Sequences(data) => AnyInput::Sequences(Tensor::from_data(data, device)),
            Self::Tokens(ids, mask) => AnyInput::Tokens(Tokens {
                ids: Tensor::from_data(ids, device),
                mask: Tensor::from_data(mask, device),
            }),
        }
    }
}
