use super::context::{
    Finalize, Member, Outcome, StrategyContext, accuracy_of, ensemble_accuracy, numbered_terms,
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

/// The networks that learn beside the student: `2` more of its model, or these models.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Peers {
    /// Number of networks of the student's model.
    Count(usize),
    /// One of each of these models.
    Models(Vec<ModelRecipe>),
}

impl Peers {
    /// The models, beside a student of that one.
    pub fn models(&self, student: &ModelRecipe) -> Vec<ModelRecipe> {
        match self {
            Self::Count(count) => vec![student.clone(); *count],
            Self::Models(models) => models.clone(),
        }
    }

    /// The number of networks beside the student.
    pub fn count(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Models(models) => models.len(),
        }
    }

    /// Check that there are so many at least.
    pub fn check(&self, least: usize) -> Result<()> {
        let count = self.count();
        ensure!(
            count >= least && count <= MOST_VIEWS,
            "`strategy.peers` should be from {least} to {MOST_VIEWS} networks beside the student, but \
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
                // Each has memory of its own.
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

/// Targets of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerTarget {
    /// Predictions of each of the others; the losses are averaged.
    Each,
    /// Mean of the predictions of the others.
    Others,
}

impl PeerTarget {
    /// Returns the target that is made of all peers, if it is.
    pub fn ensemble(self) -> Option<EnsembleTarget> {
        match self {
            Self::Each => None,
            Self::Others => Some(EnsembleTarget::Others),
        }
    }
}

impl StrategyContext<'_> {
    /// Returns the student and its peers, the student first.
    pub fn with_student(&self, models: &[ModelRecipe]) -> Result<Vec<AnyNetwork>> {
        let mut all = vec![self.student()?];
        all.extend(self.peers(models)?);
        Ok(all)
    }
}

/// Returns the figures of peers, of which the first is the student.
pub fn metrics_of_peers(count: usize, terms: &[String]) -> Vec<MetricKind> {
    let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
    metrics.extend((2..=count).map(|peer| accuracy_of("peer", peer)));
    metrics.push(ensemble_accuracy());
    metrics.extend(numbered_terms("peer", count, terms));
    metrics
}

/// Returns peers of these models, numbered from `first`.
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

/// Returns the mean of the predictions of several networks.
pub fn mean_of_networks(networks: Vec<AnyNetwork>) -> Member {
    let model = format!("{} networks", networks.len());
    Member::new("ensemble", model, Ensemble::new(networks))
}

/// Returns the networks of peers, of which the first is the student and the others are of these models.
pub fn outcome_of_peers<M: 'static>(
    models: Vec<ModelRecipe>,
    peers: fn(M) -> Vec<AnyNetwork>,
) -> Finalize<M> {
    Box::new(move |distiller| {
        let mut peers = peers(distiller);
        let ensemble = mean_of_networks(copies(&peers));
        let student = peers.remove(0);
        let mut members = numbered_peers(2, &models, peers);
        members.push(ensemble);
        Ok(Outcome { student, members })
    })
}

/// Returns copies with running statistics of their own.
pub fn copies(networks: &[AnyNetwork]) -> Vec<AnyNetwork> {
    networks.iter().map(Module::valid).collect()
}
