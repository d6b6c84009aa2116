use super::fault::Place;
use crate::input::AnyNetwork;
use anyhow::{Context, Result, ensure};
use burn_distill::core::{DefaultTaps, check, known_taps};
use burn_distill::strategy::embedding_of;
use serde::{Deserialize, Serialize};

/// Measurements of the embeddings of all networks, beside those of their predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRecipe {
    /// Tap of the embedding. Default: the input of the classifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tap: Option<String>,
    /// Number of nearest neighbors that vote; without it, this accuracy is not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knn: Option<usize>,
    /// Whether the accuracy of a linear probe is measured.
    #[serde(default)]
    pub probe: bool,
}

impl EvaluationRecipe {
    /// Returns the tap of the embedding of a network.
    ///
    /// # Errors
    ///
    /// Returns an error if the network has no such tap, or if it is no embedding.
    pub fn tap_of(&self, network: &AnyNetwork) -> Result<String> {
        let taps = known_taps(network);
        let name = match &self.tap {
            Some(name) => name.clone(),
            None => {
                let default = DefaultTaps::Pooled.of(&taps).pop();
                default.context("the network offers no pooled features: name its embedding")?
            }
        };
        embedding_of(taps.get(&name)?.clone()).with_context(|| format!("`{name}`"))?;
        Ok(name)
    }

    /// Checks the measurements, given whether the data has labels.
    ///
    /// # Errors
    ///
    /// Returns an error that names the key.
    pub(super) fn check(&self, has_labels: bool) -> Result<()> {
        if let Some(knn) = self.knn {
            check::at_least("knn", knn, 1).at("evaluation")?;
        }
        ensure!(
            self.knn.is_some() || self.probe,
            "`evaluation` measures nothing: give it `knn`, a number of neighbors, or `probe = true`, or \
             leave it out"
        );
        ensure!(
            has_labels,
            "`evaluation` measures embeddings by the labels of training and test samples, but the data has \
             no labels (`data.labels` is false): leave it out"
        );
        Ok(())
    }
}
