//! Measurements of the embeddings of a network.

use super::data::Data;
use burn::tensor::Device;
use burn_distill::strategy::{
    EmbeddingSet, EvaluationError, LinearProbeConfig, NearestNeighborsConfig,
};
use burn_distill_recipe::{AnyNetwork, EvaluationRecipe};

/// Accuracies on the test set of simple classifiers of the embeddings of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EmbeddingAccuracy {
    /// Accuracy of the nearest neighbors, if it is measured.
    pub knn: Option<f64>,
    /// Accuracy of a linear probe, if it is measured.
    pub probe: Option<f64>,
}

impl EmbeddingAccuracy {
    /// Measures the embeddings of a network in validation mode, on this device: the
    /// classifiers learn from all training samples, without augmentation, and are tested on the test
    /// samples. Nothing is measured of a network without the embedding, such as an ensemble.
    ///
    /// # Errors
    ///
    /// Returns an error if a batch cannot be loaded, or if an embedding is NaN or infinite.
    pub(super) fn of(
        network: &AnyNetwork,
        recipe: &EvaluationRecipe,
        data: &Data,
        device: &Device,
    ) -> Result<Self, EvaluationError> {
        let Ok(tap) = recipe.tap_of(network) else {
            return Ok(Self::default());
        };
        let [training, _, test] = data.all_loaders(device);
        let bank = EmbeddingSet::of(network, &tap, &training)?;
        let queries = EmbeddingSet::of(network, &tap, &test)?;
        if bank.is_empty() {
            return Ok(Self::default());
        }
        let knn = recipe.knn.map(|neighbors| {
            let config = NearestNeighborsConfig::new().with_neighbors(neighbors);
            config.accuracy(&bank, &queries)
        });
        let probe = recipe.probe.then(|| {
            let probe = LinearProbeConfig::new().fit(&bank);
            probe.accuracy(&queries)
        });
        Ok(Self {
            knn: knn.transpose()?,
            probe: probe.transpose()?,
        })
    }
}
