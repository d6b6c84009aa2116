use super::peers::{Peers, copies, mean_of_networks, numbered_peers};
use super::ramp::Ramp;
use super::setting::{
    Outcome, Ready, Sees, Setting, accuracy_of, ensemble_accuracy, numbered_terms,
};
use super::{Prepared, Strategy, StrategyEntry, checks, towards};
use crate::Recipe;
use crate::input::AnyNetwork;
use anyhow::{Result, ensure};
use burn_distill::core::{CatalogueEntry, Check, ConfigError, Hard, RampInterval};
use burn_distill::strategy::{
    Figure, GroupLeaderDistiller, GroupLeaderDistillerConfig, TowardsEnsemble,
};
use serde::{Deserialize, Serialize};

/// The entry of peers with a leader.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<GroupLeaderRecipe>(CatalogueEntry {
    name: "group-leader",
    kind: "diverse peers each other, and all of them a leader",
    aliases: &["okddip"],
    reference: "Chen et al., Online Knowledge Distillation with Diverse Peers, AAAI 2020",
});

/// `kind = "group-leader"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupLeaderRecipe {
    /// Auxiliary peers; the student is the leader.
    pub peers: Peers,
    /// Tap of the peers that the attention sees.
    pub tap: String,
    /// Whether the targets are no constants, as in the authors' code.
    pub as_code: bool,
    /// Temperature towards the ensemble.
    pub temperature: f64,
    /// Number of epochs until the weight towards the ensemble is 1.
    pub ramp_epochs: usize,
    /// Interval at which that weight moves. Default: once per epoch.
    pub ramp_interval: RampInterval,
}

impl Default for GroupLeaderRecipe {
    fn default() -> Self {
        let GroupLeaderDistillerConfig { tap, as_code } = GroupLeaderDistillerConfig::new();
        Self {
            peers: Peers::Count(3),
            tap,
            as_code,
            temperature: towards::TEMPERATURE,
            ramp_epochs: towards::RAMP_EPOCHS,
            ramp_interval: RampInterval::default(),
        }
    }
}

/// Peers and a leader.
pub type Led = GroupLeaderDistiller<AnyNetwork, (Hard, TowardsEnsemble)>;

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
    pub fn set_up(&self, setting: &Setting) -> Result<Ready<Led>> {
        self.peers.check(2)?;
        ensure!(
            setting.recipe.losses.is_empty(),
            "there is a [[loss]], but losses take their teacher as it is, so that the attention \
             between the peers would learn nothing: leave it out"
        );
        let models = self.peers.models(setting.model());
        let (leader, peers) = (setting.student()?, setting.peers(&models)?);
        let towards = towards::towards_ensemble(self.temperature, self.ramp());
        let objective = || (Hard::new(1.0), towards.clone());
        let config = GroupLeaderDistillerConfig::new()
            .with_tap(self.tap.clone())
            .with_as_code(self.as_code);
        let count = peers.len();
        let distiller = setting.draw(|| {
            let objectives = (0..count).map(|_| objective()).collect();
            config.init((peers, objectives), (leader, objective()))
        })?;

        let terms = towards::names();
        let mut figures = vec![Figure::Loss, Figure::Accuracy];
        figures.extend((1..=count).map(|peer| accuracy_of("peer", peer)));
        figures.push(ensemble_accuracy());
        figures.extend(numbered_terms("peer", count, &terms));
        let of_leader = terms.iter().map(|term| format!("leader {term}"));
        figures.extend(of_leader.map(Figure::Term));
        Ok(Ready {
            distiller,
            sees: Sees::Views(1),
            figures,
            outcome: Box::new(move |Led { leader, peers, .. }| {
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
    fn who_teaches(&self) -> &'static str {
        "the peers teach each other and their leader"
    }

    fn prepare(&self, setting: &Setting) -> Result<Prepared> {
        Ok(Prepared::Training(self.set_up(setting)?.erased()))
    }

    fn warning(&self, recipe: &Recipe) -> Option<String> {
        let trained = recipe.student.training.epochs;
        self.ramp().warning(towards::WHAT, trained)
    }

    fn networks(&self) -> usize {
        1 + self.peers.count()
    }
}
