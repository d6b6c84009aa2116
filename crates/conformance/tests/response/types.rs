//! Properties of every public type: configurations can be written as JSON and read again, and all
//! types can cross threads.

use burn_distill_conformance::{assert_all_losses_are_tested, assert_all_types_are_tested};
use burn_distill_core::CatalogEntry;
use burn_distill_core::testing::{assert_round_trip, assert_shareable};
use burn_distill_response::*;

#[test]
fn configurations_survive_json() {
    // With values that are not the defaults.
    assert_round_trip(&SoftTargetLossConfig::new().with_temperature(2.5));
    assert_round_trip(
        &SoftCrossEntropyLossConfig::new()
            .with_renormalize(true)
            .with_epsilon(1e-5),
    );
    assert_round_trip(&LogitMatchingLossConfig::new().with_variant(LogitMatchingVariant::Centered));
    assert_round_trip(&ReverseKlLossConfig::new().with_floor(Some(-50.0)));
    assert_round_trip(&JensenShannonLossConfig::new().with_beta(0.2));
    assert_round_trip(
        &TotalVariationLossConfig::new().with_scale(TotalVariationScale::TemperatureSquared),
    );
    assert_round_trip(&ProbabilityMatchingLossConfig::new());
    assert_round_trip(&SkewKlLossConfig::new().with_reverse(true));
    assert_round_trip(&DecoupledLossConfig::new().with_beta(2.0));
    assert_round_trip(&NormalizedLossConfig::new().with_gamma(3.5));
    assert_round_trip(&WeightedSoftLabelsLossConfig::new().with_temperature(4.0));
    assert_round_trip(&DistLossConfig::new().with_scale_t2(false));
    assert_round_trip(&MultiLevelLossConfig::new().with_confidence(ConfidenceMask::Select));
    assert_round_trip(&StandardizationConfig::new().with_population(true));
    assert_round_trip(&NormKdLossConfig::new().with_coefficient(2.0));
    assert_round_trip(&LearnedTemperatureConfig::new().with_standardize(true));
    assert_round_trip(&DistillationTokenLossConfig::new().with_teacher_share(0.3));
    assert_round_trip(&VirtualTeacherLossConfig::new().with_soften_student(true));
    assert_round_trip(&LabelSmoothingLossConfig::new().with_variant(LabelSmoothingVariant::Others));
    assert_round_trip(&ProposalClassificationLossConfig::new().with_background(20));
    assert_round_trip(&BoundedRegressionLossConfig::new().with_margin(1.0));
    assert_round_trip(&HardTargetLossConfig::new());
    assert_round_trip(&HeatMapLossConfig::new());
    assert_round_trip(&PixelWiseLossConfig::new().with_temperature(2.0));
    assert_round_trip(&AveragedTeachersLossConfig::new().with_average(TeacherAverage::Logits));
    assert_round_trip(&EntropyWeightedLossConfig::new().with_temperature(2.0));
    assert_round_trip(&ConfidenceAwareLossConfig::new().with_temperature(2.0));
    assert_round_trip(&AdaptiveEnsembleLossConfig::new().with_tolerance(0.5));
    assert_round_trip(&AmalgamatedTeachersLossConfig::new().with_temperature(2.0));
}

