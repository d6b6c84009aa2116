use super::conv::linear_without_offset;
use crate::patches::Patches;
use crate::transformer::run_blocks;
use crate::vit::check_sizes;
use crate::{FusedAttention, NetworkError, Plan, TransformerBlock, error};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::{Network, Response, Tap, TapRecorder};

/// Configuration to create a [`Deit`] using the [init function](DeitConfig::init).
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::DeitConfig;
/// use burn_distill_core::parameter_count;
///
/// let tiny = DeitConfig::new(192, 3, [3, 224, 224], 1000).init(&Device::default());
///
/// assert_eq!(parameter_count(&tiny), 5_717_416);
/// ```
#[derive(Config, Debug)]
pub struct DeitConfig {
    /// Number of features of a token, a multiple of the number of heads.
    pub features: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Number of blocks.
    #[config(default = 12)]
    pub depth: usize,
    /// Whether there is a distillation token, with a separate classifier.
    #[config(default = false)]
    pub distilled: bool,
}

const KIND: &str = "vision transformer";

/// Height and width of a patch.
const SIDE: usize = 16;

impl DeitConfig {
    /// Creates a [`Deit`].
    ///
    /// # Panics
    ///
    /// Panics if the number of features is not a multiple of the number of heads, or if a size is
    /// zero or too large.
    pub fn init(&self, device: &Device) -> Deit {
        self.check().unwrap_or_else(|error| panic!("{error}"));
        let features = self.features;
        let linear = |features| linear_without_offset(features, normal(0.02), device);
        let norm = || {
            let config = LayerNormConfig::new(features);
            config.with_epsilon(1e-6).init(device)
        };
        let block = |_| {
            let attention = FusedAttention::new(features, self.heads, linear);
            TransformerBlock::new(features, attention, norm, linear)
        };
        let vectors = |count, std| normal(std).init([1, count, features], device);
        Deit {
            embedding: DeitEmbedding {
                class: vectors(1, 1e-6),
                position: vectors(self.length(), 0.02),
                distillation: self.distilled.then(|| vectors(1, 0.02)),
                patch: Conv2dConfig::new([self.input[0], features], [SIDE; 2])
                    .with_stride([SIDE; 2])
                    .init(device),
            },
            blocks: (0..self.depth).map(block).collect(),
            norm: norm(),
            head: linear([features, self.classes]),
            head_dist: self.distilled.then(|| linear([features, self.classes])),
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
        let length = self.length();
        plan.embeddings("embedding.class", &[1, 1, features]);
        plan.embeddings("embedding.position", &[1, length, features]);
        if self.distilled {
            plan.embeddings("embedding.distillation", &[1, 1, features]);
        }
        let patches = Patches::of_side(SIDE, self.input);
        plan.patches("embedding.patch", [self.input[0], features], patches);
        for index in 0..self.depth {
            let name = format!("blocks.{index}");
            TransformerBlock::<FusedAttention>::plan(&name, [length, features], &mut plan);
        }
        plan.norm_tokens("norm", [self.heads_of_classes(), features]);
        plan.linear("head", [features, self.classes]);
        if self.distilled {
            plan.linear("head_dist", [features, self.classes]);
        }
        Ok(plan)
    }

    /// Returns the number of tokens that are classified.
    fn heads_of_classes(&self) -> usize {
        1 + usize::from(self.distilled)
    }

    /// Returns the number of all tokens.
    fn length(&self) -> usize {
        self.heads_of_classes() + Patches::of_side(SIDE, self.input).count()
    }

    fn check(&self) -> Result<(), NetworkError> {
        check_sizes(self.features, self.depth, self.heads)?;
        error::check_ends(KIND, self.input, [1, 1, 1], self.classes)
    }
}

fn normal(std: f64) -> Initializer {
    Initializer::Normal { mean: 0.0, std }
}

/// Vision transformer (ViT, DeiT) for patches of 16×16 pixels, as in timm, optionally with the
/// distillation token of DeiT, a second class token with a separate classifier.
///
/// Every patch of the image is a token, preceded by the class token and the distillation token.
/// Learned position embeddings are added. Pre-normalized blocks of attention and two linear layers
/// follow, then a linear classifier of the class token and one of the distillation token.
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `hidden.0` | sequence | the tokens with their positions |
/// | `query.1`, `key.1`, `value.1`, `query.2`, … | sequence | the queries, keys and values of each attention, one head after another |
/// | `attention.1`, `attention.2`, … | attention | `queries · keysᵀ / √(features / heads)`, before the softmax |
/// | `hidden.1`, `hidden.2`, … | sequence | the tokens after each block: a sum, not normalized |
/// | `pool` | vector | the class token after the last normalization |
/// | `distillation-pool` | vector | with a distillation token: the same of that token |
/// | `class-logits` | vector | with a distillation token: the logits of the class token |
/// | `distillation-logits` | vector | with a distillation token: its logits |
///
/// The response is that of the class token, or the mean of the logits of both tokens. DeiT is
/// trained on the two taps of logits: the targets of the class token are the labels, those of the
/// distillation token the classes that the teacher predicts (see `DistillationTokenLoss` of
/// burn-distill-response).
///
/// Images whose size is not a multiple of 16 are padded with zeros at the right and at the bottom.
/// The normalizations have an epsilon of 10⁻⁶, and there is no dropout.
/// [`checkpoint`](crate::PublishedNetwork::checkpoint) lists the original names of the tensors. The
/// number of position embeddings depends on the size of the images, so those of a checkpoint fit
/// only images of its size.
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - sequence taps: `[batch_size, length, features]`, with a length of 1 or 2 plus the number of
///   patches, `⌈height / 16⌉ · ⌈width / 16⌉`
/// - attention taps: `[batch_size, heads, length, length]`
/// - `pool`, `distillation-pool`: `[batch_size, features]`
/// - response, `class-logits`, `distillation-logits`: `[batch_size, classes]`
///
/// # Panics
///
/// The forward pass panics if the images are not of the configured shape.
///
/// # Reference
///
/// A. Dosovitskiy et al., [An Image is Worth 16x16 Words](https://arxiv.org/abs/2010.11929), ICLR
/// 2021; H. Touvron, M. Cord, M. Douze, F. Massa, A. Sablayrolles and H. Jégou, [Training
/// data-efficient image transformers & distillation through
/// attention](https://arxiv.org/abs/2012.12877), ICML 2021; as in `vit_tiny_patch16_224`,
/// `deit_tiny_distilled_patch16_224` and others of timm.
#[doc(alias = "ViT")]
#[doc(alias = "DeiT")]
#[derive(Module, Debug)]
pub struct Deit {
    /// Embedding of the patches.
    pub embedding: DeitEmbedding,
    /// Blocks.
    pub blocks: Vec<TransformerBlock<FusedAttention>>,
    /// Normalization after the last block.
    pub norm: LayerNorm,
    /// Classifier of the class token.
    pub head: Linear,
    /// Classifier of the distillation token, if there is one.
    pub head_dist: Option<Linear>,
    /// Shape of one image: channels, height, width.
    pub input: [usize; 3],
}

/// Embedding of an image as tokens: one for the class, one for the distillation if there is one,
/// then one per patch.
#[derive(Module, Debug)]
pub struct DeitEmbedding {
    /// Class token. Shape: `[1, 1, features]`.
    pub class: Param<Tensor<3>>,
    /// Position embedding of each token. Shape: `[1, length, features]`.
    pub position: Param<Tensor<3>>,
    /// Distillation token, if there is one. Shape: `[1, 1, features]`.
    pub distillation: Option<Param<Tensor<3>>>,
    /// Convolution from patches to tokens.
    pub patch: Conv2d,
}

impl DeitEmbedding {
    fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let [batch_size, channels, height, width] = images.dims();
        let images = Patches::of_side(SIDE, [channels, height, width]).fill(images);
        let patches = self
            .patch
            .forward(images)
            .flatten::<3>(2, 3)
            .swap_dims(1, 2);
        let special = [Some(&self.class), self.distillation.as_ref()];
        let special = special.into_iter().flatten();
        let mut tokens: Vec<_> = special
            .map(|token| token.val().repeat_dim(0, batch_size))
            .collect();
        tokens.push(patches);
        Tensor::cat(tokens, 1).add(self.position.val())
    }
}

