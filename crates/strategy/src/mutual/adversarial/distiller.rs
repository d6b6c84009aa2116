use super::{FeatureCritic, GameLosses, RecordedAdam};
use crate::mutual::MutualDistiller;
use crate::mutual::distiller::ask;
use crate::mutual::peers::lock;
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::config::Config;
use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::tensor::Tensor;
use burn::train::TrainOutput;
use burn_distill_core::{
    Batch, Check, ConfigError, Knowledge, MisfitError, Network, Objective, Tap, TapSelection,
    Terms, check, known_taps,
};
use std::sync::{Arc, Mutex};

/// Configuration to create an [`AdversarialDistiller`] using the [init
/// function](AdversarialDistillerConfig::init).
#[derive(Config, Debug)]
pub struct AdversarialDistillerConfig {
    /// The learning rate of the game, positive and finite. Default: `2e-5`.
    #[config(default = 2e-5)]
    pub learning_rate: f64,
    /// The L2 penalty of the game, in its gradients. At least 0 and finite. Default: `0.1`.
    #[config(default = 0.1)]
    pub weight_decay: f64,
}

impl AdversarialDistillerConfig {
    /// These networks, what each is trained on besides the game, and the tap of each that is judged.
    /// Critics are drawn at once, on the device of the first.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two peers, not as many objectives or taps, if two peers have
    /// the same parameters, if a peer offers no such tap or one that is no map, or if the learning
    /// rate or the penalty is out of range.
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
                let other = before(index, channels.len());
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

