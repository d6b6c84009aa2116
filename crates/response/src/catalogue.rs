use burn_distill_core::CatalogueEntry;

/// The losses of this crate.
pub fn catalogue() -> &'static [CatalogueEntry] {
    const HINTON: &str = "Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, \
        NIPS Deep Learning Workshop 2014";
    &[
        CatalogueEntry {
            name: "soft-target",
            kind: "response",
            aliases: &["kd", "hinton"],
            reference: HINTON,
        },
        CatalogueEntry {
            name: "logit-matching",
            kind: "response",
            aliases: &["logits", "ba-caruana"],
            reference: "Ba and Caruana, Do Deep Nets Really Need to be Deep?, NIPS 2014",
        },
        CatalogueEntry {
            name: "probability-matching",
            kind: "response",
            aliases: &["softmax-mse"],
            reference: "Tarvainen and Valpola, Mean teachers are better role models, NIPS 2017",
        },
        CatalogueEntry {
            name: "soft-cross-entropy",
            kind: "response",
            aliases: &["soft-ce"],
            reference: HINTON,
        },
        CatalogueEntry {
            name: "reverse-kl",
            kind: "response",
            aliases: &["rkl"],
            reference: "Gu et al., MiniLLM: Knowledge Distillation of Large Language Models, ICLR 2024",
        },
        CatalogueEntry {
            name: "jensen-shannon",
            kind: "response",
            aliases: &["jsd", "gkd"],
            reference: "Agarwal et al., On-Policy Distillation of Language Models, ICLR 2024",
        },
        CatalogueEntry {
            name: "total-variation",
            kind: "response",
            aliases: &["tvd"],
            reference: "Wen et al., f-Divergence Minimization for Sequence-Level Knowledge \
                Distillation, ACL 2023",
        },
        CatalogueEntry {
            name: "skew-kl",
            kind: "response",
            aliases: &["skl", "distillm"],
            reference: "Ko et al., DistiLLM: Towards Streamlined Distillation for Large Language \
                Models, ICML 2024",
        },
        CatalogueEntry {
            name: "dist",
            kind: "response",
            aliases: &["correlation"],
            reference: "Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS 2022",
        },
        CatalogueEntry {
            name: "multi-level",
            kind: "response",
            aliases: &["mlld", "mlkd"],
            reference: "Jin, Wang and Lin, Multi-Level Logit Distillation, CVPR 2023",
        },
        CatalogueEntry {
            name: "norm-kd",
            kind: "response",
            aliases: &["normkd"],
            reference: "Chi et al., NormKD: Normalized Logits for Knowledge Distillation, 2023",
        },
        CatalogueEntry {
            name: "learned-temperature",
            kind: "response",
            aliases: &["ctkd"],
            reference: "Li et al., Curriculum Temperature for Knowledge Distillation, AAAI 2023",
        },
        CatalogueEntry {
            name: "decoupled",
            kind: "response",
            aliases: &["dkd"],
            reference: "Zhao et al., Decoupled Knowledge Distillation, CVPR 2022",
        },
        CatalogueEntry {
            name: "normalized",
            kind: "response",
            aliases: &["nkd"],
            reference: "Yang et al., From Knowledge Distillation to Self-Knowledge Distillation: A \
                Unified Approach with Normalized Loss and Customized Soft Labels, ICCV 2023",
        },
        CatalogueEntry {
            name: "proposal-classification",
            kind: "response",
            aliases: &[],
            reference: "Chen et al., Learning Efficient Object Detection Models with Knowledge \
                Distillation, NIPS 2017",
        },
        CatalogueEntry {
            name: "virtual-teacher",
            kind: "targets",
            aliases: &["tf-kd"],
            reference: "Yuan et al., Revisiting Knowledge Distillation via Label Smoothing \
                Regularization, CVPR 2020",
        },
        CatalogueEntry {
            name: "label-smoothing",
            kind: "targets",
            aliases: &["lsr"],
            reference: "Szegedy et al., Rethinking the Inception Architecture for Computer Vision, \
                CVPR 2016",
        },
        CatalogueEntry {
            name: "heat-map",
            kind: "response",
            aliases: &["fpd"],
            reference: "Zhang, Zhu and Ye, Fast Human Pose Estimation, CVPR 2019",
        },
        CatalogueEntry {
            name: "bounded-regression",
            kind: "response",
            aliases: &[],
            reference: "Chen et al., Learning Efficient Object Detection Models with Knowledge \
                Distillation, NIPS 2017",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        BoundedRegressionLossConfig, BoundedRegressionTerm, DecoupledLossConfig, DistLossConfig,
        HeatMapLossConfig, JensenShannonLossConfig, LabelSmoothingLossConfig,
        LearnedTemperatureConfig, LogitMatchingLossConfig, MultiLevelLossConfig, NormKdLossConfig,
        NormalizedLossConfig, ProbabilityMatchingLossConfig, ProposalClassificationLossConfig,
        ReverseKlLossConfig, SkewKlLossConfig, SoftCrossEntropyLossConfig, SoftTargetLossConfig,
        TotalVariationLossConfig, VirtualTeacherLossConfig,
    };
    use burn::tensor::Device;
    use burn_distill_core::NamedLoss;
    use std::collections::HashSet;

    #[test]
    fn the_catalogue_holds_every_loss_under_the_name_of_its_term() {
        let names: Vec<_> = catalogue().iter().map(|loss| loss.name).collect();

        let expected = [
            NamedLoss::name(&SoftTargetLossConfig::new().init()),
            NamedLoss::name(&LogitMatchingLossConfig::new().init()),
            NamedLoss::name(&ProbabilityMatchingLossConfig::new().init()),
            NamedLoss::name(&SoftCrossEntropyLossConfig::new().init()),
            NamedLoss::name(&ReverseKlLossConfig::new().init()),
            NamedLoss::name(&JensenShannonLossConfig::new().init()),
            NamedLoss::name(&TotalVariationLossConfig::new().init()),
            NamedLoss::name(&SkewKlLossConfig::new().init()),
            DistLossConfig::new().init().name(),
            MultiLevelLossConfig::new().init().name(),
            NormKdLossConfig::new().init().name(),
            LearnedTemperatureConfig::new()
                .init(&Device::default())
                .name(),
            NamedLoss::name(&DecoupledLossConfig::new().init()),
            NamedLoss::name(&NormalizedLossConfig::new().init()),
            NamedLoss::name(&ProposalClassificationLossConfig::new().init()),
            NamedLoss::name(&VirtualTeacherLossConfig::new().init()),
            NamedLoss::name(&LabelSmoothingLossConfig::new().init()),
            HeatMapLossConfig::new().init().name(),
            BoundedRegressionTerm::from(BoundedRegressionLossConfig::new().init()).name(),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn no_name_means_two_losses() {
        let names = || {
            catalogue()
                .iter()
                .flat_map(|loss| [&[loss.name], loss.aliases].concat())
        };

        assert_eq!(names().collect::<HashSet<_>>().len(), names().count());
    }
}
