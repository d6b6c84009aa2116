//! All public types can cross threads. Tests of types that are not here are next to the trials of
//! the losses.

use burn_distill_conformance::{assert_all_losses_are_tested, assert_all_types_are_tested};
use burn_distill_core::testing::{assert_round_trip, assert_shareable};
use burn_distill_relation::*;

#[test]
fn types_can_be_shared() {
    assert_shareable::<AdjacentCorrelationLossConfig>();
    assert_shareable::<AffinityDivergence>();
    assert_shareable::<AffinityKernel>();
    assert_shareable::<AttentionHeads>();
    assert_shareable::<AttentionHeadsObjective>();
    assert_shareable::<ChannelEmbeddingConfig>();
    assert_shareable::<ChannelProjections>();
    assert_shareable::<ClassAttentionLossConfig>();
    assert_shareable::<Contrast>();
    assert_shareable::<ContrastiveLossConfig>();
    assert_shareable::<CorrelationCongruenceLossConfig>();
    assert_shareable::<CorrelationDistance>();
    assert_shareable::<CorrelationKernel>();
    assert_shareable::<DarkRankLossConfig>();
    assert_shareable::<Embeddings>();
    assert_shareable::<EmbeddingsConfig>();
    assert_shareable::<FlowDistance>();
    assert_shareable::<FlowOfSolutionLossConfig>();
    assert_shareable::<FlowPooling>();
    assert_shareable::<GraphDistance>();
    assert_shareable::<GraphDivergence>();
    assert_shareable::<GraphTerm<ModalityGraphLoss>>();
    assert_shareable::<GraphTransformation>();
    assert_shareable::<InformationFlowLossConfig>();
    assert_shareable::<InformationFlowTerm>();
    assert_shareable::<InstanceGraphLossConfig>();
    assert_shareable::<InstanceGraphParts>();
    assert_shareable::<InstanceGraphTerm>();
    assert_shareable::<InterChannelCorrelationLossConfig>();
    assert_shareable::<LabelSimilarityTerm>();
    assert_shareable::<LayerAttention>();
    assert_shareable::<LayerPairing>();
    assert_shareable::<LocalityPreservingLossConfig>();
    assert_shareable::<LogitsGraphLossConfig>();
    assert_shareable::<ModalityGraphLossConfig>();
    assert_shareable::<MultiHeadGraphConfig>();
    assert_shareable::<MultiHeadGraphObjective>();
    assert_shareable::<SampleIndex>();
    assert_shareable::<PairWiseLossConfig>();
    assert_shareable::<Positive>();
    assert_shareable::<ProbabilisticTransferLossConfig>();
    assert_shareable::<Projected<FlowOfSolutionLoss>>();
    assert_shareable::<RelationalAngleLossConfig>();
    assert_shareable::<RelationalDistanceLossConfig>();
    assert_shareable::<RelationalRepresentationLossConfig>();
    assert_shareable::<RelativeDissimilarityLossConfig>();
    assert_shareable::<RepresentationGraphLossConfig>();
    assert_shareable::<RepresentationSpace>();
    assert_shareable::<SelfAttentionRelationsLossConfig>();
    assert_shareable::<SimilarityPreservingLossConfig>();
    assert_shareable::<SingularVectorLossConfig>();
    assert_shareable::<TokenFlowLossConfig>();
    assert_shareable::<TokenSimilarityLossConfig>();
    assert_shareable::<TransportCost>();
    assert_shareable::<Vertex>();
}

#[test]
fn configurations_survive_json() {
    assert_round_trip(&CorrelationCongruenceLossConfig::new());
}

#[test]
fn no_public_type_is_missing() {
    assert_all_types_are_tested("relation", 40);
}

#[test]
fn no_loss_is_missing() {
    assert_all_losses_are_tested("relation", catalog().iter().map(|entry| entry.name));
}
