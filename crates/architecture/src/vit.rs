use crate::patches::Patches;
use crate::transformer::run_blocks;
use crate::{NetworkError, Plan, SelfAttention, TransformerBlock, error};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder};

/// Configuration to create a [`VisionTransformer`] using the
/// [init function](VisionTransformerConfig::init).
#[derive(Config, Debug)]
pub struct VisionTransformerConfig {
    /// Number of features of a token, a multiple of the number of heads.
    pub features: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
}

impl VisionTransformerConfig {
    /// Creates a [`VisionTransformer`].
    ///
    /// # Panics
    ///
    /// Panics if the number of features is not a multiple of the number of heads, or if a size is
    /// zero or too large.
    pub fn init(&self, device: &Device) -> VisionTransformer {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let features = self.features;
        let norm = || LayerNormConfig::new(features).init(device);
        let linear =
            |[inputs, outputs]: [usize; 2]| LinearConfig::new(inputs, outputs).init(device);
        let block = |_| {
            let attention = SelfAttention::new(features, self.heads, device);
            TransformerBlock::new(features, attention, norm, linear)
        };
        VisionTransformer {
            embedding: PatchEmbedding::new(features, self.input, device),
            blocks: (0..self.depth).map(block).collect(),
            norm: norm(),
            head: LinearConfig::new(features, self.classes).init(device),
            input: self.input,
        }
    }

    /// Lists the layers without creating the network.
    ///
    /// # Errors
    ///
    /// Returns an error where [`init`](Self::init) would panic.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        self.check()?;
        let mut plan = Plan::default();
        let features = self.features;
        let patches = Patches::of(self.input);
        let length = 1 + patches.count();

        plan.embeddings("embedding.class", &[1, features]);
        plan.embeddings("embedding.position", &[length, features]);
        let embedded = [patches.features(self.input), features];
        plan.linear_tokens("embedding.patch", patches.count(), embedded);
        for index in 0..self.depth {
            let name = format!("blocks.{index}");
            TransformerBlock::<SelfAttention>::plan(&name, [length, features], &mut plan);
        }
        plan.norm_tokens("norm", [1, features]);
        plan.linear("head", [features, self.classes]);
        Ok(plan)
    }

    fn check(&self) -> Result<(), NetworkError> {
        check_sizes(self.features, self.depth, self.heads)?;
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)
    }
}

const KIND: &str = "vision transformer";

pub(crate) fn check_sizes(features: usize, depth: usize, heads: usize) -> Result<(), NetworkError> {
    error::check_widths(&[features])?;
    error::check_depth(KIND, depth)?;
    if !features.is_multiple_of(heads) {
        return Err(NetworkError::Heads { features, heads });
    }
    Ok(())
}

