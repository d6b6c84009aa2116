//! Networks of a fixed size, as in a publication or a package.

mod activation;
mod checkpoint;
mod conv;
mod deit;
mod efficient_net;
mod four_stage_resnet;
mod inverted_residual;
mod mobilenet;
mod mobilenet_v3;
mod shuffle_v1;
mod shuffle_v2;
#[cfg(test)]
pub(crate) mod tests;
mod vgg;

pub use checkpoint::CheckpointTensor;
pub(crate) use checkpoint::checkpoint_of;
pub use conv::ConvNorm;
pub use deit::*;
pub use efficient_net::*;
pub use four_stage_resnet::*;
pub use inverted_residual::*;
pub use mobilenet::*;
pub use mobilenet_v3::*;
pub use shuffle_v1::*;
pub use shuffle_v2::*;
pub use vgg::*;

use crate::{BranchedNetwork, NetworkError, Plan};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{DynNetwork, initialize};

/// Network of a fixed size, with the layers of a publication or a package, so that published
/// weights can be loaded.
///
/// The networks for small images are those of
/// [RepDistiller](https://github.com/HobbitLong/RepDistiller). Of those for ImageNet, the
/// transformers are [timm](https://github.com/huggingface/pytorch-image-models)'s and the others
/// torchvision's. Images of other sizes and other numbers of classes are also supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishedNetwork {
    /// [`Vgg`] of 8 layers, for small images.
    Vgg8,
    /// [`Vgg`] of 11 layers, for small images.
    Vgg11,
    /// [`Vgg`] of 13 layers, for small images.
    Vgg13,
    /// [`Vgg`] of 16 layers, for small images.
    Vgg16,
    /// [`Vgg`] of 19 layers, for small images.
    Vgg19,
    /// [`MobileNetV2`] of half the width, for small images.
    MobileHalf,
    /// [`ShuffleNetV1`], for small images.
    ShuffleV1,
    /// [`ShuffleNetV2`], for small images.
    ShuffleV2,
    /// [`FourStageResNet`] of 50 layers, for small images.
    CifarResNet50,
    /// [`FourStageResNet`] of 18 layers.
    ResNet18,
    /// [`FourStageResNet`] of 34 layers.
    ResNet34,
    /// [`FourStageResNet`] of 50 layers.
    ResNet50,
    /// [`FourStageResNet`] of 101 layers.
    ResNet101,
    /// [`FourStageResNet`] of 152 layers.
    ResNet152,
    /// [`MobileNetV2`] of full width.
    MobileNetV2Full,
    /// [`Vgg`] of 16 layers with batch normalization, for ImageNet.
    Vgg16Bn,
    /// MobileNetV3-small: see [`MobileNetV3`].
    MobileNetV3Small,
    /// EfficientNet-B0: see [`EfficientNet`].
    EfficientNetB0,
    /// ViT-Tiny: [`Deit`] of 192 features and 3 heads.
    VitTiny,
    /// ViT-Small: [`Deit`] of 384 features and 6 heads.
    VitSmall,
    /// DeiT-Tiny: [`Deit`] of 192 features and 3 heads.
    DeitTiny,
    /// DeiT-Small: [`Deit`] of 384 features and 6 heads.
    DeitSmall,
    /// DeiT-Tiny: [`Deit`] of 192 features and 3 heads, with a distillation token.
    DeitTinyDistilled,
    /// DeiT-Small: [`Deit`] of 384 features and 6 heads, with a distillation token.
    DeitSmallDistilled,
}

use PublishedNetwork::*;

impl PublishedNetwork {
    /// All published networks.
    pub const ALL: &[Self] = &[
        Vgg8,
        Vgg11,
        Vgg13,
        Vgg16,
        Vgg19,
        MobileHalf,
        ShuffleV1,
        ShuffleV2,
        CifarResNet50,
        ResNet18,
        ResNet34,
        ResNet50,
        ResNet101,
        ResNet152,
        MobileNetV2Full,
        Vgg16Bn,
        MobileNetV3Small,
        EfficientNetB0,
        VitTiny,
        VitSmall,
        DeitTiny,
        DeitSmall,
        DeitTinyDistilled,
        DeitSmallDistilled,
    ];

