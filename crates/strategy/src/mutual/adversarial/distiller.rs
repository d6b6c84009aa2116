use super::{AdversarialLosses, FeatureCritic};
use crate::mutual::MutualDistiller;
use crate::mutual::distiller::knowledge_of;
use crate::mutual::peers::lock;
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, RecordedAdam, learner_model};
use burn::config::Config;
use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::tensor::Tensor;
use burn::train::TrainOutput;
use burn_distill_core::{
    Batch, Check, ConfigError, Knowledge, Network, NetworkMismatch, Objective, Tap, TapSelection,
    Terms, check, known_taps,
};
use std::sync::{Arc, Mutex};

/// Configuration to create an [`AdversarialDistiller`] using the [init
/// function](AdversarialDistillerConfig::init).
#[derive(Config, Debug)]
pub struct AdversarialDistillerConfig {
    /// Learning rate of the adversarial game. Must be positive and at most 1000. Default: `2e-5`.
    #[config(default = 2e-5)]
    pub learning_rate: f64,
    /// L2 penalty of the game, added to its gradients. From 0 to 1000. Default: `0.1`.
    #[config(default = 0.1)]
    pub weight_decay: f64,
}

impl AdversarialDistillerConfig {
    /// Creates a distiller from networks, the objective of each besides the game, and the tap of
    /// each whose map is compared. The weights of the critics are initialized immediately, on the
    /// device of the first network.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two peers, if there is not one objective and one tap for
    /// each, if two peers have the same parameters, if a tap does not exist or is not a map, or if
    /// the learning rate or the penalty is out of range.
    pub fn init<N, O>(
        &self,
        peers: Vec<N>,
        objectives: Vec<O>,
        taps: impl IntoIterator<Item = impl Into<String>>,
    ) -> AdversarialDistiller<N, O>
    where
        N: Network,
        O: Objective<Knowledge, Vec<Knowledge>>,
    {
        self.assert_valid();
        let Self {
            learning_rate,
            weight_decay,
        } = *self;
        let mutual = MutualDistiller::new(peers, objectives);
        let peers = &mutual.peers;
        let taps: Vec<String> = taps.into_iter().map(Into::into).collect();
        let channels = self.fit(peers, &taps);
        let channels = channels.unwrap_or_else(|error| panic!("{error}"));
        let device = peers[0].devices().first().cloned().unwrap_or_default();
        let critics: Vec<_> = taps
            .into_iter()
            .enumerate()
            .map(|(index, tap)| {
                let other = previous(index, channels.len());
                FeatureCritic::new(tap, [channels[index], channels[other]], &device)
            })
            .collect();
        let players = (mutual.peers.clone(), critics.clone());
        AdversarialDistiller {
            mutual,
            critics,
            adam: RecordedAdam::new(&players, learning_rate, weight_decay),
            game: Arc::default(),
            requirements: Resolved::default(),
        }
    }

    /// Returns the number of channels of the compared map of each peer, given the taps of the
    /// peers.
    ///
    /// # Errors
    ///
    /// Returns an error if there is not one tap for each peer, if a tap does not exist, or if it is
    /// not a map.
    pub fn fit<N: Network>(
        &self,
        peers: &[N],
        taps: &[String],
    ) -> Result<Vec<usize>, NetworkMismatch> {
        if taps.len() != peers.len() {
            return Err(NetworkMismatch::Network(format!(
                "There should be a tap for each of {} peers, but there are {}.",
                peers.len(),
                taps.len()
            )));
        }
        let channels = |(peer, tap): (&N, &String)| match known_taps(peer).get(tap)? {
            Tap::Map(map) => Ok(map.dims()[1]),
            other => Err(NetworkMismatch::Network(format!(
                "Critics compare feature maps, but the tap `{tap}` is a {}: name a tap that is a map.",
                other.kind()
            ))),
        };
        peers.iter().zip(taps).map(channels).collect()
    }
}

impl Check for AdversarialDistillerConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::ensure(
            self.learning_rate > 0.0 && self.learning_rate <= 1e3, // This also rejects NaN
            "learning_rate",
            "above 0 and at most 1000",
            self.learning_rate,
        )?;
        check::in_range("weight_decay", self.weight_decay, 0.0..=1e3)
    }
}