#[test]
fn types_can_be_shared() {
    assert_shareable::<AdaptiveEnsembleLoss>();
    assert_shareable::<AdaptiveEnsembleLossConfig>();
    assert_shareable::<AmalgamatedTeachersLoss>();
    assert_shareable::<AmalgamatedTeachersLossConfig>();
    assert_shareable::<AveragedTeachersLoss>();
    assert_shareable::<AveragedTeachersLossConfig>();
    assert_shareable::<TeacherAverage>();
    assert_shareable::<ConfidenceAwareLoss>();
    assert_shareable::<ConfidenceAwareLossConfig>();
    assert_shareable::<EntropyWeightedLoss>();
    assert_shareable::<EntropyWeightedLossConfig>();
    assert_shareable::<TargetHeatMaps>();
    assert_shareable::<TargetHeatMapsTerm>();
    assert_shareable::<BatchObjective<DistLoss>>();
    assert_shareable::<BatchTerm<DistLoss>>();
    assert_shareable::<BoundedRegressionLoss>();
    assert_shareable::<BoundedRegressionLossConfig>();
    assert_shareable::<BoundedRegressionObjective>();
    assert_shareable::<BoundedRegressionTerm>();
    assert_shareable::<Chunked<SoftTargetLoss>>();
    assert_shareable::<CatalogEntry>();
    assert_shareable::<ConfidenceMask>();
    assert_shareable::<ConfidenceWeighted>();
    assert_shareable::<DecoupledLoss>();
    assert_shareable::<DecoupledLossConfig>();
    assert_shareable::<DecoupledParts>();
    assert_shareable::<DistLoss>();
    assert_shareable::<DistLossConfig>();
    assert_shareable::<DistParts>();
    assert_shareable::<DistillationTokenLoss>();
    assert_shareable::<DistillationTokenLossConfig>();
    assert_shareable::<PairedLogProbs>();
    assert_shareable::<LmHead>();
    assert_shareable::<HardTargetLoss>();
    assert_shareable::<HardTargetLossConfig>();
    assert_shareable::<HeatMapLoss>();
    assert_shareable::<HeatMapLossConfig>();
    assert_shareable::<HeatMapObjective>();
    assert_shareable::<LazyLogits>();
    assert_shareable::<JensenShannonLoss>();
    assert_shareable::<JensenShannonLossConfig>();
    assert_shareable::<LabelSmoothingLoss>();
    assert_shareable::<LabelSmoothingLossConfig>();
    assert_shareable::<LabelSmoothingVariant>();
    assert_shareable::<LabeledObjective<DecoupledLoss>>();
    assert_shareable::<LabeledTerm<DecoupledLoss>>();
    assert_shareable::<LearnedTemperature>();
    assert_shareable::<LearnedTemperatureConfig>();
    assert_shareable::<LogitMatchingLoss>();
    assert_shareable::<LogitMatchingLossConfig>();
    assert_shareable::<LogitMatchingVariant>();
    assert_shareable::<LogitTerm<SoftTargetLoss>>();
    assert_shareable::<MultiLevelLoss>();
    assert_shareable::<MultiLevelLossConfig>();
    assert_shareable::<MultiLevelParts>();
    assert_shareable::<MultiLevelTerm>();
    assert_shareable::<NormKdLoss>();
    assert_shareable::<NormKdLossConfig>();
    assert_shareable::<NormalizedLoss>();
    assert_shareable::<NormalizedLossConfig>();
    assert_shareable::<PermutedPredictions<SoftTargetLoss>>();
    assert_shareable::<PixelWiseLoss>();
    assert_shareable::<PixelWiseLossConfig>();
    assert_shareable::<ProbabilityMatchingLoss>();
    assert_shareable::<ProbabilityMatchingLossConfig>();
    assert_shareable::<ProposalClassificationLoss>();
    assert_shareable::<ProposalClassificationLossConfig>();
    assert_shareable::<ResponseObjective<SoftTargetLoss>>();
    assert_shareable::<TailMode>();
    assert_shareable::<ReverseKlLoss>();
    assert_shareable::<ReverseKlLossConfig>();
    assert_shareable::<SkewKlLoss>();
    assert_shareable::<SkewKlLossConfig>();
    assert_shareable::<SoftCrossEntropyLoss>();
    assert_shareable::<SoftCrossEntropyLossConfig>();
    assert_shareable::<SoftTargetLoss>();
    assert_shareable::<SoftTargetLossConfig>();
    assert_shareable::<SparseLogits>();
    assert_shareable::<StandardizationConfig>();
    assert_shareable::<Standardized<SoftTargetLoss>>();
    assert_shareable::<TeacherFreeObjective<VirtualTeacherLoss>>();
    assert_shareable::<TeacherFreeTerm<VirtualTeacherLoss>>();
    assert_shareable::<TeacherRows>();
    assert_shareable::<TeacherLogits>();
    assert_shareable::<TotalVariationLoss>();
    assert_shareable::<TotalVariationLossConfig>();
    assert_shareable::<TotalVariationScale>();
    assert_shareable::<DualHeadConsistency<SoftTargetLoss>>();
    assert_shareable::<UnknownClass>();
    assert_shareable::<VirtualTeacherLoss>();
    assert_shareable::<VirtualTeacherLossConfig>();
    assert_shareable::<WeightedSoftLabelsLoss>();
    assert_shareable::<WeightedSoftLabelsLossConfig>();
}

#[test]
fn no_public_type_is_missing() {
    assert_all_types_are_tested("response", 50);
}

#[test]
fn no_loss_is_missing() {
    assert_all_losses_are_tested("response", catalog().iter().map(|entry| entry.name));
}