/// Vision transformer (ViT) for small images.
///
/// Every patch of the image is a token, preceded by a class token. Learned position embeddings are
/// added. Pre-normalized blocks of attention and two linear layers follow, then a linear classifier
/// of the class token.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `hidden.0` | sequence | the tokens with their positions |
/// | `query.1`, `key.1`, `value.1`, `query.2`, … | sequence | the queries, keys and values of each attention, one head after another |
/// | `attention.1`, `attention.2`, … | attention | `queries · keysᵀ / √(features / heads)`, before the softmax |
/// | `hidden.1`, `hidden.2`, … | sequence | the tokens after each block: a sum, not normalized |
/// | `pool` | vector | the class token, which is the first, after the last normalization |
///
/// The side of a patch is an eighth of the longer side of the image, rounded up, and at least 2: it
/// is 2 for images of 8 × 8 pixels and 4 for images of 28 × 28 and 32 × 32 pixels. Images whose
/// size is not a multiple of the side are padded with zeros at the right and at the bottom. There
/// is no dropout. The initial position embeddings and class token are drawn from N(0, 1).
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - sequence taps: `[batch_size, 1 + patches, features]`
/// - attention taps: `[batch_size, heads, 1 + patches, 1 + patches]`
/// - `pool`: `[batch_size, features]`
/// - response: `[batch_size, classes]`
///
/// # Panics
///
/// The forward pass panics if the images are not of the configured shape.
///
/// # Reference
///
/// A. Dosovitskiy et al., [An Image is Worth 16x16 Words](https://arxiv.org/abs/2010.11929), ICLR
/// 2021; after A. Vaswani et al., [Attention Is All You Need](https://arxiv.org/abs/1706.03762),
/// NIPS 2017.
#[doc(alias = "ViT")]
#[derive(Module, Debug)]
pub struct VisionTransformer {
    /// Embedding of the patches.
    pub embedding: PatchEmbedding,
    /// Blocks.
    pub blocks: Vec<TransformerBlock<SelfAttention>>,
    /// Normalization after the last block.
    pub norm: LayerNorm,
    /// Classifier.
    pub head: Linear,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

/// Embedding of an image as tokens: one for the class, then one per patch.
#[derive(Module, Debug)]
pub struct PatchEmbedding {
    /// Class token. Shape: `[1, features]`.
    pub class: Param<Tensor<2>>,
    /// Position embedding of each token. Shape: `[1 + patches, features]`.
    pub position: Param<Tensor<2>>,
    /// Linear layer from a patch to its token.
    pub patch: Linear,
}

impl PatchEmbedding {
    fn new(features: usize, input: [usize; 3], device: &Device) -> Self {
        let patches = Patches::of(input);
        // The usual deviation of embeddings. With the 0.02 of large models, small models learn the
        // positions of patches slowly.
        let normal = Initializer::Normal {
            mean: 0.0,
            std: 1.0,
        };
        Self {
            class: normal.init([1, features], device),
            position: normal.init([1 + patches.count(), features], device),
            patch: LinearConfig::new(patches.features(input), features).init(device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let [batch_size, channels, height, width] = images.dims();
        let patches = Patches::of([channels, height, width]).cut(images);
        let patches = self.patch.forward(patches);
        let class = self.class.val().unsqueeze::<3>().repeat_dim(0, batch_size);
        Tensor::cat(vec![class, patches], 1).add(self.position.val().unsqueeze())
    }
}

impl Network for VisionTransformer {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let [channels, height, width] = self.input;
        assert_shape!(input, [_, channels, height, width]);

        let tokens = run_blocks(&self.blocks, self.embedding.forward(input), taps);
        // The normalization is per token, so the other tokens are not needed.
        let class = tokens.narrow(1, 0, 1).squeeze_dim::<2>(1);
        let pool = self.norm.forward(class);
        taps.offer("pool", || Tap::Vector(pool.clone()));
        Response::Classes(self.head.forward(pool))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.input;
        Tensor::zeros([samples, channels, height, width], device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.head.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::activation::{gelu, softmax};
    use burn::tensor::{Distribution, Tolerance};
    use burn_distill_core::{TapSelection, Taps, initialize, known_taps};

    fn network(features: usize, depth: usize, heads: usize) -> VisionTransformer {
        let config = VisionTransformerConfig::new(features, depth, heads, [1, 8, 8], 10);
        initialize(config.init(&Device::default()))
    }

    fn images() -> Tensor<4> {
        Tensor::random([2, 1, 8, 8], Distribution::Default, &Device::default())
    }

    fn sequence(taps: &Taps, name: &str) -> Tensor<3> {
        taps.expect(name).into_sequence()
    }

    #[test]
    fn taps_are_numbered_by_block() {
        let taps = known_taps(&network(6, 2, 3));
        let taps: Vec<_> = taps
            .iter()
            .map(|(name, tap)| (name, tap.kind(), tap.shape().as_slice().to_vec()))
            .collect();

        let tokens = |name| (name, "sequence", vec![2, 17, 6]);
        let attention = |name| (name, "attention", vec![2, 3, 17, 17]);
        assert_eq!(
            taps,
            [
                tokens("hidden.0"),
                tokens("query.1"),
                tokens("key.1"),
                tokens("value.1"),
                attention("attention.1"),
                tokens("hidden.1"),
                tokens("query.2"),
                tokens("key.2"),
                tokens("value.2"),
                attention("attention.2"),
                tokens("hidden.2"),
                ("pool", "vector", vec![2, 6]),
            ]
        );
    }

    #[test]
    fn attention_is_the_product_of_queries_and_keys() {
        let network = network(6, 1, 3);
        let taps = network.forward_knowledge(images(), &TapSelection::All).taps;

        let heads = |name| sequence(&taps, name).reshape([2, 17, 3, 2]).swap_dims(1, 2);
        let product = heads("query.1").matmul(heads("key.1").swap_dims(2, 3));
        let scores = product.div_scalar(2.0_f64.sqrt());

        let tolerance = Tolerance::<f32>::absolute(1e-5);
        let attention = taps.expect("attention.1").into_attention();
        attention
            .clone()
            .into_data()
            .assert_approx_eq::<f32>(&scores.into_data(), tolerance);

        // The rest of the block, computed from the scores and the values, is the next tap.
        let block = &network.blocks[0];
        let mixed = softmax(attention, 3).matmul(heads("value.1"));
        let mixed = mixed.swap_dims(1, 2).reshape([2, 17, 6]);
        let tokens = sequence(&taps, "hidden.0").add(block.attention.output.forward(mixed));
        let wide = gelu(block.fc1.forward(block.norm2.forward(tokens.clone())));
        sequence(&taps, "hidden.1")
            .into_data()
            .assert_approx_eq::<f32>(&tokens.add(block.fc2.forward(wide)).into_data(), tolerance);
    }

    #[test]
    fn the_class_token_is_classified() {
        let network = network(6, 2, 2);
        let knowledge = network.forward_knowledge(images(), &TapSelection::All);

        let last = sequence(&knowledge.taps, "hidden.2");
        let class = network
            .norm
            .forward(last)
            .narrow(1, 0, 1)
            .squeeze_dim::<2>(1);
        let Tap::Vector(pool) = knowledge.taps.expect("pool") else {
            panic!("the pooled features are vectors")
        };

        let tolerance = Tolerance::<f32>::absolute(1e-5);
        class
            .into_data()
            .assert_approx_eq::<f32>(&pool.clone().into_data(), tolerance);
        let logits = knowledge.response.classes().unwrap().to_data();
        logits.assert_approx_eq::<f32>(&network.head.forward(pool).into_data(), tolerance);
    }

    #[test]
    fn the_position_of_a_patch_matters() {
        let network = network(8, 1, 2);
        let images = images();
        let turned = images.clone().flip([2, 3]);

        let [a, b] = [images, turned].map(|images| match network.forward(images) {
            Response::Classes(logits) => logits,
            _ => unreachable!(),
        });

        let difference = a.sub(b).abs().max().into_scalar::<f32>();
        assert!(difference > 1e-6, "{difference}");
    }

    #[test]
    #[should_panic(expected = "assert_shape!(input, [_, channels, height, width]): axis 2")]
    fn images_of_another_size_are_refused() {
        network(6, 1, 2).forward(Tensor::zeros([1, 1, 10, 8], &Device::default()));
    }
}