/// Returns the peer whose maps are real for the critic of the peer at `index`: the previous one in
/// the ring.
fn previous(index: usize, peers: usize) -> usize {
    (index + peers - 1) % peers
}

/// Online adversarial feature distillation (AFD): several networks train at the same time, and each
/// learns from the responses of the others and, in a ring, from the distribution of another
/// network's feature maps.
///
/// Of `K` peers, peer `k` is trained on
///
/// ```text
/// Lₖ         = objectiveₖ(peerₖ, [the other peers as constants], targets)   step: optimizer
/// generatorₖ = mean (1 − Dₖ(mapₖ))²                                         step: Adam
/// ```
///
/// and its discriminator, [critic](FeatureCritic) `k`, on
///
/// ```text
/// discriminatorₖ = mean (1 − Dₖ(mapₖ₋₁))² + mean Dₖ(mapₖ)²                   step: Adam
/// ```
///
/// where peer 0 is peer `K`: two peers learn from each other, more than two in a ring. Maps are not
/// compared sample by sample: the maps of a peer should have the same distribution as those of the
/// other.
///
/// # Order of the steps
///
/// For each batch, all gradients are computed with the parameters before the step. First the
/// optimizer of the training takes its step, as in [`MutualDistiller`] and in either of its
/// [orders](crate::PeerOrder), without the critics. Then an [Adam](RecordedAdam) of the game
/// updates the critics and the layers of the peers up to the maps. Layers after a map, such as a
/// classifier, have no gradient in the game. The penalty applies to the parameters after the step
/// of the optimizer. The moments are part of the record of this module, so that a training can be
/// resumed.
///
/// The game costs another forward and backward pass of each peer. This pass is in training mode and
/// does not update running statistics of a peer, which are updated once per batch.
///
/// There must be a step of the optimizer for each batch: neither gradient accumulation nor several
/// devices are possible. The rate of the game does not follow the schedule of the training.
///
/// The authors use the cross-entropy and soft targets at temperature 3, as in the example. In
/// addition to the values of [`MutualDistiller`], it shows the losses of both sides, as `peer 1
/// generator` and `peer 1 discriminator`. They are not part of the loss, which is the sum of the
/// objectives.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::NetworkConfig;
/// use burn_distill_core::{PerTeacher, CrossEntropyObjective, initialize};
/// use burn_distill_response::{ResponseObjective, SoftTargetLossConfig};
/// use burn_distill_strategy::AdversarialDistillerConfig;
///
/// let device = Device::default().autodiff();
/// let network = |name| NetworkConfig::by_name(name)?.init([1, 8, 8], 10, &device);
/// let peers = vec![network("convnet-4-8")?, network("convnet-4-6")?];
/// let objective = || {
///     let soft = SoftTargetLossConfig::new().with_temperature(3.0).init();
///     PerTeacher::new([(CrossEntropyObjective::new(1.0), ResponseObjective::new(soft, 1.0))])
/// };
/// let distiller = AdversarialDistillerConfig::new().init(
///     peers.into_iter().map(initialize).collect(),
///     vec![objective(), objective()],
///     ["layer2", "layer2"],
/// );
/// assert_eq!(distiller.critics.len(), 2);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// I. Chung, S. Park, J. Kim and N. Kwak, [Feature-map-level Online Adversarial Knowledge
/// Distillation](https://arxiv.org/abs/2002.01775), ICML 2020. The authors have published no code:
/// the losses and the ring are from the paper; the discriminator, the place of the adapter, the
/// order of the steps and the constant rate are our interpretation, and the default values are
/// unverified.
#[doc(alias = "AFD")]
#[derive(Module, Debug)]
pub struct AdversarialDistiller<N: Network, O> {
    /// Peers, and their objectives besides the game.
    pub mutual: MutualDistiller<N, O>,
    /// Critic of each peer.
    pub critics: Vec<FeatureCritic>,
    /// Optimizer of the game.
    pub adam: RecordedAdam,
    /// Gradients of the game, between the backward passes and the optimizer.
    #[module(skip)]
    game: Arc<Mutex<Option<GradientsParams>>>,
    /// Selected taps of each peer.
    #[module(skip)]
    requirements: Resolved<Vec<PeerTaps>>,
}

/// The selected taps of one peer.
#[derive(Clone, Debug)]
struct PeerTaps {
    /// Tap whose map is compared.
    compared: TapSelection,
    /// Tap whose map is compared, and taps that the objectives require.
    all: TapSelection,
}

