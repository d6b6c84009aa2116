use super::context::{PeerObjective, PreparedStrategy, StrategyContext, ViewMode};
use super::peers::{PeerTarget, Peers, prepared_peers};
use super::terms::{SOFT_TARGET, cross_entropy_and_soft, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks};
use crate::input::AnyNetwork;
use crate::model::ModelRecipe;
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError};
use burn_distill::strategy::{MutualDistiller, PeerOrder};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of mutual learning.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<MutualRecipe>(CatalogEntry {
    name: "mutual",
    abbreviation: "DML",
    about: "peers teach each other",
    kind: "mutual",
    aliases: &["dml"],
    reference: "Zhang et al., Deep Mutual Learning, CVPR 2018",
});

/// `kind = "mutual"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MutualRecipe {
    /// Peers of the student.
    pub peers: Peers,
    /// Order in which the networks step.
    pub order: PeerOrder,
    /// Targets of a peer.
    pub target: PeerTarget,
    /// Temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Weight of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Default for MutualRecipe {
    fn default() -> Self {
        Self {
            peers: Peers::Count(1),
            order: PeerOrder::default(),
            target: PeerTarget::Each,
            temperature: None,
            weight: None,
        }
    }
}

/// Peers that learn from each other.
pub type Mutual = MutualDistiller<AnyNetwork, PeerObjective>;

impl Check for MutualRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::soft(self.temperature, self.weight)
    }
}

impl MutualRecipe {
    /// Sets up peers that learn from each other.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Mutual>> {
        self.peers.check(1)?;
        let models = self.peers.models(context.model());
        let peers = context.with_student(&models)?;
        let target = self.target.ensemble();
        let (terms, objectives) =
            context.draw(|| context.between_peers(&context.numbered_losses(), &peers, target))?;
        let distiller = context.draw(|| MutualDistiller::new(peers, objectives));
        let distiller = distiller.with_order(self.order);
        Ok(prepared_peers(
            models,
            distiller,
            &terms,
            ViewMode::Views(1),
            |distiller| distiller.peers,
        ))
    }
}

impl Strategy for MutualRecipe {
    fn description(&self) -> &'static str {
        "the peers teach each other"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(self.set_up(context)?.into())
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let options = (&mut self.temperature, &mut self.weight);
        cross_entropy_and_soft(SOFT_TARGET, options, (1.0, 1.0))
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        soft_option(&self.temperature, &self.weight)
    }

    fn networks(&self) -> usize {
        1 + self.peers.count()
    }

    fn models_mut(&mut self) -> Vec<(String, &mut ModelRecipe)> {
        self.peers.models_mut()
    }
}
