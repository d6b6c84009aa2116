/// Entry of a network or of a family of networks in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchitectureEntry {
    /// Name, or a pattern with placeholders for numbers in angle brackets.
    pub name: &'static str,
    /// Example of a name: the name itself, unless it is a pattern.
    pub example: &'static str,
    /// Kind of network.
    pub kind: &'static str,
    /// Alternative spellings.
    pub aliases: &'static [&'static str],
    /// Reference, with venue and year.
    pub reference: &'static str,
}

const HE: &str = "He et al., Deep Residual Learning for Image Recognition, CVPR 2016";
const TIAN: &str = "Tian et al., Contrastive Representation Distillation, ICLR 2020; after \
                    He et al., Deep Residual Learning for Image Recognition, CVPR 2016";
const ZAGORUYKO: &str = "Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016";

const fn resnet(name: &'static str, reference: &'static str) -> ArchitectureEntry {
    ArchitectureEntry {
        name,
        example: name,
        kind: "residual network",
        aliases: &[],
        reference,
    }
}

const SIMONYAN: &str = "Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale \
                        Image Recognition, ICLR 2015";
const SIMONYAN_SMALL: &str = "Simonyan and Zisserman, Very Deep Convolutional Networks for \
                              Large-Scale Image Recognition, ICLR 2015; for small images after \
                              Tian et al., Contrastive Representation Distillation, ICLR 2020";

const SANDLER: &str = "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, \
                       CVPR 2018";
const SANDLER_SMALL: &str = "Sandler et al., MobileNetV2: Inverted Residuals and Linear \
                             Bottlenecks, CVPR 2018; for small images after \
                             Tian et al., Contrastive Representation Distillation, ICLR 2020";
const ZHANG: &str = "Zhang et al., ShuffleNet: An Extremely Efficient Convolutional Neural Network \
                     for Mobile Devices, CVPR 2018; for small images after \
                     Tian et al., Contrastive Representation Distillation, ICLR 2020";
const MA: &str = "Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture \
                  Design, ECCV 2018; for small images after \
                  Tian et al., Contrastive Representation Distillation, ICLR 2020";

const HOWARD: &str = "Howard et al., Searching for MobileNetV3, ICCV 2019";
const TAN: &str = "Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural \
                   Networks, ICML 2019";
const TOUVRON: &str = "Touvron et al., Training Data-Efficient Image Transformers & Distillation \
                       through Attention, ICML 2021; after Dosovitskiy et al., An Image is Worth \
                       16x16 Words, ICLR 2021";

const fn published(
    name: &'static str,
    kind: &'static str,
    aliases: &'static [&'static str],
    reference: &'static str,
) -> ArchitectureEntry {
    ArchitectureEntry {
        name,
        example: name,
        kind,
        aliases,
        reference,
    }
}

const VGG: &str = "VGG network";
const VIT: &str = "vision transformer";
const FOUR_STAGES: &str = "residual network of four stages";

const fn wide(name: &'static str, aliases: &'static [&'static str]) -> ArchitectureEntry {
    ArchitectureEntry {
        name,
        example: name,
        kind: "wide residual network",
        aliases,
        reference: ZAGORUYKO,
    }
}

const CATALOG: &[ArchitectureEntry] = &[
    ArchitectureEntry {
        name: "mlp-<width>-<width>-…",
        example: "mlp-64-32",
        kind: "multilayer perceptron",
        aliases: &["mlp_64_32"],
        reference: "Rumelhart et al., Learning Representations by Back-Propagating Errors, \
                    Nature 1986",
    },
    ArchitectureEntry {
        name: "convnet-<width>-<width>-…",
        example: "convnet-16-32",
        kind: "convolutional network",
        aliases: &["convnet_16_32"],
        reference: "LeCun et al., Gradient-Based Learning Applied to Document Recognition, \
                    Proceedings of the IEEE 1998",
    },
    resnet("resnet8", HE),
    resnet("resnet14", HE),
    resnet("resnet20", HE),
    resnet("resnet32", HE),
    resnet("resnet44", HE),
    resnet("resnet56", HE),
    resnet("resnet110", HE),
    resnet("resnet8x4", TIAN),
    resnet("resnet32x4", TIAN),
    wide("wrn-16-1", &["wrn_16_1"]),
    wide("wrn-16-2", &["wrn_16_2"]),
    wide("wrn-40-1", &["wrn_40_1"]),
    wide("wrn-40-2", &["wrn_40_2"]),
    published("vgg8", VGG, &[], SIMONYAN_SMALL),
    published("vgg11", VGG, &[], SIMONYAN_SMALL),
    published("vgg13", VGG, &[], SIMONYAN_SMALL),
    published("vgg16", VGG, &[], SIMONYAN_SMALL),
    published("vgg19", VGG, &[], SIMONYAN_SMALL),
    published(
        "mobile-half",
        "MobileNetV2",
        &["mobile_half"],
        SANDLER_SMALL,
    ),
    published("shufflev1", "ShuffleNet", &["ShuffleV1"], ZHANG),
    published("shufflev2", "ShuffleNet", &["ShuffleV2"], MA),
    published("cifar-resnet50", FOUR_STAGES, &["cifar_resnet50"], TIAN),
    published("resnet18", FOUR_STAGES, &[], HE),
    published("resnet34", FOUR_STAGES, &[], HE),
    published("resnet50", FOUR_STAGES, &[], HE),
    published("resnet101", FOUR_STAGES, &[], HE),
    published("resnet152", FOUR_STAGES, &[], HE),
    published("mobilenet-v2", "MobileNetV2", &["mobilenet_v2"], SANDLER),
    published("vgg16-bn", VGG, &["vgg16_bn"], SIMONYAN),
    published(
        "mobilenet-v3-small",
        "MobileNetV3",
        &["mobilenet_v3_small"],
        HOWARD,
    ),
    published("efficientnet-b0", "EfficientNet", &["efficientnet_b0"], TAN),
    published(
        "vit-tiny-patch16-224",
        VIT,
        &["vit_tiny_patch16_224"],
        TOUVRON,
    ),
    published(
        "vit-small-patch16-224",
        VIT,
        &["vit_small_patch16_224"],
        TOUVRON,
    ),
    published(
        "deit-tiny-patch16-224",
        VIT,
        &["deit_tiny_patch16_224"],
        TOUVRON,
    ),
    published(
        "deit-small-patch16-224",
        VIT,
        &["deit_small_patch16_224"],
        TOUVRON,
    ),
    published(
        "deit-tiny-distilled-patch16-224",
        VIT,
        &["deit_tiny_distilled_patch16_224"],
        TOUVRON,
    ),
    published(
        "deit-small-distilled-patch16-224",
        VIT,
        &["deit_small_distilled_patch16_224"],
        TOUVRON,
    ),
    ArchitectureEntry {
        name: "vit-<features>-<depth>-<heads>",
        example: "vit-16-2-4",
        kind: VIT,
        aliases: &["vit_16_2_4"],
        reference: "Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021",
    },
];

/// Returns all networks that [`NetworkConfig::by_name`](crate::NetworkConfig::by_name) supports.
pub fn catalog() -> &'static [ArchitectureEntry] {
    CATALOG
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;

    #[test]
    fn names_and_aliases_are_understood() {
        for entry in catalog() {
            let config = NetworkConfig::by_name(entry.example).unwrap();
            assert_eq!(config.to_string(), entry.example);
            for alias in entry.aliases {
                assert_eq!(NetworkConfig::by_name(alias).unwrap(), config, "{alias}");
            }
        }
    }
}