    /// Returns the name of the network.
    pub fn name(self) -> &'static str {
        match self {
            Vgg8 => "vgg8",
            Vgg11 => "vgg11",
            Vgg13 => "vgg13",
            Vgg16 => "vgg16",
            Vgg19 => "vgg19",
            MobileHalf => "mobile-half",
            ShuffleV1 => "shufflev1",
            ShuffleV2 => "shufflev2",
            CifarResNet50 => "cifar-resnet50",
            ResNet18 => "resnet18",
            ResNet34 => "resnet34",
            ResNet50 => "resnet50",
            ResNet101 => "resnet101",
            ResNet152 => "resnet152",
            MobileNetV2Full => "mobilenet-v2",
            Vgg16Bn => "vgg16-bn",
            MobileNetV3Small => "mobilenet-v3-small",
            EfficientNetB0 => "efficientnet-b0",
            VitTiny => "vit-tiny-patch16-224",
            VitSmall => "vit-small-patch16-224",
            DeitTiny => "deit-tiny-patch16-224",
            DeitSmall => "deit-small-patch16-224",
            DeitTinyDistilled => "deit-tiny-distilled-patch16-224",
            DeitSmallDistilled => "deit-small-distilled-patch16-224",
        }
    }

    /// Returns the network of a name in lower case, with `-` for `_`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|network| network.name() == name)
    }

    /// Creates the network for images of a shape: channels, height, width.
    ///
    /// # Panics
    ///
    /// Panics with the error of [`plan`](Self::plan).
    pub fn init(self, input: [usize; 3], classes: usize, device: &Device) -> DynNetwork<Tensor<4>> {
        match self.family(input, classes) {
            Family::Vgg(config) => DynNetwork::new(config.init(device)),
            Family::MobileNetV2(config) => DynNetwork::new(config.init(device)),
            Family::ShuffleNetV1(config) => DynNetwork::new(config.init(device)),
            Family::ShuffleNetV2(config) => DynNetwork::new(config.init(device)),
            Family::FourStageResNet(config) => DynNetwork::new(config.init(device)),
            Family::MobileNetV3(config) => DynNetwork::new(config.init(device)),
            Family::EfficientNet(config) => DynNetwork::new(config.init(device)),
            Family::Deit(config) => DynNetwork::new(config.init(device)),
        }
    }

    /// Creates the network with several branches, if it supports branches.
    pub(crate) fn init_branched(
        self,
        branches: usize,
        input: [usize; 3],
        classes: usize,
        device: &Device,
    ) -> Option<DynNetwork<Tensor<4>>> {
        match self.family(input, classes) {
            Family::FourStageResNet(config) => {
                let networks = (0..branches).map(|_| initialize(config.init(device)));
                Some(DynNetwork::new(BranchedNetwork::new(networks)))
            }
            _ => None,
        }
    }

    /// Lists the layers without creating the network.
    ///
    /// # Errors
    ///
    /// Returns an error if the image is too small for the network, or if a size is zero or above
    /// 65,536.
    pub fn plan(self, input: [usize; 3], classes: usize) -> Result<Plan, NetworkError> {
        match self.family(input, classes) {
            Family::Vgg(config) => config.plan(),
            Family::MobileNetV2(config) => config.plan(),
            Family::ShuffleNetV1(config) => config.plan(),
            Family::ShuffleNetV2(config) => config.plan(),
            Family::FourStageResNet(config) => config.plan(),
            Family::MobileNetV3(config) => config.plan(),
            Family::EfficientNet(config) => config.plan(),
            Family::Deit(config) => config.plan(),
        }
    }

    /// Returns the tensors of the network, each with its name in the state dict of the original
    /// PyTorch network and its path in ours, in the order of the state dict.
    ///
    /// The counters `num_batches_tracked` of the state dict have no counterpart.
    ///
    /// ```
    /// use burn_distill_architecture::PublishedNetwork;
    ///
    /// let tensors = PublishedNetwork::Vgg11.checkpoint([3, 32, 32], 100)?;
    ///
    /// assert_eq!(tensors[2].original, "block0.1.weight");
    /// assert_eq!(tensors[2].path, "block0.0.norm.gamma");
    /// assert_eq!(tensors[2].shape, [64]);
    /// # Ok::<(), burn_distill_architecture::NetworkError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`plan`](Self::plan).
    pub fn checkpoint(
        self,
        input: [usize; 3],
        classes: usize,
    ) -> Result<Vec<CheckpointTensor>, NetworkError> {
        let plan = self.plan(input, classes)?;
        Ok(checkpoint_of(&plan, |layer| self.original_layer(layer)))
    }

    /// Returns the name in the original network of a layer of ours.
    fn original_layer(self, layer: &str) -> String {
        match self {
            Vgg8 | Vgg11 | Vgg13 | Vgg16 | Vgg19 => vgg::name_in_repdistiller(layer),
            Vgg16Bn => vgg::name_in_torchvision(layer, 16),
            MobileHalf => mobilenet::name_in_repdistiller(layer),
            MobileNetV2Full => mobilenet::name_in_torchvision(layer),
            ShuffleV2 => shuffle_v2::original_layer(layer),
            CifarResNet50 => four_stage_resnet::name_in_repdistiller(layer),
            MobileNetV3Small => mobilenet_v3::original_layer(layer),
            EfficientNetB0 => efficient_net::original_layer(layer),
            VitTiny | VitSmall | DeitTiny | DeitSmall | DeitTinyDistilled | DeitSmallDistilled => {
                deit::original_layer(layer)
            }
            ShuffleV1 | ResNet18 | ResNet34 | ResNet50 | ResNet101 | ResNet152 => layer.to_string(),
        }
    }

    fn family(self, input: [usize; 3], classes: usize) -> Family {
        let vgg = |depth| VggConfig::new(depth, input, classes);
        let small_vgg = |depth| Family::Vgg(vgg(depth).with_small_images(true));
        let resnet =
            |depth| Family::FourStageResNet(FourStageResNetConfig::new(depth, input, classes));
        let tiny = DeitConfig::new(192, 3, input, classes);
        let small = DeitConfig::new(384, 6, input, classes);
        match self {
            Vgg8 => small_vgg(8),
            Vgg11 => small_vgg(11),
            Vgg13 => small_vgg(13),
            Vgg16 => small_vgg(16),
            Vgg19 => small_vgg(19),
            MobileHalf => Family::MobileNetV2(
                MobileNetV2Config::new(input, classes)
                    .with_width(0.5)
                    .with_small_images(true),
            ),
            MobileNetV2Full => Family::MobileNetV2(MobileNetV2Config::new(input, classes)),
            ShuffleV1 => Family::ShuffleNetV1(ShuffleNetV1Config::new(input, classes)),
            ShuffleV2 => Family::ShuffleNetV2(ShuffleNetV2Config::new(input, classes)),
            CifarResNet50 => Family::FourStageResNet(
                FourStageResNetConfig::new(50, input, classes).with_small_images(true),
            ),
            ResNet18 => resnet(18),
            ResNet34 => resnet(34),
            ResNet50 => resnet(50),
            ResNet101 => resnet(101),
            ResNet152 => resnet(152),
            Vgg16Bn => Family::Vgg(vgg(16)),
            MobileNetV3Small => Family::MobileNetV3(MobileNetV3Config::new(input, classes)),
            EfficientNetB0 => Family::EfficientNet(EfficientNetConfig::new(input, classes)),
            VitTiny | DeitTiny => Family::Deit(tiny),
            VitSmall | DeitSmall => Family::Deit(small),
            DeitTinyDistilled => Family::Deit(tiny.with_distilled(true)),
            DeitSmallDistilled => Family::Deit(small.with_distilled(true)),
        }
    }
}

/// Configuration of a network, including the shape of the images and the number of classes.
enum Family {
    Vgg(VggConfig),
    MobileNetV2(MobileNetV2Config),
    ShuffleNetV1(ShuffleNetV1Config),
    ShuffleNetV2(ShuffleNetV2Config),
    FourStageResNet(FourStageResNetConfig),
    MobileNetV3(MobileNetV3Config),
    EfficientNet(EfficientNetConfig),
    Deit(DeitConfig),
}
