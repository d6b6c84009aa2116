use super::context::{
    Member, Outcome, PreparedStrategy, StrategyContext, ViewMode, accuracy_of, ensemble_accuracy,
    numbered_terms,
};
use crate::input::AnyNetwork;
use crate::model::ModelRecipe;
use crate::numbers::MOST_VIEWS;
use anyhow::{Result, ensure};
use burn::module::Module;
use burn_distill::core::Ensemble;
use burn_distill::strategy::{EnsembleTarget, MetricKind};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// Peers of the student: a number of networks of its model, or one network of each of several
/// models.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Peers {
    /// Number of networks of the student's model.
    Count(usize),
    /// One network of each of these models.
    Models(Vec<ModelRecipe>),
}

impl Peers {
    /// Returns the models, given that of the student.
    pub fn models(&self, student: &ModelRecipe) -> Vec<ModelRecipe> {
        match self {
            Self::Count(count) => vec![student.clone(); *count],
            Self::Models(models) => models.clone(),
        }
    }

    /// Returns the number of peers.
    pub fn count(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Models(models) => models.len(),
        }
    }

    /// Returns the models that are named, each with its key in `[strategy]`.
    pub fn models_mut(&mut self) -> Vec<(String, &mut ModelRecipe)> {
        let models = match self {
            Self::Count(_) => &mut [],
            Self::Models(models) => models.as_mut_slice(),
        };
        let models = models.iter_mut().enumerate();
        models
            .map(|(index, model)| (format!("peers.{index}"), model))
            .collect()
    }

    /// Checks that there are at least `least` peers.
    ///
    /// # Errors
    ///
    /// Returns an error if there are fewer, or too many for the memory.
    pub fn check(&self, least: usize) -> Result<()> {
        let count = self.count();
        ensure!(
            count >= least && count <= MOST_VIEWS,
            "`strategy.peers` should be from {least} to {MOST_VIEWS} networks besides the student, but \
             is {count}"
        );
        Ok(())
    }
}

/// By hand, so that the error about a model is that of the model.
impl<'de> Deserialize<'de> for Peers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountOrModels;

        impl<'de> Visitor<'de> for CountOrModels {
            type Value = Peers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "a number of networks up to {MOST_VIEWS} or a list of models, such as \
                     [\"resnet20\"]"
                )
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Peers, E> {
                match usize::try_from(count) {
                    Ok(count) if count <= MOST_VIEWS => Ok(Peers::Count(count)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(count), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Peers, E> {
                match u64::try_from(count) {
                    Ok(count) => self.visit_u64(count),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(count), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut models: A) -> Result<Peers, A::Error> {
                let mut all = Vec::new();
                while let Some(model) = models.next_element()? {
                    all.push(model);
                }
                Ok(Peers::Models(all))
            }
        }

        deserializer.deserialize_any(CountOrModels)
    }
}

/// Target of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerTarget {
    /// Predictions of each of the others; the losses are averaged.
    Each,
    /// Mean of the predictions of the others.
    Others,
}

impl PeerTarget {
    /// Returns the target that is computed from all peers; none for one target from each peer.
    pub fn ensemble(self) -> Option<EnsembleTarget> {
        match self {
            Self::Each => None,
            Self::Others => Some(EnsembleTarget::Others),
        }
    }
}

impl StrategyContext<'_> {
    /// Initializes the student and its peers, the student first.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such network, or if it is not for this data.
    pub fn with_student(&self, models: &[ModelRecipe]) -> Result<Vec<AnyNetwork>> {
        let mut all = vec![self.student_network()?];
        all.extend(self.peers(models)?);
        Ok(all)
    }
}

/// Returns the metrics of `count` peers, of which the first is the student.
fn metrics_of_peers(count: usize, terms: &[String]) -> Vec<MetricKind> {
    let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
    metrics.extend((2..=count).map(|peer| accuracy_of("peer", peer)));
    metrics.push(ensemble_accuracy());
    metrics.extend(numbered_terms("peer", count, terms));
    metrics
}

/// Creates the members of a result from peers of these models, numbered from `first`.
pub fn numbered_peers(
    first: usize,
    models: &[ModelRecipe],
    peers: impl IntoIterator<Item = AnyNetwork>,
) -> Vec<Member> {
    let peers = (first..).zip(models).zip(peers);
    let member = |((number, model), peer): ((usize, &ModelRecipe), _)| {
        Member::new(format!("peer {number}"), model, peer)
    };
    peers.map(member).collect()
}

/// Creates the member of a result that averages the predictions of several networks.
pub fn mean_of_networks(networks: Vec<AnyNetwork>) -> Member {
    let model = format!("{} networks", networks.len());
    Member::new("ensemble", model, Ensemble::new(networks))
}

/// Creates the training of the student and of peers of these models, given the networks that the
/// trained distiller holds, the student first.
pub fn prepared_peers<M: 'static>(
    models: Vec<ModelRecipe>,
    distiller: M,
    terms: &[String],
    views: ViewMode,
    networks: fn(M) -> Vec<AnyNetwork>,
) -> PreparedStrategy<M> {
    PreparedStrategy {
        distiller,
        views,
        metrics: metrics_of_peers(1 + models.len(), terms),
        finalize: Box::new(move |distiller| {
            let mut peers = networks(distiller);
            let ensemble = mean_of_networks(copies(&peers));
            let student = peers.remove(0);
            let mut members = numbered_peers(2, &models, peers);
            members.push(ensemble);
            Ok(Outcome { student, members })
        }),
    }
}

/// Returns copies with separate running statistics.
pub fn copies(networks: &[AnyNetwork]) -> Vec<AnyNetwork> {
    networks.iter().map(Module::valid).collect()
}
