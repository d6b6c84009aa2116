//! Networks that learn together.

use super::setting::{
    Finish, Member, Outcome, PeerObjective, Ready, Sees, Setting, accuracy_of, ensemble_accuracy,
    numbered_terms,
};
use super::{
    AdversarialFeaturesRecipe, CodistillationRecipe, CollaborativeRecipe, Configured,
    GroupLeaderRecipe, MutualRecipe, NativeEnsembleRecipe, PeerTarget,
};
use crate::loss::{DefaultTaps, catch};
use crate::model::ModelRecipe;
use crate::network::{ImageNetwork, seeded};
use anyhow::{Context, Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::{
    ChangingWeight, DynObjective, Ensemble, Hard, Objective, RampInterval, Tap, Wanted, known_taps,
};
use burn_distill::strategy::{
    AdversarialDistiller, Codistiller, EnsembleTarget, Figure, GroupLeaderDistiller,
    GroupLeaderDistillerConfig, MutualDistiller, NativeEnsembleDistiller, TowardsEnsemble,
};

/// The temperature towards an ensemble and the epochs until its weight is 1, as the authors of ONE
/// and OKDDip have them.
pub const TEMPERATURE: f64 = 3.0;
pub const RAMP_EPOCHS: usize = 80;

/// Peers that learn from each other.
pub type Mutual = MutualDistiller<ImageNetwork, PeerObjective>;
/// Peers that learn from each other, and their critics.
pub type Adversarial = AdversarialDistiller<ImageNetwork, PeerObjective>;
/// Peers that learn from what the others were.
pub type Codistilled = Codistiller<ImageNetwork, Hard, PeerObjective>;
/// The branches of a network.
pub type Native = NativeEnsembleDistiller<ImageNetwork, Vec<DynObjective>>;
/// Peers and a leader.
pub type Led = GroupLeaderDistiller<ImageNetwork, (Hard, TowardsEnsemble)>;

impl PeerTarget {
    fn ensemble(self) -> Option<EnsembleTarget> {
        match self {
            Self::Each => None,
            Self::Others => Some(EnsembleTarget::Others),
        }
    }
}

impl Setting<'_> {
    /// Mutual learning.
    pub fn mutual(&self, options: &MutualRecipe) -> Result<Ready<Mutual>> {
        options.peers.check(1)?;
        let models = options.peers.models(self.model());
        let peers = self.with_student(&models)?;
        let target = options.target.ensemble();
        let (terms, objectives) =
            self.draw(|| self.between_peers(&self.losses(), &peers, target))??;
        let count = peers.len();
        let distiller = self.draw(|| MutualDistiller::new(peers, objectives))?;
        Ok(Ready {
            distiller: distiller.with_order(options.order),
            sees: Sees::Views(1),
            figures: figures_of_peers(count, &terms),
            outcome: outcome_of_peers(models, |distiller: Mutual| distiller.peers),
        })
    }

    /// Adversarial learning of features.
    pub fn adversarial_features(
        &self,
        options: &AdversarialFeaturesRecipe,
    ) -> Result<Ready<Adversarial>> {
        options.peers.check(1)?;
        let models = options.peers.models(self.model());
        let peers = self.with_student(&models)?;
        let taps = match options.taps.as_slice() {
            [] => (0..peers.len())
                .map(|index| self.last_stage(&peers[index], index, &models))
                .collect::<Result<Vec<_>>>()?,
            taps => {
                ensure!(
                    taps.len() == peers.len(),
                    "`strategy.taps` should name one of each of {} networks, the student's first, \
                     but there are {}",
                    peers.len(),
                    taps.len()
                );
                for (peer, tap) in peers.iter().zip(taps) {
                    known_taps(peer).get(tap).context("strategy.taps")?;
                }
                taps.to_vec()
            }
        };
        let (mut terms, objectives) =
            self.draw(|| self.between_peers(&self.losses(), &peers, None))??;
        terms.extend(["generator", "discriminator"].map(String::from));
        let count = peers.len();
        let Configured(game) = &options.game;
        let mut distiller = self.draw(|| game.init(peers, objectives, taps))?;
        distiller.mutual = distiller.mutual.with_order(options.order);
        Ok(Ready {
            distiller,
            sees: Sees::Views(1),
            figures: figures_of_peers(count, &terms),
            outcome: outcome_of_peers(models, |distiller: Adversarial| distiller.mutual.peers),
        })
    }

    /// Collaborative learning: each peer has a view of its own.
    pub fn collaborative(&self, options: &CollaborativeRecipe) -> Result<Ready<Mutual>> {
        options.peers.check(1)?;
        let models = options.peers.models(self.model());
        let peers = self.with_student(&models)?;
        let target = Some(options.target);
        let (terms, objectives) =
            self.draw(|| self.between_peers(&self.losses(), &peers, target))??;
        let count = peers.len();
        Ok(Ready {
            distiller: self.draw(|| MutualDistiller::new(peers, objectives))?,
            sees: Sees::Views(count),
            figures: figures_of_peers(count, &terms),
            outcome: outcome_of_peers(models, |distiller: Mutual| distiller.peers),
        })
    }

    /// Codistillation.
    pub fn codistillation(&self, options: &CodistillationRecipe) -> Result<Ready<Codistilled>> {
        options.peers.check(1)?;
        let models = options.peers.models(self.model());
        let peers = self.with_student(&models)?;
        let why = "each peer learns from the labels alone at first";
        let (alone, tables) = self.hard_and_others(&peers[0], why)?;
        let target = options.target.ensemble();
        let (mut terms, together) = self.draw(|| self.between_peers(&tables, &peers, target))??;
        terms.insert(0, Hard::TERM.into());
        let count = peers.len();
        let alone = vec![Hard::new(alone); count];
        let distiller = self.draw(|| {
            Codistiller::new(peers, alone, together).with_schedule(options.burn_in, options.period)
        })?;
        Ok(Ready {
            distiller,
            sees: Sees::Views(1),
            figures: figures_of_peers(count, &terms),
            outcome: outcome_of_peers(models, |distiller: Codistilled| distiller.peers),
        })
    }

    /// A native ensemble: the student's last part several times.
    pub fn native_ensemble(&self, options: &NativeEnsembleRecipe) -> Result<Ready<Native>> {
        let branches = options.branches;
        // Its trunk and first branch begin as the student alone.
        let network = seeded(self.seed, || {
            let architecture = self.recipe.registry.network(self.model())?;
            architecture.init_branched(branches, &self.task, &Device::flex())
        });
        let network = network.context("student.model")?;
        let (terms, objectives) = match self.losses().as_slice() {
            [] => {
                let towards = towards_ensemble(
                    options.temperature.unwrap_or(TEMPERATURE),
                    options.ramp_epochs.unwrap_or(RAMP_EPOCHS),
                    options.ramp_interval.unwrap_or_default(),
                )?;
                let objective = vec![
                    DynObjective::new(Hard::new(1.0)),
                    DynObjective::new(towards),
                ];
                let names = [Hard::TERM, TowardsEnsemble::TERM].map(String::from);
                (names.to_vec(), vec![objective; branches])
            }
            tables => {
                let student = self.student()?;
                let each =
                    self.draw(|| self.terms_of_each(branches, tables, &student, "an ensemble"))??;
                for (name, objective) in each.0.iter().zip(&each.1[0]) {
                    ensure!(
                        objective.wanted() == Wanted::responses(),
                        "the loss `{name}` compares features, and a branch has none but its \
                         predictions"
                    );
                }
                each
            }
        };
        let distiller = self.draw(|| NativeEnsembleDistiller::new(network, objectives))?;

        let mut figures = vec![Figure::Loss, Figure::Accuracy];
        figures.extend((2..=branches).map(|branch| accuracy_of("branch", branch)));
        figures.push(ensemble_accuracy());
        figures.extend(numbered_terms("branch", branches, &terms));
        figures.push(Figure::Term(format!("ensemble {}", Hard::TERM)));
        let plain = self.student()?;
        Ok(Ready {
            distiller,
            sees: Sees::Views(1),
            figures,
            outcome: Box::new(move |distiller| {
                let ensemble = distiller.ensemble();
                let record = distiller.network.valid().into_record();
                let student = plain.try_load_record(record.allow_unused(true))?;
                let model = format!("{branches} branches");
                Ok(Outcome {
                    student,
                    members: vec![Member::new("ensemble", model, ensemble)],
                })
            }),
        })
    }

    /// Diverse peers, and the student as their leader.
    pub fn group_leader(&self, options: &GroupLeaderRecipe) -> Result<Ready<Led>> {
        options.peers.check(2)?;
        ensure!(
            self.recipe.losses.is_empty(),
            "there is a [[loss]], but losses take their teacher as it is, so that the attention \
             between the peers would learn nothing: leave it out"
        );
        let models = options.peers.models(self.model());
        let (leader, peers) = (self.student()?, self.peers(&models)?);
        let towards = towards_ensemble(
            options.temperature,
            options.ramp_epochs,
            options.ramp_interval,
        )?;
        let objective = || (Hard::new(1.0), towards.clone());
        let config = GroupLeaderDistillerConfig::new()
            .with_tap(options.tap.clone())
            .with_as_code(options.as_code);
        let count = peers.len();
        let distiller = self.draw(|| {
            let objectives = (0..count).map(|_| objective()).collect();
            config.init((peers, objectives), (leader, objective()))
        })?;

        let terms = [Hard::TERM, TowardsEnsemble::TERM].map(String::from);
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

    /// Returns the name of the map that the last stage of a network ends in, by the network's index
    /// among the student and its peers.
    fn last_stage(
        &self,
        network: &ImageNetwork,
        index: usize,
        peers: &[ModelRecipe],
    ) -> Result<String> {
        let taps = known_taps(network);
        let last = DefaultTaps::LastStage.of(&taps).pop();
        let map = last.filter(|name| matches!(taps.get(name), Ok(Tap::Map(_))));
        map.with_context(|| {
            let (place, model) = match index.checked_sub(1) {
                None => ("student.model".to_string(), self.model()),
                Some(peer) => (format!("strategy.peers.{peer}"), &peers[peer]),
            };
            format!(
                "{place}: `{model}` has no feature maps, which the critics judge: take a \
                 convolutional network, such as `convnet-8-16`"
            )
        })
    }

    /// The student and its peers, the student first.
    fn with_student(&self, models: &[ModelRecipe]) -> Result<Vec<ImageNetwork>> {
        let mut all = vec![self.student()?];
        all.extend(self.peers(models)?);
        Ok(all)
    }
}

/// Creates the term of a student and its ensemble, whose weight rises to 1 over `epochs` epochs.
fn towards_ensemble(
    temperature: f64,
    epochs: usize,
    interval: RampInterval,
) -> Result<TowardsEnsemble> {
    let weight = ChangingWeight::SigmoidRampUp {
        to: 1.0,
        epochs,
        interval,
    };
    catch(|| TowardsEnsemble::new(temperature, weight)).context("strategy.temperature")
}

/// What is shown of peers, of whom the first is the student.
fn figures_of_peers(count: usize, terms: &[String]) -> Vec<Figure> {
    let mut figures = vec![Figure::Loss, Figure::Accuracy];
    figures.extend((2..=count).map(|peer| accuracy_of("peer", peer)));
    figures.push(ensemble_accuracy());
    figures.extend(numbered_terms("peer", count, terms));
    figures
}

/// Peers of these models, numbered from there.
fn numbered_peers(
    first: usize,
    models: &[ModelRecipe],
    peers: impl IntoIterator<Item = ImageNetwork>,
) -> Vec<Member> {
    let peers = (first..).zip(models).zip(peers);
    let member = |((number, model), peer): ((usize, &ModelRecipe), _)| {
        Member::new(format!("peer {number}"), model, peer)
    };
    peers.map(member).collect()
}

/// The mean of what several networks predict.
pub fn mean_of_networks(networks: Vec<ImageNetwork>) -> Member {
    let model = format!("{} networks", networks.len());
    Member::new("ensemble", model, Ensemble::new(networks))
}

/// The student is the first of the peers, whose others are of these models.
fn outcome_of_peers<M: 'static>(
    models: Vec<ModelRecipe>,
    peers: fn(M) -> Vec<ImageNetwork>,
) -> Finish<M> {
    Box::new(move |distiller| {
        let mut peers = peers(distiller);
        let ensemble = mean_of_networks(copies(&peers));
        let student = peers.remove(0);
        let mut members = numbered_peers(2, &models, peers);
        members.push(ensemble);
        Ok(Outcome { student, members })
    })
}

/// Copies with running statistics of their own.
fn copies(networks: &[ImageNetwork]) -> Vec<ImageNetwork> {
    networks.iter().map(Module::valid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StrategyRecipe;
    use crate::strategy::tests::changed;
    use burn::module::list_param_ids;

    #[test]
    fn what_the_losses_of_a_branch_learn_is_its_own() {
        let losses = "loss=[{ kind = 'hard' }, { kind = 'learned-temperature' }]";
        let recipe = changed(&["strategy={ kind = 'one', branches = 2 }", losses]);
        let StrategyRecipe::NativeEnsemble(options) = &recipe.strategy else {
            panic!("{:?}", recipe.strategy);
        };

        let ready = Setting::to_check(&recipe)
            .unwrap()
            .native_ensemble(options)
            .unwrap();
        let [first, second] = ready.distiller.objectives.as_slice() else {
            panic!("{} branches", ready.distiller.objectives.len());
        };
        let [first, second] = [first, second].map(list_param_ids);
        assert_eq!(first.len(), 1);
        assert_ne!(first, second);
    }
}
