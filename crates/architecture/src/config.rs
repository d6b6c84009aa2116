use crate::published::checkpoint_of;
use crate::{
    BranchedNetwork, CheckpointTensor, ConvNetConfig, MlpConfig, NetworkError, Plan,
    PublishedNetwork, ResNetConfig, VisionTransformerConfig, WideResNetConfig, catalog, convnet,
    mlp, resnet, vit, wide_resnet,
};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{DynNetwork, initialize, nearest};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// Configuration of a network by its name, without the shape of the images and the number of
/// classes.
///
/// It is serialized as its name.
///
/// | Name | Network |
/// | --- | --- |
/// | `mlp-64-32` | [`Mlp`](crate::Mlp) with hidden layers of these widths, any number of them |
/// | `convnet-16-32` | [`ConvNet`](crate::ConvNet) with stages of these widths, any number of them |
/// | `resnet20` | [`ResNet`](crate::ResNet) of depth 6n + 2 |
/// | `resnet8x4` | [`ResNet`](crate::ResNet) of depth 6n + 2 and of widths 32, 64, 128, 256 |
/// | `wrn-16-2` | [`WideResNet`](crate::WideResNet) of depth 6n + 4 and of this multiple of the width |
/// | `vgg8`, `resnet50`, … | [`PublishedNetwork`] of that name |
/// | `vit-16-2-4` | [`VisionTransformer`](crate::VisionTransformer) with these numbers of features, blocks and heads |
///
/// Upper case, and `_` instead of `-`, are also valid. [`catalog`] lists the networks of the
/// literature.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::NetworkConfig;
///
/// let config = NetworkConfig::by_name("resnet20")?;
///
/// assert_eq!(config.multiply_adds([3, 32, 32], 10)?, 40_813_184);
/// let network = config.init([3, 32, 32], 10, &Device::default())?;
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum NetworkConfig {
    /// Multilayer perceptron: see [`Mlp`](crate::Mlp).
    Mlp {
        /// Number of features of each hidden layer.
        hidden: Vec<usize>,
    },
    /// Convolutional network: see [`ConvNet`](crate::ConvNet).
    ConvNet {
        /// Number of channels of each stage.
        widths: Vec<usize>,
    },
    /// Residual network of three stages: see [`ResNet`](crate::ResNet). If its name is that of a
    /// published network, such as `resnet50`, it is written `resnet50x1`.
    ResNet {
        /// Number of layers: 6n + 2.
        depth: usize,
        /// Whether the stages are four times as wide, and the stem twice as wide.
        times_four: bool,
    },
    /// Wide residual network: see [`WideResNet`](crate::WideResNet).
    WideResNet {
        /// Number of layers: 6n + 4.
        depth: usize,
        /// Factor of the widths of the stages, which are 16, 32 and 64 channels.
        widen: usize,
    },
    /// Network of a fixed size: see [`PublishedNetwork`].
    Published(PublishedNetwork),
    /// Vision transformer: see [`VisionTransformer`](crate::VisionTransformer).
    VisionTransformer {
        /// Number of features of a token.
        features: usize,
        /// Number of blocks.
        depth: usize,
        /// Number of attention heads.
        heads: usize,
    },
}

