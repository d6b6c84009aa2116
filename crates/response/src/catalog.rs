use burn::tensor::Tensor;
use burn_distill_core::{CatalogEntry, Input, LossEntry};
use std::sync::LazyLock;

/// Returns the losses of this crate, for recipes of networks with inputs of type `I`.
pub fn losses<I: Input>() -> Vec<LossEntry<I>> {
    vec![
        crate::soft_target::entry(),
        crate::logit_matching::entry(),
        crate::probability_matching::entry(),
        crate::soft_cross_entropy::entry(),
        crate::hard_target::entry(),
        crate::reverse_kl::entry(),
        crate::jensen_shannon::entry(),
        crate::total_variation::entry(),
        crate::skew_kl::entry(),
        crate::dist::entry(),
        crate::multi_level_term::entry(),
        crate::norm_kd::entry(),
        crate::learned_temperature::entry(),
        crate::decoupled::entry(),
        crate::normalized::entry(),
        crate::weighted_soft_labels::entry(),
        crate::proposal_classification::entry(),
        crate::distillation_token::entry(),
        crate::virtual_teacher::entry(),
        crate::label_smoothing::entry(),
        crate::heat_map::entry(),
        crate::pixel_wise::entry(),
        crate::bounded_objective::entry(),
        crate::several::averaged_entry(),
        crate::several::entropy_weighted_entry(),
        crate::several::confidence_aware_entry(),
        crate::several::adaptive_entry(),
        crate::several::amalgamated_entry(),
    ]
}

/// Returns the catalog entries of the losses of this crate.
pub fn catalog() -> &'static [CatalogEntry] {
    static CATALOG: LazyLock<Vec<CatalogEntry>> = LazyLock::new(|| {
        let losses = losses::<Tensor<2>>().into_iter();
        losses.map(|loss| loss.catalog).collect()
    });
    &CATALOG
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AdaptiveEnsembleLossConfig, AmalgamatedTeachersLossConfig, AveragedTeachersLossConfig,
        BoundedRegressionLossConfig, BoundedRegressionTerm, ConfidenceAwareLossConfig,
        DecoupledLossConfig, DistLossConfig, DistillationTokenLossConfig,
        EntropyWeightedLossConfig, HardTargetLossConfig, HeatMapLossConfig,
        JensenShannonLossConfig, LabelSmoothingLossConfig, LearnedTemperatureConfig,
        LogitMatchingLossConfig, MultiLevelLossConfig, NormKdLossConfig, NormalizedLossConfig,
        PixelWiseLossConfig, ProbabilityMatchingLossConfig, ProposalClassificationLossConfig,
        ReverseKlLossConfig, SkewKlLossConfig, SoftCrossEntropyLossConfig, SoftTargetLossConfig,
        TotalVariationLossConfig, VirtualTeacherLossConfig, WeightedSoftLabelsLossConfig,
    };
    use burn::tensor::Device;
    use burn_distill_core::NamedLoss;
    use std::collections::HashSet;

    #[test]
    fn losses_of_labels_say_so() {
        let losses = losses::<Tensor<2>>().into_iter();
        let names: Vec<_> = losses
            .filter(|loss| loss.labels)
            .map(|loss| loss.catalog.name)
            .collect();

        assert_eq!(
            names,
            [
                "decoupled",
                "normalized",
                "weighted-soft-labels",
                "proposal-classification",
                "distillation-token",
                "virtual-teacher",
                "label-smoothing",
            ]
        );
    }

    #[test]
    fn the_catalog_lists_every_loss_under_the_name_of_its_term() {
        let names: Vec<_> = catalog().iter().map(|loss| loss.name).collect();

        let expected = [
            NamedLoss::name(&SoftTargetLossConfig::new().init()),
            NamedLoss::name(&LogitMatchingLossConfig::new().init()),
            NamedLoss::name(&ProbabilityMatchingLossConfig::new().init()),
            NamedLoss::name(&SoftCrossEntropyLossConfig::new().init()),
            NamedLoss::name(&HardTargetLossConfig::new().init()),
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
            NamedLoss::name(&WeightedSoftLabelsLossConfig::new().init()),
            NamedLoss::name(&ProposalClassificationLossConfig::new().init()),
            NamedLoss::name(&DistillationTokenLossConfig::new().init()),
            NamedLoss::name(&VirtualTeacherLossConfig::new().init()),
            NamedLoss::name(&LabelSmoothingLossConfig::new().init()),
            HeatMapLossConfig::new().init().name(),
            PixelWiseLossConfig::new().init().name(),
            BoundedRegressionTerm::from(BoundedRegressionLossConfig::new().init()).name(),
            AveragedTeachersLossConfig::new().init(2).name(),
            EntropyWeightedLossConfig::new().init(2).name(),
            ConfidenceAwareLossConfig::new().init(2).name(),
            AdaptiveEnsembleLossConfig::new().init(2).name(),
            AmalgamatedTeachersLossConfig::new().init(2).name(),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn names_and_aliases_are_unique() {
        let names = || {
            catalog()
                .iter()
                .flat_map(|loss| [&[loss.name], loss.aliases].concat())
        };

        assert_eq!(names().collect::<HashSet<_>>().len(), names().count());
    }
}