impl Network for Deit {
    type Input = Tensor<4>;

    fn forward_tapped(&self, input: Tensor<4>, taps: &mut TapRecorder) -> Response {
        let [channels, height, width] = self.input;
        assert_shape!(input, [_, channels, height, width]);

        let tokens = run_blocks(&self.blocks, self.embedding.forward(input), taps);
        // The normalization is per token, so the tokens of the patches are not needed.
        let token = |index| {
            self.norm
                .forward(tokens.clone().narrow(1, index, 1).squeeze_dim::<2>(1))
        };
        let pool = token(0);
        taps.offer("pool", || Tap::Vector(pool.clone()));
        let logits = self.head.forward(pool);
        let Some(head_dist) = &self.head_dist else {
            return Response::Classes(logits);
        };
        let pool = token(1);
        taps.offer("distillation-pool", || Tap::Vector(pool.clone()));
        taps.offer("class-logits", || Tap::Vector(logits.clone()));
        let distilled = head_dist.forward(pool);
        taps.offer("distillation-logits", || Tap::Vector(distilled.clone()));
        Response::Classes(logits.add(distilled).div_scalar(2.0))
    }

    fn example(&self, samples: usize, device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.input;
        Tensor::zeros([samples, channels, height, width], device)
    }

    /// Returns the classifier of the class token, or `None` with a distillation token, because two
    /// classifiers determine the response.
    fn classifier(&self) -> Option<Linear> {
        match self.head_dist {
            None => Some(self.head.clone()),
            Some(_) => None,
        }
    }
}

