use super::peers::{PeerTarget, Peers, figures_of_peers, outcome_of_peers};
use super::setting::{PeerObjective, Ready, Sees, Setting};
use super::terms::{SOFT_TARGET, hard_and_soft, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks};
use crate::input::AnyNetwork;
use anyhow::Result;
use burn_distill::core::{CatalogueEntry, Check, ConfigError};
use burn_distill::strategy::{MutualDistiller, PeerOrder};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of mutual learning.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<MutualRecipe>(CatalogueEntry {
    name: "mutual",
    kind: "peers, which learn at once or in turns",
    aliases: &["dml"],
    reference: "Zhang et al., Deep Mutual Learning, CVPR 2018",
});

/// `kind = "mutual"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MutualRecipe {
    /// Networks beside the student.
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
    pub fn set_up(&self, setting: &Setting) -> Result<Ready<Mutual>> {
        self.peers.check(1)?;
        let models = self.peers.models(setting.model());
        let peers = setting.with_student(&models)?;
        let target = self.target.ensemble();
        let (terms, objectives) =
            setting.draw(|| setting.between_peers(&setting.losses(), &peers, target))??;
        let count = peers.len();
        let distiller = setting.draw(|| MutualDistiller::new(peers, objectives))?;
        Ok(Ready {
            distiller: distiller.with_order(self.order),
            sees: Sees::Views(1),
            figures: figures_of_peers(count, &terms),
            outcome: outcome_of_peers(models, |distiller: Mutual| distiller.peers),
        })
    }
}

impl Strategy for MutualRecipe {
    fn who_teaches(&self) -> &'static str {
        "the peers teach each other"
    }

    fn prepare(&self, setting: &Setting) -> Result<Prepared> {
        Ok(Prepared::Training(self.set_up(setting)?.erased()))
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let options = (&mut self.temperature, &mut self.weight);
        hard_and_soft(SOFT_TARGET, options, (1.0, 1.0))
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        soft_option(&self.temperature, &self.weight)
    }

    fn networks(&self) -> usize {
        1 + self.peers.count()
    }
}
