use super::context::{PeerObjective, PreparedStrategy, StrategyContext, ViewMode};
use super::peers::{Peers, prepared_peers};
use super::terms::{SOFT_TARGET, cross_entropy_and_soft, soft_option};
use super::{Configured, Prepared, Strategy, StrategyEntry, checks};
use crate::input::AnyNetwork;
use crate::loss::DefaultTaps;
use crate::model::ModelRecipe;
use anyhow::{Context, Result, ensure};
use burn_distill::core::{CatalogEntry, Check, ConfigError, Tap, known_taps};
use burn_distill::strategy::{AdversarialDistiller, AdversarialDistillerConfig, PeerOrder};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of adversarial learning of features.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<AdversarialFeaturesRecipe>(CatalogEntry {
    name: "adversarial-features",
    abbreviation: "AFD",
    about: "peers teach in a ring, through discriminators",
    kind: "mutual",
    aliases: &["afd-chung"],
    reference: "Chung et al., Feature-map-level Online Adversarial Knowledge Distillation, \
        ICML 2020 (our interpretation)",
});

/// `kind = "adversarial-features"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdversarialFeaturesRecipe {
    /// Peers of the student.
    pub peers: Peers,
    /// Order in which the networks step.
    pub order: PeerOrder,
    /// Tap of each network whose feature map the critic compares, the student's first. Default: the
    /// output of its last stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taps: Vec<String>,
    /// Optimization of the critics and of the layers that lead to the maps.
    pub game: Configured<AdversarialDistillerConfig>,
    /// Temperature of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Weight of the soft targets, if there is no `[[loss]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

impl Default for AdversarialFeaturesRecipe {
    fn default() -> Self {
        Self {
            peers: Peers::Count(1),
            order: PeerOrder::default(),
            taps: Vec::new(),
            game: Configured::default(),
            temperature: None,
            weight: None,
        }
    }
}

/// Peers that learn from each other, and their critics.
pub type Adversarial = AdversarialDistiller<AnyNetwork, PeerObjective>;

impl Check for AdversarialFeaturesRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::soft(self.temperature, self.weight)?;
        checks::under("game", &self.game.0)
    }
}

impl AdversarialFeaturesRecipe {
    /// Sets up peers that learn from each other, and their critics.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Adversarial>> {
        self.peers.check(1)?;
        let models = self.peers.models(context.model());
        let peers = context.with_student(&models)?;
        let taps = match self.taps.as_slice() {
            [] => (0..peers.len())
                .map(|index| last_stage(context, &peers[index], index, &models))
                .collect::<Result<Vec<_>>>()?,
            taps => {
                ensure!(
                    taps.len() == peers.len(),
                    "`strategy.taps` should name one tap for each of {} networks, the student's first, \
                     but there are {}",
                    peers.len(),
                    taps.len()
                );
                taps.to_vec()
            }
        };
        let Configured(game) = &self.game;
        game.fit(&peers, &taps).context("strategy.taps")?;
        let (mut terms, objectives) =
            context.draw(|| context.between_peers(&context.numbered_losses(), &peers, None))?;
        terms.extend(["generator", "discriminator"].map(String::from));
        let mut distiller = context.draw(|| game.init(peers, objectives, taps));
        distiller.mutual = distiller.mutual.with_order(self.order);
        Ok(prepared_peers(
            models,
            distiller,
            &terms,
            ViewMode::Views(1),
            |distiller| distiller.mutual.peers,
        ))
    }
}

impl Strategy for AdversarialFeaturesRecipe {
    fn description(&self) -> &'static str {
        "the peers teach each other"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(self.set_up(context)?.into())
    }

    fn take_terms(&mut self, _epochs: usize, _classes: usize) -> Vec<Table> {
        let options = (&mut self.temperature, &mut self.weight);
        cross_entropy_and_soft(SOFT_TARGET, options, (3.0, 1.0))
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

/// Returns the name of the map that the last stage of a network ends in, by the network's index
/// among the student and its peers.
fn last_stage(
    context: &StrategyContext,
    network: &AnyNetwork,
    index: usize,
    peers: &[ModelRecipe],
) -> Result<String> {
    let taps = known_taps(network);
    let last = DefaultTaps::LastStage.of(&taps).pop();
    let map = last.filter(|name| matches!(taps.get(name), Ok(Tap::Map(_))));
    map.with_context(|| {
        let (place, model) = match index.checked_sub(1) {
            None => ("student.model".to_string(), context.model()),
            Some(peer) => (format!("strategy.peers.{peer}"), &peers[peer]),
        };
        format!(
            "{place}: `{model}` has no feature maps, which the critics compare: take a \
             convolutional network, such as `convnet-8-16`"
        )
    })
}