/// Returns the name of a layer in timm.
pub(super) fn original_layer(ours: &str) -> String {
    match ours {
        "embedding.class" => "cls_token".into(),
        "embedding.position" => "pos_embed".into(),
        "embedding.distillation" => "dist_token".into(),
        "embedding.patch" => "patch_embed.proj".into(),
        layer => layer
            .replace("attention.output", "attn.proj")
            .replace("attention.", "attn.")
            .replace("fc", "mlp.fc"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};
    use burn_distill_core::{TapSelection, known_taps};

    fn config(distilled: bool) -> DeitConfig {
        DeitConfig::new(6, 3, [1, 32, 20], 4)
            .with_depth(2)
            .with_distilled(distilled)
    }

    #[test]
    fn taps_are_numbered_by_block() {
        let device = Device::default();
        for (distilled, length) in [(false, 5), (true, 6)] {
            let taps = known_taps(&config(distilled).init(&device));
            let found: Vec<_> = taps
                .iter()
                .map(|(name, tap)| (name, tap.kind(), tap.shape().as_slice().to_vec()))
                .collect();
            let tokens = |name| (name, "sequence", vec![2, length, 6]);
            let attention = |name| (name, "attention", vec![2, 3, length, length]);
            let vector = |name, features| (name, "vector", vec![2, features]);
            let mut expected = vec![
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
                vector("pool", 6),
            ];
            if distilled {
                expected.extend([
                    vector("distillation-pool", 6),
                    vector("class-logits", 4),
                    vector("distillation-logits", 4),
                ]);
            }
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_response_is_the_mean_of_both_heads() {
        let device = Device::default();
        let network = config(true).init(&device);
        let images = Tensor::random([3, 1, 32, 20], Distribution::Default, &device);
        let knowledge = network.forward_knowledge(images, &TapSelection::All);

        let logits = |tap| knowledge.taps.expect(tap).into_vectors();
        let (class, distillation) = (logits("class-logits"), logits("distillation-logits"));
        let heads = [
            (&network.head, "pool", &class),
            (
                network.head_dist.as_ref().unwrap(),
                "distillation-pool",
                &distillation,
            ),
        ];
        for (head, pool, expected) in heads {
            let found = head.forward(logits(pool)).into_data();
            found.assert_approx_eq::<f32>(&expected.to_data(), Tolerance::absolute(1e-6));
        }
        let mean = class.add(distillation).div_scalar(2.0).into_data();
        let response = knowledge.response.classes().unwrap().to_data();
        response.assert_approx_eq::<f32>(&mean, Tolerance::absolute(1e-6));
    }

    #[test]
    fn the_classifier_is_that_of_a_single_head() {
        let device = Device::default();
        assert!(config(false).init(&device).classifier().is_some());
        assert!(config(true).init(&device).classifier().is_none());
    }

    #[test]
    fn partial_patches_are_filled_with_zeros() {
        let device = Device::default();
        let network = config(false).init(&device);
        let images = Tensor::<4>::random([1, 1, 32, 20], Distribution::Default, &device);
        let tokens = |network: &Deit, images| {
            let selection = TapSelection::named(["hidden.2"]);
            let taps = network.forward_knowledge(images, &selection).taps;
            taps.expect("hidden.2").into_sequence().into_data()
        };

        let found = tokens(&network, images.clone());

        let filled = Tensor::cat(vec![images, Tensor::zeros([1, 1, 32, 12], &device)], 3);
        let mut large = network;
        large.input = [1, 32, 32];
        found.assert_eq(&tokens(&large, filled), true);
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        for (config, message) in [
            (
                DeitConfig::new(10, 3, [3, 32, 32], 4),
                "the number of attention heads should be a divisor of the 10 features, but is 3",
            ),
            (
                config(true).with_depth(0),
                "the depth of a vision transformer should be 1 or more up to 10000, but is 0",
            ),
            (
                DeitConfig::new(6, 3, [3, 32, 32], 0),
                "the number of classes should be from 1 to 65536, but is 0",
            ),
        ] {
            assert_eq!(config.plan().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_weights_start_as_in_timm() {
        let network = DeitConfig::new(60, 3, [3, 64, 64], 4).init(&Device::default());
        let deviation = |weight: Tensor<1>| {
            let (variance, _) = weight.var_mean(0);
            variance.into_scalar::<f32>().sqrt()
        };
        let fused = network.blocks[0].attention.qkv.weight.val().reshape([-1]);
        // 10 800 draws: 0.7 %.
        assert!((deviation(fused) / 0.02 - 1.0).abs() < 0.03);
        // 1 020 draws: 2.2 %.
        let positions = network.embedding.position.val().reshape([-1]);
        assert!((deviation(positions) / 0.02 - 1.0).abs() < 0.1);
        let class = network.embedding.class.val().abs().max();
        assert!(class.into_scalar::<f32>() < 1e-5);
    }
}
