use super::description::Description;
use super::layers::Layers;
use super::{Loss, not_built};
use anyhow::{Result, ensure};
use burn_distill::core::{Pair, PairObjective};
use burn_distill::relation::{
    ContrastiveLossConfig, ContrastiveObjective, Population, RelationalRepresentationLossConfig,
use anyhow::Result;
use burn_distill::relation::{
    AdjacentCorrelationLoss, AdjacentCorrelationLossConfig, ClassAttentionLossConfig,
    CorrelationCongruenceLoss, CorrelationCongruenceLossConfig, DarkRankLossConfig,
    LocalityPreservingLossConfig, ProbabilisticTransferLossConfig, RelationalAngleLossConfig,
    RelationalDistanceLossConfig, SimilarityPreservingLossConfig,
};

/// A loss on relations.
pub fn build(kind: &str, loss: Description<'_>) -> Result<Loss> {
    match kind {
        ContrastiveObjective::TERM => contrastive(loss),
        "relational-representation" => relational_representation(loss),
        _ => not_built(kind),
    }
}

fn contrastive(mut loss: Description<'_>) -> Result<Loss> {
    let (student, teacher) = loss.pair(Layers::Pooled)?;
    let features = loss.features(&student, &teacher)?;
    let population = Population::new(loss.scene.samples.iter().copied());
    let device = loss.scene.device.clone();
    let contrast = loss.init(ContrastiveLossConfig::new(), |config| {
        config.init(features, population, &device)
    })?;
    loss.named(ContrastiveObjective::TERM, 0.8, |name, weight| {
        ContrastiveObjective::new(contrast, student, teacher, weight).with_name(name)
    })
}

fn relational_representation(mut loss: Description<'_>) -> Result<Loss> {
    let (student, teacher) = loss.pair(Layers::Pooled)?;
    let features = loss.features(&student, &teacher)?;
    let device = loss.scene.device.clone();
    let relations = loss.init(RelationalRepresentationLossConfig::new(), |config| {
        config.init(features, &device)
    })?;
    loss.named("relational-representation", 1.0, |name, weight| {
        PairObjective::new([Pair::new(student, teacher, relations)], weight).with_name(name)
    })
}

impl Description<'_> {
    /// The one tap of the student and the one of the teacher that a loss compares.
    pub fn pair(&mut self, default: Layers) -> Result<(String, String)> {
        let mut pairs = self.pairs(default)?;
        ensure!(
            pairs.len() == 1,
            "this loss compares one tap with one, but there are {}",
            pairs.len()
        );
        Ok(pairs.swap_remove(0))
    }

    /// How many features these taps have as vectors.
    pub fn features(&self, student: &str, teacher: &str) -> Result<[usize; 2]> {
        let features = |taps: &burn_distill::core::Taps, name: &str| -> Result<usize> {
            Ok(taps.get(name)?.shape().as_slice()[1..].iter().product())
        };
        Ok([
            features(&self.scene.student_taps, student)?,
            features(&self.scene.teacher_taps, teacher)?,
        ])
    }
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
        _ => not_built(kind),
    }
}