    /// Returns the channels of the map of each peer that is judged, which the peers are asked for by
    /// these taps.
    ///
    /// # Errors
    ///
    /// Returns an error if there is not a tap for each peer, if a peer offers no such tap, or if a tap
    /// is not a map.
    pub fn fit<N: Network>(&self, peers: &[N], taps: &[String]) -> Result<Vec<usize>, MisfitError> {
        if taps.len() != peers.len() {
            return Err(MisfitError::Network(format!(
                "There should be a tap for each of {} peers, but there are {}.",
                peers.len(),
                taps.len()
            )));
        }
        let channels = |(peer, tap): (&N, &String)| match known_taps(peer).get(tap)? {
            Tap::Map(map) => Ok(map.dims()[1]),
            other => Err(MisfitError::Network(format!(
                "Critics judge maps, but the tap `{tap}` is a {}.",
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

/// Who is real to the critic of the peer at `index`: the one before it in the ring.
fn before(index: usize, peers: usize) -> usize {
    (index + peers - 1) % peers
}

/// Adversarial learning of features: several networks learn at once, each also from the others'
/// responses and, in a ring, from the distribution of another's maps.
///
/// Of `K` peers, peer `k` is trained on
///
/// ```text
/// Lₖ         = objectiveₖ(peerₖ, [the other peers as constants], targets)        by the optimizer
/// generatorₖ = mean (1 − Dₖ(mapₖ))²                                                   by the Adam
/// ```
///
/// and its opponent, [critic](FeatureCritic) `k`, on
///
/// ```text
/// discriminatorₖ = mean (1 − Dₖ(mapₖ₋₁))² + mean Dₖ(mapₖ)²                           by the Adam
/// ```
///
/// where peer 0 is peer `K`: two peers learn from each other, more in a ring. No two samples are
/// compared: a peer's maps are to look like the other's, not to be equal.
///
/// # Who steps when
///
/// For each batch, all gradients are taken at the parameters of before the step. First the optimizer
/// of the training steps, as [`MutualDistiller`] does, in either of its [orders](crate::PeerOrder):
/// it knows no critic. Then an [Adam](RecordedAdam) of the game steps what led to the maps, and the
/// critics; what comes after a map, such as a classifier, has no gradient there and stays. Its penalty
/// is on the parameters as the optimizer has left them. Its moments are part of the record of this
/// module, so that a training resumes where it was.
///
/// The game costs another forward and backward pass of each peer. This pass is in training mode and
/// moves no running statistics of a peer: those move once per batch.
///
/// There has to be a step of the optimizer for each batch: neither gradient accumulation nor several
/// devices. The rate of the game does not follow the schedule of the training.
///
/// The authors take the cross-entropy and soft targets at temperature 3, as in the example. Besides
/// what [`MutualDistiller`] shows, what either side loses is shown, as `peer 1 generator`
/// and `peer 1 discriminator`; these are no part of the loss, which is that of the objectives.
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
/// Distillation](https://arxiv.org/abs/2002.01775), ICML 2020. There is no code by the authors: the
/// losses and the ring are the paper's; the discriminator, the side of the adapter, the order of the
/// steps and the constant rate are our interpretation, and the numbers that are defaults unverified.
#[doc(alias = "AFD")]
#[derive(Module, Debug)]
pub struct AdversarialDistiller<N: Network, O> {
    /// The peers, and what each is trained on besides the game.
    pub mutual: MutualDistiller<N, O>,
    /// The opponent of each.
    pub critics: Vec<FeatureCritic>,
    /// What steps the game.
    pub adam: RecordedAdam,
    /// The gradients of the game, between the backward passes and the optimizer.
    #[module(skip)]
    game: Arc<Mutex<Option<GradientsParams>>>,
    /// The taps that are selected of each peer.
    #[module(skip)]
    requirements: Resolved<Vec<WantedOfPeer>>,
}

/// The taps that are selected of one peer.
#[derive(Clone, Debug)]
struct WantedOfPeer {
    /// Tap that is judged.
    judged: TapSelection,
    /// Tap that is judged, and taps that the objectives want.
    all: TapSelection,
}

impl<N, O> AdversarialDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, Vec<Knowledge>>,
{
    fn requirements(&self) -> &[WantedOfPeer] {
        self.requirements.get(|| {
            let peers = self.critics.iter().zip(self.mutual.wanted_of_peers());
            let of_peer = |(critic, requirements): (&FeatureCritic, &TapSelection)| {
                let judged = TapSelection::named([critic.tap.as_str()]);
                WantedOfPeer {
                    all: requirements.clone().union(judged.clone()),
                    judged,
                }
            };
            peers.map(of_peer).collect()
        })
    }

    /// What either side of each game loses on a batch, and down which gradients it should go.
    fn play(&self, batch: &Batch<N::Input>) -> (Vec<GameLosses>, GradientsParams) {
        // A copy with running statistics of its own, which are not to move twice in a batch.
        let peers = self.mutual.peers.valid().train();
        let said = peers.iter().zip(self.requirements()).enumerate();
        let said =
            said.map(|(index, (peer, requirements))| ask(peer, index, batch, &requirements.judged));
        let losses = losses(&self.critics, said);
        // One pass for all: each loss reaches one player alone.
        let each = losses
            .iter()
            .flat_map(|game| [game.generator.clone(), game.discriminator.clone()]);
        let gradients = Tensor::cat(each.collect(), 0).sum().backward();
        let players = (peers, self.critics.clone());
        (losses, GradientsParams::from_grads(gradients, &players))
    }
}

/// What either side of each game loses, when the peers have said that.
fn losses(critics: &[FeatureCritic], said: impl Iterator<Item = Knowledge>) -> Vec<GameLosses> {
    let maps: Vec<_> = critics
        .iter()
        .zip(said)
        .map(|(critic, said)| said.taps.expect(&critic.tap).into_map())
        .collect();
    critics
        .iter()
        .enumerate()
        .map(|(index, critic)| {
            let other = &maps[before(index, maps.len())];
            critic.forward(maps[index].clone(), other.clone())
        })
        .collect()
}

/// The losses of the games, to be shown.
fn shown(losses: &[GameLosses]) -> Terms {
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
        // To be shown only: critics that remember nothing of it.
        let critics = self.critics.valid();
        let said = knowledge.into_iter().map(Knowledge::without_autodiff);
        output.showing(shown(&losses(&critics, said)))
    }

    fn training_step(&self, batch: Batch<N::Input>) -> TrainOutput<DistillationOutput> {
        let (losses, gradients) = self.play(&batch);
        let waiting = lock(&self.game).replace(gradients);
        assert!(
            waiting.is_none(),
            "A game needs a step of the optimizer for each batch."
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
        panic!("Peers and their critics learn on one device.")
    }
}

learner_model!([N: Network, O] AdversarialDistiller<N, O>);