impl NetworkConfig {
    /// Creates a configuration from the name of a network.
    ///
    /// # Errors
    ///
    /// Returns [`NetworkError::Unknown`], with the known names and the most similar one, if no
    /// network has this name, or the error about a number in the name that is out of range.
    pub fn by_name(name: &str) -> Result<Self, NetworkError> {
        let spelled = name.to_lowercase().replace('_', "-");
        let config = Self::parse(&spelled).ok_or_else(|| NetworkError::Unknown {
            name: name.to_string(),
            known: names(|entry| entry.name).map(str::to_string).collect(),
            nearest: nearest(&spelled, names(|entry| entry.example)).map(str::to_string),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Creates the network for images of shape `input`: channels, height, width.
    ///
    /// All parameters are drawn at once, in their order in the module tree, so that they depend
    /// only on the seed of the device.
    ///
    /// # Errors
    ///
    /// Returns an error if the image is too small for the network, or if a number is out of range.
    pub fn init(
        &self,
        input: [usize; 3],
        classes: usize,
        device: &Device,
    ) -> Result<DynNetwork<Tensor<4>>, NetworkError> {
        self.plan(input, classes)?;
        let network = match self.with_ends(input, classes) {
            Typed::Mlp(config) => DynNetwork::new(config.init(device)),
            Typed::ConvNet(config) => DynNetwork::new(config.init(device)),
            Typed::ResNet(config) => DynNetwork::new(config.init(device)),
            Typed::WideResNet(config) => DynNetwork::new(config.init(device)),
            Typed::VisionTransformer(config) => DynNetwork::new(config.init(device)),
            Typed::Published(network) => network.init(input, classes, device),
        };
        Ok(initialize(network))
    }

    /// Returns the configuration for vectors with this number of features: of the networks of
    /// images, only the multilayer perceptron takes them. Its
    /// [`init_vector`](MlpConfig::init_vector) creates the network.
    pub fn of_vectors(&self, features: usize, classes: usize) -> Option<MlpConfig> {
        match self {
            Self::Mlp { hidden } => {
                let input = [features, 1, 1];
                Some(MlpConfig::new(hidden.clone(), input, classes))
            }
            _ => None,
        }
    }

    /// Creates the network with several [branches](crate::BranchedNetwork), which have separate
    /// parameters. Convolutional networks with at least two stages and residual networks can have
    /// branches.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`init`](Self::init), and an error if the network cannot have
    /// branches.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two branches.
    pub fn init_branched(
        &self,
        branches: usize,
        input: [usize; 3],
        classes: usize,
        device: &Device,
    ) -> Result<DynNetwork<Tensor<4>>, NetworkError> {
        self.plan(input, classes)?;
        let all = 0..branches;
        Ok(match self.with_ends(input, classes) {
            Typed::ConvNet(config) if config.widths.len() > 1 => DynNetwork::new(
                BranchedNetwork::new(all.map(|_| initialize(config.init(device)))),
            ),
            Typed::ResNet(config) => DynNetwork::new(BranchedNetwork::new(
                all.map(|_| initialize(config.init(device))),
            )),
            Typed::Published(network) => network
                .init_branched(branches, input, classes, device)
                .ok_or_else(|| NetworkError::NoBranches(self.to_string()))?,
            _ => return Err(NetworkError::NoBranches(self.to_string())),
        })
    }

    /// Lists the layers of the network without creating it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`init`](Self::init).
    pub fn plan(&self, input: [usize; 3], classes: usize) -> Result<Plan, NetworkError> {
        match self.with_ends(input, classes) {
            Typed::Mlp(config) => config.plan(),
            Typed::ConvNet(config) => config.plan(),
            Typed::ResNet(config) => config.plan(),
            Typed::WideResNet(config) => config.plan(),
            Typed::VisionTransformer(config) => config.plan(),
            Typed::Published(network) => network.plan(input, classes),
        }
    }

    /// Returns the number of multiply-adds of convolutions and matrix products for one sample.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`init`](Self::init).
    pub fn multiply_adds(&self, input: [usize; 3], classes: usize) -> Result<usize, NetworkError> {
        Ok(self.plan(input, classes)?.multiply_adds())
    }

    /// Returns the tensors of the network, each with its name in the state dict of the original
    /// PyTorch network and its path in ours, in the order of the state dict.
    ///
    /// Residual and wide residual networks are those of RepDistiller; see
    /// [`PublishedNetwork::checkpoint`] for the published networks. A network without an original
    /// has the names of the same modules in PyTorch. The counters `num_batches_tracked` of a state
    /// dict have no counterpart.
    ///
    /// ```
    /// use burn_distill_architecture::NetworkConfig;
    ///
    /// let network = NetworkConfig::by_name("wrn-16-2")?;
    /// let tensors = network.checkpoint([3, 32, 32], 100)?;
    ///
    /// let shortcut = tensors.iter().find(|tensor| tensor.path.contains("shortcut")).unwrap();
    /// assert_eq!(shortcut.original, "block1.layer.0.convShortcut.weight");
    /// assert_eq!(shortcut.path, "block1.layer.0.shortcut.weight");
    /// assert_eq!(shortcut.shape, [32, 16, 1, 1]);
    /// # Ok::<(), burn_distill_architecture::NetworkError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`init`](Self::init).
    pub fn checkpoint(
        &self,
        input: [usize; 3],
        classes: usize,
    ) -> Result<Vec<CheckpointTensor>, NetworkError> {
        if let Self::Published(network) = self {
            return network.checkpoint(input, classes);
        }
        let plan = self.plan(input, classes)?;
        Ok(checkpoint_of(&plan, |layer| match self {
            Self::WideResNet { .. } => wide_resnet::original_layer(layer),
            _ => layer.to_string(),
        }))
    }

    fn with_ends(&self, input: [usize; 3], classes: usize) -> Typed {
        match *self {
            Self::Mlp { ref hidden } => Typed::Mlp(MlpConfig::new(hidden.clone(), input, classes)),
            Self::ConvNet { ref widths } => {
                Typed::ConvNet(ConvNetConfig::new(widths.clone(), input, classes))
            }
            Self::ResNet { depth, times_four } => {
                let config = ResNetConfig::new(depth, input, classes);
                Typed::ResNet(match times_four {
                    true => config.with_widths([32, 64, 128, 256]),
                    false => config,
                })
            }
            Self::WideResNet { depth, widen } => {
                Typed::WideResNet(WideResNetConfig::new(depth, widen, input, classes))
            }
            Self::Published(network) => Typed::Published(network),
            Self::VisionTransformer {
                features,
                depth,
                heads,
            } => Typed::VisionTransformer(VisionTransformerConfig::new(
                features, depth, heads, input, classes,
            )),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        if let Some(network) = PublishedNetwork::parse(name) {
            Some(Self::Published(network))
        } else if let Some(widths) = name.strip_prefix("mlp-") {
            let hidden = numbers(widths)?;
            Some(Self::Mlp { hidden })
        } else if let Some(widths) = name.strip_prefix("convnet-") {
            let widths = numbers(widths)?;
            Some(Self::ConvNet { widths })
        } else if let Some(numbers_of_wide) = name.strip_prefix("wrn-") {
            match numbers(numbers_of_wide)?[..] {
                [depth, widen] => Some(Self::WideResNet { depth, widen }),
                _ => None,
            }
        } else if let Some(sizes) = name.strip_prefix("vit-") {
            match numbers(sizes)?[..] {
                [features, depth, heads] => Some(Self::VisionTransformer {
                    features,
                    depth,
                    heads,
                }),
                _ => None,
            }
        } else {
            let depth = name.strip_prefix("resnet")?;
            let times_four = depth.ends_with("x4");
            // `resnet50` has four stages; the network with three stages is `resnet50x1`.
            let digits = depth.strip_suffix("x4").or(depth.strip_suffix("x1"));
            let depth = number(digits.unwrap_or(depth))?;
            Some(Self::ResNet { depth, times_four })
        }
    }

    /// Checks the values that do not depend on the images and classes.
    fn check(&self) -> Result<(), NetworkError> {
        match *self {
            Self::Mlp { ref hidden } => mlp::check_hidden(hidden),
            Self::ConvNet { ref widths } => convnet::check_stages(widths),
            Self::ResNet { depth, .. } => resnet::blocks_of_depth(depth).map(drop),
            Self::WideResNet { depth, widen } => {
                wide_resnet::blocks_and_widths(depth, widen).map(drop)
            }
            Self::Published(_) => Ok(()),
            Self::VisionTransformer {
                features,
                depth,
                heads,
            } => vit::check_sizes(features, depth, heads),
        }
    }
}

/// Configuration of a network with the shape of the images and the number of classes.
enum Typed {
    Mlp(MlpConfig),
    ConvNet(ConvNetConfig),
    ResNet(ResNetConfig),
    WideResNet(WideResNetConfig),
    VisionTransformer(VisionTransformerConfig),
    Published(PublishedNetwork),
}

fn names(
    name: impl Fn(&'static crate::ArchitectureEntry) -> &'static str,
) -> impl Iterator<Item = &'static str> {
    catalog().iter().map(name)
}

/// Parses a number that consists only of digits. `parse` would also accept a sign.
fn number(digits: &str) -> Option<usize> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn numbers(digits: &str) -> Option<Vec<usize>> {
    digits.split('-').map(number).collect()
}

impl Display for NetworkConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let dashed = |f: &mut Formatter<'_>, kind, widths: &[usize]| {
            f.write_str(kind)?;
            widths.iter().try_for_each(|width| write!(f, "-{width}"))
        };
        match self {
            Self::Mlp { hidden } => dashed(f, "mlp", hidden),
            Self::ConvNet { widths } => dashed(f, "convnet", widths),
            Self::ResNet { depth, times_four } => {
                let name = format!("resnet{depth}");
                let widths = match (times_four, PublishedNetwork::parse(&name)) {
                    (true, _) => "x4",
                    (false, Some(_)) => "x1",
                    (false, None) => "",
                };
                write!(f, "{name}{widths}")
            }
            Self::WideResNet { depth, widen } => write!(f, "wrn-{depth}-{widen}"),
            Self::Published(network) => f.write_str(network.name()),
            Self::VisionTransformer {
                features,
                depth,
                heads,
            } => dashed(f, "vit", &[*features, *depth, *heads]),
        }
    }
}

impl FromStr for NetworkConfig {
    type Err = NetworkError;

