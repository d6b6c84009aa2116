use super::context::{PreparedStrategy, StrategyContext, ViewMode};
use super::mutual::Mutual;
use super::peers::{Peers, prepared_peers};
use super::terms::{SOFT_TARGET, cross_entropy, soft, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks};
use crate::model::ModelRecipe;
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError};
use burn_distill::strategy::{EnsembleTarget, MutualDistiller};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of collaborative learning.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<CollaborativeRecipe>(CatalogEntry {
    name: "collaborative",
    abbreviation: "KDCL",
    about: "one target, made of all peers, teaches each",
    kind: "mutual",
    aliases: &["kdcl"],
    reference: "Guo et al., Online Knowledge Distillation via Collaborative Learning, \
        CVPR 2020 (all targets but the mean our interpretation)",
});

/// `kind = "collaborative"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollaborativeRecipe {
    /// Peers of the student.
    pub peers: Peers,
    /// Target that is made of all networks.
    pub target: EnsembleTarget,
    /// Temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Weight of the soft targets, if there is no `[[loss]]`. The weight of the labels is 1 minus
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Default for CollaborativeRecipe {
    fn default() -> Self {
        Self {
            peers: Peers::Count(1),
            target: EnsembleTarget::MinLogit,
            temperature: None,
            weight: None,
        }
    }
}

impl Check for CollaborativeRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::soft(self.temperature, None)?;
        checks::rest_of_one(self.weight)
    }
}

impl CollaborativeRecipe {
    /// Sets up peers with a target that is computed from all, each on another view.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Mutual>> {
        self.peers.check(1)?;
        let models = self.peers.models(context.model());
        let peers = context.with_student(&models)?;
        let target = Some(self.target);
        let (terms, objectives) =
            context.draw(|| context.between_peers(&context.numbered_losses(), &peers, target))?;
        let count = peers.len();
        let distiller = context.draw(|| MutualDistiller::new(peers, objectives));
        Ok(prepared_peers(
            models,
            distiller,
            &terms,
            ViewMode::Views(count),
            |distiller| distiller.peers,
        ))
    }
}

impl Strategy for CollaborativeRecipe {
    fn description(&self) -> &'static str {
        "the peers teach each other"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(self.set_up(context)?.into())
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let temperature = self.temperature.take().unwrap_or(4.0);
        let weight = self.weight.take().unwrap_or(0.5);
        vec![
            cross_entropy(1.0 - weight),
            soft(SOFT_TARGET, temperature, weight),
        ]
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        soft_option(&self.temperature, &self.weight)
    }

    fn uses_several_views(&self) -> bool {
        true
    }

    fn networks(&self) -> usize {
        1 + self.peers.count()
    }

    fn models_mut(&mut self) -> Vec<(String, &mut ModelRecipe)> {
        self.peers.models_mut()
    }
}
