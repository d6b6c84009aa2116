use crate::Plan;
use burn::module::Module;
use burn::nn::{LayerNorm, Linear, LinearConfig};
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Tap, TapRecorder};

/// Ratio of the features between the two linear layers of a block to the features of a token.
const EXPANSION: usize = 4;

/// A block of a vision transformer, whose attention `A` is [`SelfAttention`] or [`FusedAttention`].
///
/// ```text
/// x + attention(norm1(x)), then x + fc2(gelu(fc1(norm2(x))))
/// ```
#[derive(Module, Debug)]
pub struct TransformerBlock<A> {
    /// Normalization before the attention.
    pub norm1: LayerNorm,
    /// Self-attention.
    pub attention: A,
    /// Normalization before the linear layers.
    pub norm2: LayerNorm,
    /// First linear layer, whose output has four times the features of a token.
    pub fc1: Linear,
    /// Second linear layer.
    pub fc2: Linear,
}

/// Self-attention of a [`TransformerBlock`].
pub(crate) trait Attention: Module {
    /// Lists the layers of an attention of `[length, features]`.
    fn plan(name: &str, tokens: [usize; 2], plan: &mut Plan);

    /// Computes the attention of the block with the given number, from `[batch_size, length,
    /// features]` to the same.
    fn forward(&self, tokens: Tensor<3>, number: usize, taps: &mut TapRecorder) -> Tensor<3>;
}

impl<A> TransformerBlock<A> {
    /// Creates a block for tokens of `features` from functions that create its layers.
    pub(crate) fn new(
        features: usize,
        attention: A,
        norm: impl Fn() -> LayerNorm,
        linear: impl Fn([usize; 2]) -> Linear,
    ) -> Self {
        let wide = EXPANSION * features;
        Self {
            norm1: norm(),
            attention,
            norm2: norm(),
            fc1: linear([features, wide]),
            fc2: linear([wide, features]),
        }
    }

    pub(crate) fn plan(name: &str, tokens: [usize; 2], plan: &mut Plan)
    where
        A: Attention,
    {
        let [length, features] = tokens;
        plan.norm_tokens(format!("{name}.norm1"), tokens);
        A::plan(&format!("{name}.attention"), tokens, plan);
        plan.norm_tokens(format!("{name}.norm2"), tokens);
        let wide = EXPANSION * features;
        plan.linear_tokens(format!("{name}.fc1"), length, [features, wide]);
        plan.linear_tokens(format!("{name}.fc2"), length, [wide, features]);
    }

    fn forward(&self, tokens: Tensor<3>, number: usize, taps: &mut TapRecorder) -> Tensor<3>
    where
        A: Attention,
    {
        let mixed = self.norm1.forward(tokens.clone());
        let tokens = tokens.add(self.attention.forward(mixed, number, taps));
        let wide = gelu(self.fc1.forward(self.norm2.forward(tokens.clone())));
        tokens.add(self.fc2.forward(wide))
    }
}

/// Runs the blocks of a transformer, and offers the tokens before the first one as `hidden.0` and
/// after each one as `hidden.1`, `hidden.2`, ….
pub(crate) fn run_blocks<A: Attention>(
    blocks: &[TransformerBlock<A>],
    mut tokens: Tensor<3>,
    taps: &mut TapRecorder,
) -> Tensor<3> {
    taps.offer("hidden.0", || Tap::Sequence(tokens.clone()));
    for (block, number) in blocks.iter().zip(1..) {
        tokens = block.forward(tokens, number, taps);
        taps.offer(format!("hidden.{number}"), || Tap::Sequence(tokens.clone()));
    }
    tokens
}

/// Multi-head self-attention with a linear layer each for queries, keys and values.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Linear layer of the queries.
    pub query: Linear,
    /// Linear layer of the keys.
    pub key: Linear,
    /// Linear layer of the values.
    pub value: Linear,
    /// Linear layer of the concatenated heads.
    pub output: Linear,
    /// Number of heads.
    pub heads: usize,
}

impl SelfAttention {
    pub(crate) fn new(features: usize, heads: usize, device: &Device) -> Self {
        let linear = || LinearConfig::new(features, features).init(device);
        Self {
            query: linear(),
            key: linear(),
            value: linear(),
            output: linear(),
            heads,
        }
    }

