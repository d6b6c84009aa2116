use crate::mutual::peers::pooled;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};
use burn_distill_core::numeric::l2_normalize;
use burn_distill_core::{
    Check, ConfigError, Network, Response, Tap, TapRecorder, TapSelection, check, delegate_network,
    initialize, known_taps,
};

/// Configuration to create a [projection head](DinoHead) using the
/// [init function](DinoHeadConfig::init).
#[derive(Config, Debug)]
pub struct DinoHeadConfig {
    /// Number of prototypes. Default: `65536`.
    #[config(default = 65536)]
    pub d_output: usize,
    /// Size of the hidden layers. Default: `2048`.
    #[config(default = 2048)]
    pub d_hidden: usize,
    /// Size of the features that are compared with the prototypes. Default: `256`.
    #[config(default = 256)]
    pub d_bottleneck: usize,
}

impl DinoHeadConfig {
    /// Creates a [projection head](DinoHead) for a number of features. Its weights are initialized
    /// immediately.
    pub fn init(&self, d_input: usize, device: &Device) -> DinoHead {
        self.assert_valid();
        // The authors truncate at a hundred standard deviations, which has no effect.
        let normal = Initializer::Normal {
            mean: 0.0,
            std: 0.02,
        };
        let layer = |input: usize, output: usize| {
            let config = LinearConfig::new(input, output).with_initializer(normal.clone());
            let mut layer = config.init(device);
            layer.bias = Some(Param::from_tensor(Tensor::zeros([output], device)));
            layer
        };
        let last = LinearConfig::new(self.d_bottleneck, self.d_output).with_bias(false);
        initialize(DinoHead {
            first: layer(d_input, self.d_hidden),
            second: layer(self.d_hidden, self.d_hidden),
            bottleneck: layer(self.d_hidden, self.d_bottleneck),
            last: last.init(device),
        })
    }

    /// Creates a network from a backbone and a projection head after one of its taps.
    ///
    /// # Panics
    ///
    /// Panics if the backbone does not have the tap.
    pub fn init_network<N: Network>(&self, backbone: N, tap: &str) -> DinoNetwork<N> {
        let [_, d_input] = pooled(known_taps(&backbone).expect(tap)).dims();
        let device = backbone.devices().first().cloned().unwrap_or_default();
        DinoNetwork {
            head: self.init(d_input, &device),
            backbone,
            tap: tap.to_string(),
        }
    }
}

impl Check for DinoHeadConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("d_output", self.d_output, 1..=1_048_576)?;
        check::count_in("d_hidden", self.d_hidden, 1..=65_536)?;
        check::count_in("d_bottleneck", self.d_bottleneck, 1..=65_536)
    }
}

/// The projection head of DINO, which computes the similarity of features with many prototypes.
///
/// ```text
/// h = bottleneck(gelu(second(gelu(first(x)))))
/// logitsₖ = ⟨h / ‖h‖, wₖ / ‖wₖ‖⟩
/// ```
///
/// The weights of the last layer are normalized to unit length (weight normalization with a gain of
/// 1), so that every logit is a cosine.
///
/// # Reference
///
/// M. Caron, H. Touvron, I. Misra, H. Jégou, J. Mairal, P. Bojanowski and A. Joulin, [Emerging
/// Properties in Self-Supervised Vision Transformers](https://arxiv.org/abs/2104.14294), ICCV 2021.
/// Agrees with `DINOHead` of the authors' dino, without batch normalization and with
/// `norm_last_layer`.
#[derive(Module, Debug)]
pub struct DinoHead {
    /// First hidden layer.
    pub first: Linear,
    /// Second hidden layer.
    pub second: Linear,
    /// Layer to the features that are compared with the prototypes.
    pub bottleneck: Linear,
    /// Prototypes, before normalization.
    pub last: Linear,
}

impl DinoHead {
    /// Computes the cosines with the prototypes.
    ///
    /// # Shapes
    ///
    /// - features: `[batch_size, d_input]`
    /// - output: `[batch_size, d_output]`
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let hidden = gelu(self.first.forward(features));
        let hidden = gelu(self.second.forward(hidden));
        let unit = l2_normalize(self.bottleneck.forward(hidden), 1);
        unit.matmul(l2_normalize(self.last.weight.val(), 0))
    }
}

/// A network with a [`DinoHead`] after its backbone. After the training, the backbone is used.
///
/// Its response is the logits of the head, and its only tap is the input of the head.
#[derive(Module, Debug)]
pub struct DinoNetwork<N> {
    /// Backbone.
    pub backbone: N,
    /// Projection head.
    pub head: DinoHead,
    /// Tap of the backbone that is the input of the head: vectors, or a map or sequence that is
    /// averaged.
    pub tap: String,
}

impl<N: Network> Network for DinoNetwork<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        let requirements = TapSelection::named([&self.tap]);
        let knowledge = self.backbone.forward_knowledge(input, &requirements);
        let features = pooled(knowledge.taps.expect(&self.tap));
        taps.offer(self.tap.clone(), || Tap::Vector(features.clone()));
        Response::Classes(self.head.forward(features))
    }

    delegate_network!(backbone: example, deployed);
}
