use super::context::{
    Outcome, PreparedStrategy, StrategyContext, ViewMode, accuracy_of, ensemble_accuracy,
    numbered_terms,
};
use super::peers::{Peers, copies, mean_of_networks, numbered_peers};
use super::ramp::Ramp;
use super::{Prepared, Strategy, StrategyEntry, checks, towards};
use crate::input::AnyNetwork;
use crate::model::ModelRecipe;
use crate::parts::StudentRecipe;
use anyhow::{Context, Result, ensure};
use burn_distill::core::{CatalogEntry, Check, ConfigError, CrossEntropyObjective, RampInterval};
use burn_distill::strategy::{
    EnsembleKl, GroupLeaderDistiller, GroupLeaderDistillerConfig, MetricKind,
};
use serde::{Deserialize, Serialize};
use toml::Table;

/// The entry of peers with a leader.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<GroupLeaderRecipe>(CatalogEntry {
    name: "group-leader",
    abbreviation: "OKDDip",
    about: "diverse peers teach each other and a leader",
    kind: "mutual",
    aliases: &["okddip"],
    reference: "Chen et al., Online Knowledge Distillation with Diverse Peers, AAAI 2020",
});

/// `kind = "group-leader"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupLeaderRecipe {
    /// Auxiliary peers; the student is the leader.
    pub peers: Peers,
    /// Tap of the peers that is the input of the attention.
    pub tap: String,
    /// Whether gradients flow into the targets, as in the authors' code.
    pub reference_gradients: bool,
    /// Softmax temperature of the ensemble term.
    pub temperature: f64,
    /// Number of epochs until the weight of the ensemble term is 1.
    pub ramp_epochs: usize,
    /// Interval at which that weight changes. Default: once per epoch.
    pub ramp_interval: RampInterval,
}

impl Default for GroupLeaderRecipe {
    fn default() -> Self {
        let GroupLeaderDistillerConfig {
            tap,
            reference_gradients,
        } = GroupLeaderDistillerConfig::new();
        Self {
            peers: Peers::Count(3),
            tap,
            reference_gradients,
            temperature: towards::TEMPERATURE,
            ramp_epochs: towards::RAMP_EPOCHS,
            ramp_interval: RampInterval::default(),
        }
    }
}

/// Peers and a leader.
pub type Led = GroupLeaderDistiller<AnyNetwork, (CrossEntropyObjective, EnsembleKl)>;

impl Check for GroupLeaderRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::soft(Some(self.temperature), None)?;
        checks::ramp(Some(self.ramp_epochs))
    }
}

impl GroupLeaderRecipe {
    fn ramp(&self) -> Ramp {
        Ramp {
            epochs: self.ramp_epochs,
            interval: self.ramp_interval,
        }
    }

    /// Sets up diverse peers, and the student as their leader.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Led>> {
        self.peers.check(2)?;
        ensure!(
            context.losses.is_empty(),
            "there is a [[loss]], but a loss passes no gradient to its teacher, so that the attention \
             between the peers would learn nothing: leave it out"
        );
        let models = self.peers.models(context.model());
        let (leader, peers) = (context.student_network()?, context.peers(&models)?);
        let towards = towards::towards_ensemble(self.temperature, self.ramp());
        let objective = || (CrossEntropyObjective::new(1.0), towards.clone());
        let config = GroupLeaderDistillerConfig::new()
            .with_tap(self.tap.clone())
            .with_reference_gradients(self.reference_gradients);
        config.fit(&peers).context("strategy.tap")?;
        let count = peers.len();
        let distiller = context.draw(|| {
            let objectives = (0..count).map(|_| objective()).collect();
            config.init((peers, objectives), (leader, objective()))
        });

        let terms = towards::names();
        let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
        metrics.extend((1..=count).map(|peer| accuracy_of("peer", peer)));
        metrics.push(ensemble_accuracy());
        metrics.extend(numbered_terms("peer", count, &terms));
        let of_leader = terms.iter().map(|term| format!("leader {term}"));
        metrics.extend(of_leader.map(MetricKind::Term));
        Ok(PreparedStrategy {
            distiller,
            views: ViewMode::Views(1),
            metrics,
            finalize: Box::new(move |Led { leader, peers, .. }| {
                let ensemble = mean_of_networks(copies(&peers));
                let mut members = numbered_peers(1, &models, peers);
                members.push(ensemble);
                Ok(Outcome {
                    student: leader,
                    members,
                })
            }),
        })
    }
}

impl Strategy for GroupLeaderRecipe {
    fn description(&self) -> &'static str {
        "the peers teach each other and their leader"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(self.set_up(context)?.into())
    }

    fn warning(&self, student: &StudentRecipe, _losses: &[Table]) -> Option<String> {
        let trained = student.training.epochs;
        self.ramp().warning(towards::WHAT, trained)
    }

    fn networks(&self) -> usize {
        1 + self.peers.count()
    }

    fn models_mut(&mut self) -> Vec<(String, &mut ModelRecipe)> {
        self.peers.models_mut()
    }
}
