//! Relations to samples that are remembered.

use super::Loss;
use super::description::Description;
use super::layers::Layers;
use super::sizes::vector_size;
use crate::memory::{NUMBER, fits, trained};
use anyhow::{Result, ensure};
use burn_distill::core::{Pair, TapPairs};
use burn_distill::relation::{
    ContrastiveLossConfig, ContrastiveTerm, Population, RelationalRepresentationLossConfig,
};

/// Contrastive distillation.
pub fn contrastive(mut loss: Description<'_>) -> Result<Loss> {
    let (student, teacher) = loss.pair(Layers::Pooled)?;
    let features = loss.features(&student, &teacher)?;
    let population = Population::new(loss.scene.samples.iter().copied());
    let config = loss.configure(ContrastiveLossConfig::new())?;
    let (samples, batch) = (population.len() as f64, loss.scene.batch_size as f64);
    let row = NUMBER * config.embedding as f64;
    let banks = 2.0 * samples * row + trained((features[0] + features[1]) as f64 * row / NUMBER);
    fits("embedding", config.embedding, banks)?;
    // The rows of either bank that each sample of a batch is compared with.
    let compared = 2.0 * batch * (config.negatives as f64 + 1.0) * row;
    fits("negatives", config.negatives, compared)?;
    let device = loss.scene.device.clone();
    let contrast = loss.init(ContrastiveLossConfig::new(), |config| {
        config.init(features, population, &device)
    })?;
    loss.term(ContrastiveTerm::new(contrast, student, teacher), 0.8)
}

/// Relational representation distillation.
pub fn relational_representation(mut loss: Description<'_>) -> Result<Loss> {
    let (student, teacher) = loss.pair(Layers::Pooled)?;
    let features = loss.features(&student, &teacher)?;
    let config = loss.configure(RelationalRepresentationLossConfig::new())?;
    let (batch, embedding) = (loss.scene.batch_size as f64, config.embedding as f64);
    let embeddings = trained((features[0] + features[1]) as f64 * embedding);
    fits("embedding", config.embedding, embeddings)?;
    let queue = NUMBER * config.queue as f64 * (embedding + 2.0 * batch);
    fits("queue", config.queue, queue)?;
    let device = loss.scene.device.clone();
    let relations = loss.init(RelationalRepresentationLossConfig::new(), |config| {
        config.init(features, &device)
    })?;
    let pair = Pair::new(student, teacher, relations);
    loss.term(TapPairs::from([pair]), 1.0)
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
        Ok([
            vector_size(&self.scene.student_taps, student)?,
            vector_size(&self.scene.teacher_taps, teacher)?,
        ])
    }
}
