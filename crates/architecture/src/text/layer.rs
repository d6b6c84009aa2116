use super::{TextEncoderConfig, TextFamily};
use crate::{Plan, SelfAttention};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Bool, Device, Tensor};
use burn_distill_core::TapRecorder;

/// Normalization with the epsilon of BERT.
pub(super) fn norm(features: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(features)
        .with_epsilon(1e-12)
        .init(device)
}

/// Layer of a text network, normalized after each residual sum.
///
/// ```text
/// x = norm1(x + attention(x)), then norm2(x + fc2(gelu(fc1(x))))
/// ```
#[derive(Module, Debug)]
pub struct TextLayer {
    /// Self-attention.
    pub attention: SelfAttention,
    /// Normalization after the attention.
    pub norm1: LayerNorm,
    /// First linear layer.
    pub fc1: Linear,
    /// Second linear layer.
    pub fc2: Linear,
    /// Normalization after the linear layers.
    pub norm2: LayerNorm,
    /// Dropout of the attention's weights and of the output of the linear layers.
    pub dropout: Dropout,
    /// Dropout of the output of the attention, which DistilBERT does not have.
    pub attention_dropout: Option<Dropout>,
}

impl TextLayer {
    pub(super) fn new(config: &TextEncoderConfig, device: &Device) -> Self {
        let size = &config.size;
        let (features, wide) = (size.features, size.intermediate);
        let dropout = || DropoutConfig::new(config.dropout).init();
        Self {
            attention: SelfAttention::new(features, size.heads, device),
            norm1: norm(features, device),
            fc1: LinearConfig::new(features, wide).init(device),
            fc2: LinearConfig::new(wide, features).init(device),
            norm2: norm(features, device),
            dropout: dropout(),
            attention_dropout: (size.family == TextFamily::Bert).then(dropout),
        }
    }

    pub(super) fn plan(name: &str, config: &TextEncoderConfig, plan: &mut Plan) {
        let (features, wide) = (config.size.features, config.size.intermediate);
        let (length, tokens) = (config.length, [config.length, features]);
        let linear = |plan: &mut Plan, layer: &str, sizes| {
            plan.linear_tokens(format!("{name}.{layer}"), length, sizes);
        };
        for layer in ["query", "key", "value"] {
            linear(plan, &format!("attention.{layer}"), [features, features]);
        }
        plan.attention(format!("{name}.attention"), tokens);
        linear(plan, "attention.output", [features, features]);
        plan.norm_tokens(format!("{name}.norm1"), tokens);
        linear(plan, "fc1", [features, wide]);
        linear(plan, "fc2", [wide, features]);
        plan.norm_tokens(format!("{name}.norm2"), tokens);
    }

    /// Returns the tokens after the layer.
    ///
    /// # Shapes
    ///
    /// - tokens, output: `[batch_size, length, features]`
    /// - padding: `[batch_size, heads, length, length]`, true where the key is padding
    pub(super) fn forward(
        &self,
        tokens: Tensor<3>,
        padding: &Tensor<4, Bool>,
        number: usize,
        taps: &mut TapRecorder,
    ) -> Tensor<3> {
        let weights = |scores| {
            let weights = softmax(masked(scores, padding.clone()), 3);
            self.dropout.forward(weights)
        };
        let input = tokens.clone();
        let mut mixed = self
            .attention
            .forward_weighted(input, number, taps, weights);
        if let Some(dropout) = &self.attention_dropout {
            mixed = dropout.forward(mixed);
        }
        let tokens = self.norm1.forward(tokens.add(mixed));
        let wide = gelu(self.fc1.forward(tokens.clone()));
        let narrow = self.dropout.forward(self.fc2.forward(wide));
        self.norm2.forward(tokens.add(narrow))
    }
}

/// Replaces the scores of padding by the least number of their precision.
///
/// Adding that number, as transformers does, gives the same in single and double precision: it is
/// so large that the score is lost in it. In half precision the sum may become −∞, and a sequence
/// without a token NaN, so the scores are replaced instead. Such a sequence has equal weights.
pub(super) fn masked(scores: Tensor<4>, padding: Tensor<4, Bool>) -> Tensor<4> {
    let precision = scores.dtype().finfo().expect("scores are floats");
    scores.mask_fill(padding, precision.min)
}
