use super::description::Description;
use super::layers::Layers;
use super::memory::{contrastive, relational_representation};
use super::{Loss, graph, not_built};
use anyhow::Result;
use burn_distill::relation::{
    AdjacentCorrelationLoss, AdjacentCorrelationLossConfig, ClassAttentionLossConfig,
    CorrelationCongruenceLoss, CorrelationCongruenceLossConfig, DarkRankLossConfig,
    LabelSimilarityTerm, LocalityPreservingLossConfig, ProbabilisticTransferLossConfig,
    RelationalAngleLossConfig, RelationalDistanceLossConfig, SimilarityPreservingLossConfig,
};

/// A loss on relations.
pub fn build(kind: &str, loss: Description<'_>) -> Result<Loss> {
    match kind {
        "contrastive" => contrastive(loss),
        "relational-representation" => relational_representation(loss),
        "relational-distance" => loss.pairs_of(
            Layers::Pooled,
            25.0,
            RelationalDistanceLossConfig::new(),
            |c| c.init(),
        ),
        "relational-angle" => loss.pairs_of(
            Layers::Pooled,
            50.0,
            RelationalAngleLossConfig::new(),
            |c| c.init(),
        ),
        "dark-rank" => loss.pairs_of(Layers::Pooled, 1.0, DarkRankLossConfig::new(), |c| c.init()),
        "locality-preserving" => loss.pairs_of(
            Layers::Pooled,
            1.0,
            LocalityPreservingLossConfig::new(),
            |c| c.init(),
        ),
        "probabilistic-transfer" => loss.pairs_of(
            Layers::Pooled,
            30000.0,
            ProbabilisticTransferLossConfig::new(),
            |c| c.init(),
        ),
        "similarity-preserving" => loss.pairs_of(
            Layers::LastStage,
            3000.0,
            SimilarityPreservingLossConfig::new(),
            |c| c.init(),
        ),
        "correlation-congruence" => loss.embedded(
            None,
            100.0,
            CorrelationCongruenceLossConfig::new(),
            |c| c.init(),
            CorrelationCongruenceLoss::with_embeddings,
        ),
        "adjacent-correlation" => loss.embedded(
            Some(128),
            0.02,
            AdjacentCorrelationLossConfig::new(),
            |c| c.init(),
            AdjacentCorrelationLoss::with_embeddings,
        ),
        "inter-channel-correlation" => loss.inter_channel_correlation(),
        "class-attention" => {
            loss.class_maps()?;
            loss.pairs_of(
                Layers::ClassMaps,
                15.0,
                ClassAttentionLossConfig::new(),
                |c| c.init(),
            )
        }
        "flow-of-solution" => loss.flow_of_solution(),
        "singular-vectors" => loss.singular_vectors(),
        "multi-head-graph" => loss.multi_head_graph(),
        "information-flow" => loss.information_flow(),
        "instance-graph" => loss.instance_graph(),
        "self-attention-relations" => loss.self_attention_relations(),
        "token-flow" => loss.token_flow(),
        "token-similarity" => loss.token_similarity(),
        "label-similarity" => label_similarity(loss),
        _ if graph::is_joint(kind) => graph::single(kind, loss),
        _ => not_built(kind),
    }
}

/// The classes in place of the teacher.
fn label_similarity(mut loss: Description<'_>) -> Result<Loss> {
    let student = loss.one("student", &loss.scene.student_taps, Layers::Pooled)?;
    let choices = loss.init(ProbabilisticTransferLossConfig::new(), |c| c.init())?;
    // In batches of 64, the mean over samples of the divergence.
    loss.term(LabelSimilarityTerm::new(choices, student), 64.0)
}
