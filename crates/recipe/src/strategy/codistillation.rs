use super::context::{PeerObjective, PreparedStrategy, StrategyContext, ViewMode};
use super::peers::{PeerTarget, Peers, prepared_peers};
use super::terms::{SOFT_CROSS_ENTROPY, cross_entropy_and_soft, soft_option};
use super::{Prepared, Strategy, StrategyEntry, checks};
use crate::input::AnyNetwork;
use crate::model::ModelRecipe;
use anyhow::Result;
use burn_distill::core::{CatalogEntry, Check, ConfigError, CrossEntropyObjective, check};
use burn_distill::strategy::Codistiller;
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of codistillation.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<CodistillationRecipe>(CatalogEntry {
    name: "codistillation",
    abbreviation: "",
    about: "stale copies of the peers teach",
    kind: "mutual",
    aliases: &["stale-peers"],
    reference: "Anil et al., Large scale distributed neural network training through \
        online distillation, ICLR 2018 (our interpretation)",
});

/// `kind = "codistillation"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodistillationRecipe {
    /// Peers of the student.
    pub peers: Peers,
    /// Number of steps before peers teach each other.
    pub burn_in: usize,
    /// Number of steps from one copy to the next.
    pub period: usize,
    /// Targets of a peer.
    pub target: PeerTarget,
    /// Temperature of the soft cross-entropy, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Weight of the soft cross-entropy, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Default for CodistillationRecipe {
    fn default() -> Self {
        Self {
            peers: Peers::Count(1),
            burn_in: 0,
            period: 1,
            target: PeerTarget::Others,
            temperature: None,
            weight: None,
        }
    }
}

/// Peers that learn from earlier copies of the others.
pub type Codistilled = Codistiller<AnyNetwork, CrossEntropyObjective, PeerObjective>;

impl Check for CodistillationRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("period", self.period, 1)?;
        checks::soft(self.temperature, self.weight)
    }
}

impl CodistillationRecipe {
    /// Sets up peers that learn from earlier copies of the others.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Codistilled>> {
        self.peers.check(1)?;
        let models = self.peers.models(context.model());
        let peers = context.with_student(&models)?;
        let why = "each peer is at first trained only on the labels";
        let (weight, tables) = context.cross_entropy_and_others(&peers[0], why)?;
        let target = self.target.ensemble();
        let (mut terms, together) =
            context.draw(|| context.between_peers(&tables, &peers, target))?;
        terms.insert(0, CrossEntropyObjective::TERM.into());
        let labels_only = vec![CrossEntropyObjective::new(weight); peers.len()];
        let distiller = context.draw(|| {
            Codistiller::new(peers, labels_only, together).with_schedule(self.burn_in, self.period)
        });
        Ok(prepared_peers(
            models,
            distiller,
            &terms,
            ViewMode::Views(1),
            |distiller| distiller.peers,
        ))
    }
}

impl Strategy for CodistillationRecipe {
    fn description(&self) -> &'static str {
        "the peers teach each other"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(self.set_up(context)?.into())
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let options = (&mut self.temperature, &mut self.weight);
        cross_entropy_and_soft(SOFT_CROSS_ENTROPY, options, (1.0, 1.0))
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
