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
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        JensenShannonLossConfig, LogitLoss, LogitMatchingLossConfig, ReverseKlLossConfig,
        SkewKlLossConfig, SoftCrossEntropyLossConfig, SoftTargetLossConfig,
        TotalVariationLossConfig,
    };
    use std::collections::HashSet;

    #[test]
    fn the_catalogue_holds_every_loss_under_the_name_of_its_term() {
        let names: Vec<_> = catalogue().iter().map(|loss| loss.name).collect();

        let expected = [
            LogitLoss::name(&SoftTargetLossConfig::new().init()),
            LogitLoss::name(&LogitMatchingLossConfig::new().init()),
            LogitLoss::name(&SoftCrossEntropyLossConfig::new().init()),
            LogitLoss::name(&ReverseKlLossConfig::new().init()),
            LogitLoss::name(&JensenShannonLossConfig::new().init()),
            LogitLoss::name(&TotalVariationLossConfig::new().init()),
            LogitLoss::name(&SkewKlLossConfig::new().init()),
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
