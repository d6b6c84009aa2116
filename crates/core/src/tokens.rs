use crate::impl_input;
use burn::tensor::{Bool, Int, Tensor};

/// Sequences of tokens, padded to one length: the input of a text network.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Index of each token in the vocabulary. Shape: `[samples, length]`.
    pub ids: Tensor<2, Int>,
    /// Whether each position holds a token, not padding. Shape: `[samples, length]`.
    pub mask: Tensor<2, Bool>,
}

impl_input!(Tokens { ids, mask });