    /// Computes the attention with weights from the scores, such as their softmax.
    pub(crate) fn forward_weighted(
        &self,
        tokens: Tensor<3>,
        number: usize,
        taps: &mut TapRecorder,
        weights: impl FnOnce(Tensor<4>) -> Tensor<4>,
    ) -> Tensor<3> {
        let layers = [&self.query, &self.key, &self.value];
        let projected = layers.map(|layer| layer.forward(tokens.clone()));
        let mixed = attend(projected, self.heads, number, taps, weights);
        self.output.forward(mixed)
    }
}

impl Attention for SelfAttention {
    fn plan(name: &str, tokens: [usize; 2], plan: &mut Plan) {
        let [length, features] = tokens;
        for layer in ["query", "key", "value"] {
            plan.linear_tokens(format!("{name}.{layer}"), length, [features, features]);
        }
        plan.attention(name, tokens);
        plan.linear_tokens(format!("{name}.output"), length, [features, features]);
    }

    fn forward(&self, tokens: Tensor<3>, number: usize, taps: &mut TapRecorder) -> Tensor<3> {
        self.forward_weighted(tokens, number, taps, |scores| softmax(scores, 3))
    }
}

/// Multi-head self-attention with one linear layer for queries, keys and values.
#[derive(Module, Debug)]
pub struct FusedAttention {
    /// Linear layer to all queries, then all keys, then all values.
    pub qkv: Linear,
    /// Linear layer of the concatenated heads.
    pub output: Linear,
    /// Number of heads.
    pub heads: usize,
}

impl FusedAttention {
    pub(crate) fn new(
        features: usize,
        heads: usize,
        linear: impl Fn([usize; 2]) -> Linear,
    ) -> Self {
        Self {
            qkv: linear([features, 3 * features]),
            output: linear([features, features]),
            heads,
        }
    }
}

impl Attention for FusedAttention {
    fn plan(name: &str, tokens: [usize; 2], plan: &mut Plan) {
        let [length, features] = tokens;
        plan.linear_tokens(format!("{name}.qkv"), length, [features, 3 * features]);
        plan.attention(name, tokens);
        plan.linear_tokens(format!("{name}.output"), length, [features, features]);
    }

    fn forward(&self, tokens: Tensor<3>, number: usize, taps: &mut TapRecorder) -> Tensor<3> {
        let [_, _, features] = tokens.dims();
        let fused = self.qkv.forward(tokens);
        let projected = [0, 1, 2].map(|part| fused.clone().narrow(2, part * features, features));
        let mixed = attend(projected, self.heads, number, taps, |scores| {
            softmax(scores, 3)
        });
        self.output.forward(mixed)
    }
}

/// Computes the values mixed by attention, with weights from the scores, such as their softmax, and
/// offers the queries, keys, values and scores under the number of the block.
///
/// ```text
/// mixed = weights(queries · keysᵀ / √(features / heads)) · values, for each head
/// ```
///
/// # Shapes
///
/// - queries, keys, values, output: `[batch_size, length, features]`
/// - scores: `[batch_size, heads, length, length]`
fn attend(
    projected: [Tensor<3>; 3],
    heads: usize,
    number: usize,
    taps: &mut TapRecorder,
    weights: impl FnOnce(Tensor<4>) -> Tensor<4>,
) -> Tensor<3> {
    let [batch_size, length, features] = projected[0].dims();
    let head = features / heads;
    for (name, projected) in ["query", "key", "value"].into_iter().zip(&projected) {
        taps.offer(format!("{name}.{number}"), || {
            Tap::Sequence(projected.clone())
        });
    }
    let [query, key, value] = projected.map(|projected| {
        projected
            .reshape([batch_size, length, heads, head])
            .swap_dims(1, 2)
    });
    let scores = query
        .matmul(key.swap_dims(2, 3))
        .div_scalar((head as f64).sqrt());
    taps.offer(format!("attention.{number}"), || {
        Tap::Attention(scores.clone())
    });
    let mixed = weights(scores).matmul(value).swap_dims(1, 2);
    mixed.reshape([batch_size, length, features])
}
