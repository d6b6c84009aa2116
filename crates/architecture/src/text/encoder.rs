use super::names::original_of_encoder;
use super::{TextEmbeddings, TextEncoderConfig, TextLayer};
use crate::published::checkpoint_of;
use crate::{CheckpointTensor, NetworkError, Plan};
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use burn_distill_core::{MASK_TAP, Network, Response, Tap, TapRecorder, Tokens};

impl TextEncoderConfig {
    /// Creates a [`TextEncoder`].
    ///
    /// # Panics
    ///
    /// Panics with the error of [`plan`](Self::plan), or if the dropout is not a probability below
    /// 1.
    pub fn init(&self, device: &Device) -> TextEncoder {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let layers = 0..self.size.depth;
        TextEncoder {
            embeddings: TextEmbeddings::new(self, device),
            layers: layers.map(|_| TextLayer::new(self, device)).collect(),
            length: self.length,
        }
    }

    /// Lists the layers without creating the network, for sequences of the configured length.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of features is not a multiple of the number of heads, if
    /// there are fewer positions than tokens, or if a size is zero or too large.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        self.check()?;
        let mut plan = Plan::default();
        TextEmbeddings::plan(self, &mut plan);
        for index in 0..self.size.depth {
            TextLayer::plan(&format!("layers.{index}"), self, &mut plan);
        }
        Ok(plan)
    }

    /// Returns the tensors of the network, each with its name in the state dict of `BertModel` or
    /// `DistilBertModel` of transformers and its path here, in the order of the state dict.
    ///
    /// The names have no prefix, as in a state dict of these classes: in that of a class with a
    /// head they begin with `bert.` or `distilbert.`. Two kinds of entries of a state dict have no
    /// counterpart: the `pooler` of `BertModel`, and the numbers `position_ids` of old checkpoints.
    /// In still older checkpoints the scale and the offset of a `LayerNorm` are `gamma` and `beta`
    /// instead of `weight` and `bias`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`plan`](Self::plan).
    pub fn checkpoint(&self) -> Result<Vec<CheckpointTensor>, NetworkError> {
        let family = self.size.family;
        let original = |layer: &str| original_of_encoder(family, layer);
        Ok(checkpoint_of(&self.plan()?, original))
    }
}

/// Text encoder: BERT, DistilBERT, TinyBERT or MiniLM without a classifier.
///
/// Embeddings of the tokens, their positions and the first segment are added and normalized. Layers
/// of attention and two linear layers follow, with a normalization after each residual sum.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `mask` | mask | the mask of the input, true for tokens that are not padding |
/// | `hidden.0` | sequence | the embeddings |
/// | `query.1`, `key.1`, `value.1`, `query.2`, … | sequence | the queries, keys and values of each attention, one head after another |
/// | `attention.1`, `attention.2`, … | attention | `queries · keysᵀ / √(features / heads)`, before the mask and the softmax |
/// | `hidden.1`, `hidden.2`, … | sequence | the tokens after each layer |
///
/// The numbers of the layers are those of `hidden_states` in transformers, of which the first,
/// `hidden.0`, is that of the embeddings. Taps also have values at padding, which losses leave out
/// by the mask. Recipes do so by default; for an objective, it is set by
/// [`with_mask`](burn_distill_core::MultiLayerTerm::with_mask) and
/// [`with_teacher_mask`](burn_distill_core::MultiLayerTerm::with_teacher_mask).
///
/// The response is of [tokens](Response::Tokens), with the last hidden states in place of logits
/// and the mask of the input. It is not a prediction: an encoder without a classifier serves for
/// losses on taps, such as in a distillation before the training for a task.
///
/// All tokens are in the first segment: the embedding of segment 0 is added, and inputs have no
/// segments. Attention leaves out padding as transformers does in evaluation. A sequence without a
/// token attends to all its padding equally, so that its values are finite.
///
/// Embeddings are drawn from N(0, 0.02²), as in transformers. Linear layers are initialized as in
/// burn, uniformly in ±1/√inputs, whose standard deviation is also 0.02 for 768 inputs.
///
/// # Shapes
///
/// - input: tokens and mask `[batch_size, length]`
/// - sequence taps: `[batch_size, length, features]`
/// - attention taps: `[batch_size, heads, length, length]`
/// - response: `[batch_size, length, features]`
///
/// # Panics
///
/// The forward pass panics if there are no sequences, if they are longer than the number of
/// positions, or if the shapes of tokens and mask differ.
///
/// # Reference
///
/// J. Devlin et al., [BERT](https://arxiv.org/abs/1810.04805), NAACL 2019. Values and gradients
/// agree with `BertModel` and `DistilBertModel` of transformers.
#[doc(alias = "BERT")]
#[derive(Module, Debug)]
pub struct TextEncoder {
    /// Embeddings of the tokens.
    pub embeddings: TextEmbeddings,
    /// Layers.
    pub layers: Vec<TextLayer>,
    /// Number of tokens of a sequence in the example of an input.
    pub length: usize,
}

impl TextEncoder {
    /// Returns the hidden states of the last layer and offers the taps.
    pub(super) fn hidden(&self, input: Tokens, taps: &mut TapRecorder) -> Tensor<3> {
        let Tokens { ids, mask } = input;
        self.check_input(&ids.dims(), &mask.dims());
        taps.offer(MASK_TAP, || Tap::Mask(mask.clone()));
        let padding = self.padding(mask);

        let mut tokens = self.embeddings.forward(ids);
        taps.offer("hidden.0", || Tap::Sequence(tokens.clone()));
        for (layer, number) in self.layers.iter().zip(1..) {
            tokens = layer.forward(tokens, &padding, number, taps);
            taps.offer(format!("hidden.{number}"), || Tap::Sequence(tokens.clone()));
        }
        tokens
    }

    fn check_input(&self, ids: &[usize; 2], mask: &[usize; 2]) {
        // The linear layers of burn 0.22.1 read beyond an empty tensor on the CPU.
        assert!(
            ids[0] > 0 && ids[1] > 0,
            "A batch should have at least one sequence, with at least one position, but has {} \
             sequences of {} positions.",
            ids[0],
            ids[1]
        );
        let [positions, _] = self.embeddings.position.weight.dims();
        assert!(
            ids[1] <= positions,
            "A sequence has {} tokens, but the network has embeddings for {positions} positions: \
             cut the sequence, or initialize the network with more `positions`.",
            ids[1]
        );
        assert_eq!(
            ids, mask,
            "The shapes of the tokens and of their mask should be equal."
        );
    }

    /// Returns whether each key is padding, for every head and query.
    fn padding(&self, mask: Tensor<2, Bool>) -> Tensor<4, Bool> {
        let heads = self.layers[0].attention.heads;
        let [batch_size, length] = mask.dims();
        mask.bool_not()
            .unsqueeze_dims::<4>(&[1, 2])
            .expand([batch_size, heads, length, length])
    }
}

impl Network for TextEncoder {
    type Input = Tokens;

    fn forward_tapped(&self, input: Tokens, taps: &mut TapRecorder) -> Response {
        let mask = input.mask.clone();
        Response::Tokens {
            logits: self.hidden(input, taps),
            mask,
        }
    }

    fn example(&self, samples: usize, device: &Device) -> Tokens {
        let shape = [samples, self.length];
        Tokens {
            ids: Tensor::zeros(shape, device),
            mask: Tensor::full(shape, true, device),
        }
    }
}
