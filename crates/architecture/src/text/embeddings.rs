use super::layer::norm;
use super::{TextEncoderConfig, TextFamily};
use crate::Plan;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Embedding, EmbeddingConfig, Initializer, LayerNorm};
use burn::tensor::{Device, Int, Tensor};

/// Number of segments of BERT's inputs, of which all tokens are in the first.
const SEGMENTS: usize = 2;

/// Embeddings of tokens: the sum of the embeddings of the token, of its position and of its segment,
/// normalized, with dropout.
///
/// All tokens are in the first segment, whose index is 0.
#[derive(Module, Debug)]
pub struct TextEmbeddings {
    /// Embedding of each token of the vocabulary.
    pub word: Embedding,
    /// Embedding of each position.
    pub position: Embedding,
    /// Embeddings of the two segments, which DistilBERT does not have.
    pub segment: Option<Embedding>,
    /// Normalization of the sum.
    pub norm: LayerNorm,
    /// Dropout after the normalization.
    pub dropout: Dropout,
}

impl TextEmbeddings {
    pub(super) fn new(config: &TextEncoderConfig, device: &Device) -> Self {
        let features = config.size.features;
        // As in transformers. The normalization of the sum makes the scale irrelevant for the
        // output, but the smaller it is, the faster the embeddings learn.
        let initializer = Initializer::Normal {
            mean: 0.0,
            std: 0.02,
        };
        let table = |vectors| {
            EmbeddingConfig::new(vectors, features)
                .with_initializer(initializer.clone())
                .init(device)
        };
        Self {
            word: table(config.vocabulary),
            position: table(config.positions()),
            segment: (config.size.family == TextFamily::Bert).then(|| table(SEGMENTS)),
            norm: norm(features, device),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    pub(super) fn plan(config: &TextEncoderConfig, plan: &mut Plan) {
        let features = config.size.features;
        let mut table = |name, vectors| {
            plan.embeddings(format!("embeddings.{name}.weight"), &[vectors, features]);
        };
        table("word", config.vocabulary);
        table("position", config.positions());
        if config.size.family == TextFamily::Bert {
            table("segment", SEGMENTS);
        }
        plan.norm_tokens("embeddings.norm", [config.length, features]);
    }

    /// Returns the embeddings of tokens. From `[batch_size, length]` to `[batch_size, length,
    /// features]`.
    pub(super) fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [_, length] = ids.dims();
        let rows = |table: &Embedding, count| table.weight.val().narrow(0, 0, count).unsqueeze();
        let mut sum = self.word.forward(ids);
        if let Some(segment) = &self.segment {
            sum = sum.add(rows(segment, 1));
        }
        let sum = sum.add(rows(&self.position, length));
        self.dropout.forward(self.norm.forward(sum))
    }
}
