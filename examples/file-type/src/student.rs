//! The small network.

use burn::module::Param;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::{
    Embedding, EmbeddingConfig, Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig,
    PaddingConfig1d,
};
use burn::prelude::*;
use burn::tensor::activation::relu;
use burn_distill::core::{Network, Response, Tap, TapRecorder, Tokens};
use burn_distill::data::ByteWindow;

/// Number of features of the embedding of a byte.
const EMBEDDED: usize = 16;

/// Number of neighboring bytes in a position of the convolution.
const GROUP: usize = 4;

/// Number of neighboring positions that share an offset.
const NEIGHBORS: usize = 16;

/// Network of a convolution over groups of bytes and the maximum over all positions.
///
/// ```text
/// x = layer norm of the embeddings of each group, next to each other + offset of the position
/// logits = linear layer of the layer norm of max over positions of relu(convolution of x)
/// ```
#[derive(Module, Debug)]
pub struct Student {
    embedding: Embedding,
    norm: LayerNorm,
    /// Offsets. Shape: `[features, positions / NEIGHBORS]`.
    position: Param<Tensor<2>>,
    conv: Conv1d,
    pooled_norm: LayerNorm,
    output: Linear,
}

impl Student {
    /// Creates a network of this width for a number of classes.
    pub fn new(width: usize, classes: usize, device: &Device) -> Self {
        let features = GROUP * EMBEDDED;
        let positions = ByteWindow::MAGIKA.tokens() / GROUP;
        Self {
            embedding: EmbeddingConfig::new(ByteWindow::VOCABULARY, EMBEDDED).init(device),
            norm: LayerNormConfig::new(features).init(device),
            position: Initializer::Zeros.init([features, positions / NEIGHBORS], device),
            conv: Conv1dConfig::new(features, width, 5)
                .with_stride(2)
                .with_padding(PaddingConfig1d::Explicit(2, 2))
                .init(device),
            pooled_norm: LayerNormConfig::new(width).init(device),
            output: LinearConfig::new(width, classes).init(device),
        }
    }
}

impl Network for Student {
    type Input = Tokens;

    fn forward_tapped(&self, files: Tokens, taps: &mut TapRecorder) -> Response {
        let [files_in_batch, tokens] = files.ids.dims();
        let positions = tokens / GROUP;
        let x = self.embedding.forward(files.ids);
        let x = self
            .norm
            .forward(x.reshape([files_in_batch as i32, positions as i32, -1]));
        let offsets = self.position.val().unsqueeze_dim::<3>(2);
        let offsets = offsets.repeat_dim(2, NEIGHBORS).flatten::<2>(1, 2);
        let x = x.swap_dims(1, 2) + offsets.unsqueeze();
        let x = relu(self.conv.forward(x)).max_dim(2).squeeze_dim::<2>(2);
        taps.offer("pooled", || Tap::Vector(x.clone()));
        self.output.forward(self.pooled_norm.forward(x)).into()
    }

    fn example(&self, samples: usize, device: &Device) -> Tokens {
        let shape = [samples, ByteWindow::MAGIKA.tokens()];
        Tokens {
            ids: Tensor::zeros(shape, device),
            mask: Tensor::full(shape, true, device),
        }
    }
}