impl<N, O> AdversarialDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, Vec<Knowledge>>,
{
    fn requirements(&self) -> &[PeerTaps] {
        self.requirements.get(|| {
            let peers = self.critics.iter().zip(self.mutual.required_taps());
            let of_peer = |(critic, requirements): (&FeatureCritic, &TapSelection)| {
                let compared = TapSelection::named([critic.tap.as_str()]);
                PeerTaps {
                    all: requirements.clone().union(compared.clone()),
                    compared,
                }
            };
            peers.map(of_peer).collect()
        })
    }

    /// Computes the losses and the gradients of all games on a batch.
    fn play(&self, batch: &Batch<N::Input>) -> (Vec<AdversarialLosses>, GradientsParams) {
        // A copy with separate running statistics, since those are to be updated once per batch.
        let peers = self.mutual.peers.valid().train();
        let knowledge = peers.iter().zip(self.requirements()).enumerate();
        let knowledge = knowledge.map(|(index, (peer, requirements))| {
            knowledge_of(peer, index, batch, &requirements.compared)
        });
        let losses = losses(&self.critics, knowledge);
        // One backward pass for all, since each loss has gradients for one side only.
        let each = losses
            .iter()
            .flat_map(|game| [game.generator.clone(), game.discriminator.clone()]);
        let gradients = Tensor::cat(each.collect(), 0).sum().backward();
        let players = (peers, self.critics.clone());
        (losses, GradientsParams::from_grads(gradients, &players))
    }
}

/// Computes the losses of all games from the knowledge of the peers.
fn losses(
    critics: &[FeatureCritic],
    knowledge: impl Iterator<Item = Knowledge>,
) -> Vec<AdversarialLosses> {
    let maps: Vec<_> = critics
        .iter()
        .zip(knowledge)
        .map(|(critic, knowledge)| knowledge.taps.expect(&critic.tap).into_map())
        .collect();
    critics
        .iter()
        .enumerate()
        .map(|(index, critic)| {
            let other = &maps[previous(index, maps.len())];
            critic.forward(maps[index].clone(), other.clone())
        })
        .collect()
}

/// Returns the losses of the games as shown terms.
fn shown(losses: &[AdversarialLosses]) -> Terms {
    let each = (1..).zip(losses).map(|(number, game)| {
        let term = |side: &str, loss: &Tensor<1>| {
            Terms::shown(format!("peer {number} {side}"), loss.clone())
        };
        term("generator", &game.generator).and(term("discriminator", &game.discriminator))
    });
    each.fold(Terms::default(), Terms::and)
}

impl<N, O> Distillation for AdversarialDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, Vec<Knowledge>>,
{
    type Input = N::Input;

    fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
        let requirements = self
            .requirements()
            .iter()
            .map(|requirements| &requirements.all);
        let (output, knowledge) = self.mutual.forward_with(batch, requirements);
        // In validation mode, since these losses are only shown and must not change the critics.
        let critics = self.critics.valid();
        let knowledge = knowledge.into_iter().map(Knowledge::without_autodiff);
        output.showing(shown(&losses(&critics, knowledge)))
    }

    fn training_step(&self, batch: Batch<N::Input>) -> TrainOutput<DistillationOutput> {
        let (losses, gradients) = self.play(&batch);
        let waiting = lock(&self.game).replace(gradients);
        assert!(
            waiting.is_none(),
            "An adversarial game needs a step of the optimizer for each batch: train without gradient \
             accumulation."
        );
        let TrainOutput { grads, item } = self.mutual.training_step(batch);
        TrainOutput {
            grads,
            item: item.showing(shown(&losses)),
        }
    }

    fn optimizer_step(
        mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let game = lock(&self.game).take();
        self.mutual = self.mutual.optimizer_step(optimizer, rate, gradients);
        if let Some(game) = game {
            let players = (self.mutual.peers, self.critics);
            (self.mutual.peers, self.critics) = self.adam.step(players, &game);
        }
        self
    }

    fn optimizer_step_multi(
        self,
        _optimizer: &mut ModuleOptimizer,
        _rate: ModuleLearningRate,
        _gradients: MultiGradientsParams,
    ) -> Self {
        panic!("Peers and their critics train on one device: use one device.")
    }
}

learner_model!([N: Network, O] AdversarialDistiller<N, O>);