    fn from_str(name: &str) -> Result<Self, NetworkError> {
        Self::by_name(name)
    }
}

impl TryFrom<String> for NetworkConfig {
    type Error = NetworkError;

    fn try_from(name: String) -> Result<Self, NetworkError> {
        Self::by_name(&name)
    }
}

impl From<NetworkConfig> for String {
    fn from(config: NetworkConfig) -> Self {
        config.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{Module, ModuleVisitor, Param};
    use burn_distill_core::{Network, known_taps};

    fn error(name: &str) -> String {
        NetworkConfig::by_name(name).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones_and_the_nearest() {
        let message = error("WRN16_2");

        assert!(
            message.starts_with(
                "no network named `WRN16_2`, did you mean `wrn-16-2`?; the known ones are \
                 mlp-<width>-<width>-…, convnet-<width>-<width>-…, resnet8, "
            ),
            "{message}"
        );
        for name in [
            "",
            "mlp",
            "mlp-",
            "mlp-8-",
            "mlp-+8",
            "resnet",
            "resnet8x3",
            "wrn-16",
            "vit-16-2",
            "vgg9",
        ] {
            assert!(error(name).starts_with("no network named"), "{name}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for (name, message) in [
            (
                "resnet21",
                "the depth of a residual network should be 6n + 2 up to 10000, but is 21",
            ),
            (
                "resnet2",
                "the depth of a residual network should be 6n + 2 up to 10000, but is 2",
            ),
            ("wrn-16-0", "a width should be from 1 to 65536, but is 0"),
            (
                "wrn-20-2",
                "the depth of a wide residual network should be 6n + 4 up to 10000, but is 20",
            ),
            ("mlp-64-0", "a width should be from 1 to 65536, but is 0"),
            (
                "convnet-70000",
                "a width should be from 1 to 65536, but is 70000",
            ),
            (
                "vit-16-2-3",
                "the number of attention heads should be a divisor of the 16 features, but is 3",
            ),
            (
                "vit-16-2-0",
                "the number of attention heads should be a divisor of the 16 features, but is 0",
            ),
            (
                "vit-16-0-2",
                "the depth of a vision transformer should be 1 or more up to 10000, but is 0",
            ),
        ] {
            assert_eq!(error(name), message);
        }
        let resnet = NetworkConfig::by_name("resnet8").unwrap();
        let no_classes = resnet.plan([3, 8, 8], 0).unwrap_err();
        assert_eq!(no_classes, NetworkError::Classes(0));
        let no_image = resnet.init([3, 0, 8], 10, &Device::default()).unwrap_err();
        assert!(
            no_image
                .to_string()
                .contains("a residual network needs at least [1, 1, 1]")
        );
    }

    #[test]
    fn too_many_stages_for_any_image_are_refused() {
        let name = format!("convnet{}", "-1".repeat(300));
        let error = NetworkConfig::by_name(&name)
            .unwrap()
            .plan([1, 8, 8], 10)
            .unwrap_err()
            .to_string();
        let expected =
            "an input [1, 8, 8] of [channels, height, width] is too small for 300 stages";
        assert!(error.starts_with(expected), "{error}");
        assert!(error.ends_with("use at most 17 stages"), "{error}");
    }

    #[test]
    fn huge_numbers_are_refused_before_an_allocation() {
        let huge = usize::MAX;
        for name in [
            "resnet10004".to_string(), // 6 · 1667 + 2
            format!("resnet{huge}"),
            format!("wrn-16-{huge}"),
            format!("wrn-{huge}-2"),
            format!("mlp-{huge}"),
            format!("mlp-{huge}0"),
            format!("vit-{huge}-2-1"),
            format!("vit-16-{huge}-1"),
        ] {
            assert!(NetworkConfig::by_name(&name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_of_published_networks_come_first() {
        let resnet = |depth| NetworkConfig::ResNet {
            depth,
            times_four: false,
        };
        let published = NetworkConfig::Published(PublishedNetwork::ResNet50);
        assert_eq!(NetworkConfig::by_name("ResNet50").unwrap(), published);
        for (name, depth) in [("resnet50x1", 50), ("resnet152x1", 152), ("resnet56", 56)] {
            assert_eq!(NetworkConfig::by_name(name).unwrap(), resnet(depth));
            assert_eq!(resnet(depth).to_string(), name);
        }
        assert_eq!(NetworkConfig::by_name("resnet56x1").unwrap(), resnet(56));
    }

    #[test]
    fn it_is_serialized_as_its_name() {
        let config = NetworkConfig::by_name("WRN_40_2").unwrap();

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, r#""wrn-40-2""#);
        assert_eq!(
            serde_json::from_str::<NetworkConfig>(&json).unwrap(),
            config
        );
        let error = serde_json::from_str::<NetworkConfig>(r#""resnt20""#).unwrap_err();
        assert!(error.to_string().contains("did you mean `resnet20`?"));
    }

    #[test]
    fn every_network_supports_small_images_and_batches_of_one() {
        let device = Device::default();
        for name in names(|entry| entry.example) {
            let config = NetworkConfig::by_name(name).unwrap();
            for input in [[1, 8, 8], [1, 28, 28]] {
                let plan = match config.plan(input, 10) {
                    Err(NetworkError::Input { least, .. }) => {
                        // That of ImageNet halves images five times.
                        assert_eq!((name, least), ("vgg16-bn", [1, 32, 32]));
                        continue;
                    }
                    plan => plan.unwrap(),
                };
                let large = plan.multiply_adds() > 100_000_000 || plan.parameters() > 10_000_000;
                let transformer = name.contains("patch16");
                if (transformer || input == [1, 28, 28]) && large {
                    continue; // It would take too long, and smaller ones run the same code.
                }
                let network = config.init(input, 10, &device).unwrap();
                let response = network.forward(network.example(1, &device));
                assert_eq!(response.classes().unwrap().dims(), [1, 10], "{name}");
                assert!(!known_taps(&network).is_empty());
            }
        }
    }

    #[test]
    fn classifiers_and_normalizations_fit_their_taps() {
        for name in ["mlp-4", "convnet-4-8", "resnet8", "wrn-10-1", "vit-4-1-2"] {
            let config = NetworkConfig::by_name(name).unwrap();
            let network = config.init([1, 8, 8], 3, &Device::default()).unwrap();
            let taps = known_taps(&network);

            let classifier = network.classifier().unwrap();
            let last = taps.iter().last().unwrap();
            let [features, classes] = classifier.weight.dims();
            assert_eq!((features, classes), (last.1.shape()[1], 3), "{name}");
            for (tap, map) in taps.iter().filter(|(tap, _)| tap.ends_with(".pre")) {
                let found = network.normalization(tap);
                assert_eq!(found.is_some(), name != "mlp-4", "{name} {tap}");
                if let Some(norm) = found {
                    assert_eq!(norm.gamma.dims(), [map.shape()[1]], "{name} {tap}");
                }
            }
            assert!(network.normalization("pool").is_none());
        }
    }

    #[test]
    fn some_networks_can_have_branches() {
        let branched = |name: &str| {
            let config = NetworkConfig::by_name(name).unwrap();
            config.init_branched(3, [1, 8, 8], 5, &Device::default())
        };
        for name in ["convnet-4-8", "resnet8"] {
            let taps = known_taps(&branched(name).unwrap());
            let shape = |tap: &str| taps.expect(tap).shape();
            assert_eq!(shape("branch3").as_slice(), [2, 5], "{name}");
            assert_eq!(shape("trunk").rank(), 4, "{name}");
            let logits = |tap: &str| taps.expect(tap).into_vectors().into_data();
            assert_ne!(logits("branch1"), logits("branch2"), "{name}");
        }
        for name in ["convnet-4", "mlp-4", "wrn-10-1"] {
            assert_eq!(
                branched(name).unwrap_err().to_string(),
                format!(
                    "`{name}` cannot have branches: use a residual network, or a convolutional \
                         network with at least two stages"
                )
            );
        }
    }

    #[test]
    fn all_parameters_are_drawn_at_once() {
        struct AllDrawn;
        impl ModuleVisitor for AllDrawn {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                assert!(param.is_initialized());
            }
        }

        for name in ["mlp-4", "convnet-4", "resnet8", "wrn-10-1", "vit-4-1-2"] {
            let config = NetworkConfig::by_name(name).unwrap();
            let network = config.init([1, 4, 4], 3, &Device::default()).unwrap();
            network.visit(&mut AllDrawn);
        }
    }
}
