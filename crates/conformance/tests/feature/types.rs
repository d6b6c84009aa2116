//! All public types can cross threads. Tests of types that are not here are next to the trials of
//! the losses.

use burn_distill_conformance::{assert_all_losses_are_tested, assert_all_types_are_tested};
use burn_distill_core::testing::{assert_round_trip, assert_shareable};
use burn_distill_feature::*;

#[test]
fn types_can_be_shared() {
    assert_shareable::<ActivationBoundaryLossConfig>();
    assert_shareable::<AdaptiveFeatureLossConfig>();
    assert_shareable::<AttentionDistance>();
    assert_shareable::<AttentionFeatureLossConfig>();
    assert_shareable::<AttentionLayer>();
    assert_shareable::<AttentionRelationLossConfig>();
    assert_shareable::<AttentionScoresLossConfig>();
    assert_shareable::<AttentionTransferLossConfig>();
    assert_shareable::<BoundaryReduction>();
    assert_shareable::<ChannelAttentionLossConfig>();
    assert_shareable::<ConfidenceFeatureLossConfig>();
    assert_shareable::<ChannelWiseLossConfig>();
    assert_shareable::<ExitDistance>();
    assert_shareable::<ExitFeatureLossConfig>();
    assert_shareable::<FactorDistance>();
    assert_shareable::<FactorTransferLossConfig>();
    assert_shareable::<HiddenCosineLossConfig>();
    assert_shareable::<HiddenStatesLoss>();
    assert_shareable::<HiddenStatesLossConfig>();
    assert_shareable::<HintLossConfig>();
    assert_shareable::<HintNormalization>();
    assert_shareable::<HintReduction>();
    assert_shareable::<MaskedGenerationLossConfig>();
    assert_shareable::<MaskedPart>();
    assert_shareable::<LayerProjectionLossConfig>();
    assert_shareable::<NeuronSelectivityLossConfig>();
    assert_shareable::<OverhaulLossConfig>();
    assert_shareable::<Padding>();
    assert_shareable::<PatientLossConfig>();
    assert_shareable::<PatientReduction>();
    assert_shareable::<PearsonLossConfig>();
    assert_shareable::<ProjectionConfig>();
    assert_shareable::<ReconstructionDistance>();
    assert_shareable::<ReviewLossConfig>();
    assert_shareable::<SelectivityKernel>();
    assert_shareable::<SemanticCalibrationLossConfig>();
    assert_shareable::<SimKdLossConfig>();
    assert_shareable::<SoftmaxRegressionLossConfig>();
    assert_shareable::<UnevenLayers>();
    assert_shareable::<VidLossConfig>();
}

#[test]
fn configurations_survive_json() {
    assert_round_trip(&ExitFeatureLossConfig::new());
}

#[test]
fn no_public_type_is_missing() {
    assert_all_types_are_tested("feature", 40);
}

#[test]
fn no_loss_is_missing() {
    assert_all_losses_are_tested("feature", catalog().iter().map(|entry| entry.name));
}
