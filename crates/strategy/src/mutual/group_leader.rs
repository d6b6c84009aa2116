use super::peers::{
    accuracy, assert_objectives, assert_peers_differ, class_logits, pooled, saying,
};
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{
    Batch, Context, Knowledge, MisfitError, Network, Objective, Response, TapSelection, Terms,
    initialize, known_taps,
};

/// Attention of peers over peers, sample by sample.
///
/// ```text
/// A = softmax over b of (W_q hₐ) · (W_k h_b)
/// ```
///
/// without a bias and without a scale, oneself included.
#[derive(Module, Debug)]
pub struct PeerAttention {
    /// `W_q`
    pub query: Linear,
    /// `W_k`
    pub key: Linear,
}

impl PeerAttention {
    /// Attention over features of that many dimensions, an eighth of them for queries and keys. It
    /// is drawn at once.
    pub fn new(features: usize, device: &Device) -> Self {
        let projection = LinearConfig::new(features, (features / 8).max(1)).with_bias(false);
        initialize(Self {
            query: projection.init(device),
            key: projection.init(device),
        })
    }

    /// How much of each peer there is in the target of each.
    ///
    /// # Shapes
    ///
    /// - features: `[batch_size, peers, features]`
    /// - output: `[batch_size, peers, peers]`, each row a distribution
    pub fn forward(&self, features: Tensor<3>) -> Tensor<3> {
        let queries = self.query.forward(features.clone());
        let keys = self.key.forward(features);
        softmax(queries.matmul(keys.swap_dims(1, 2)), 2)
    }
}

/// Configuration to create a [`GroupLeaderDistiller`] using the [init
/// function](GroupLeaderDistillerConfig::init).
#[derive(Config, Debug)]
pub struct GroupLeaderDistillerConfig {
    /// The tap of the peers that the attention sees, averaged over pixels or tokens. Default: `pool`.
    #[config(default = "\"pool\".to_string()")]
    pub tap: String,
    /// Whether the targets are no constants, as in the authors' code. Default: `false`.
    #[config(default = false)]
    pub reference_gradients: bool,
}

impl GroupLeaderDistillerConfig {
    /// Auxiliary peers and what each of them is trained on, and a leader and what it is trained on.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two peers, not as many objectives, if two of all networks have
    /// the same parameters, if an objective wants taps of the teacher, or if the peers offer no such
    /// tap or one of different sizes.
    pub fn init<N: Network, O: Objective>(
        &self,
        (peers, objectives): (Vec<N>, Vec<O>),
        (leader, leader_objective): (N, O),
    ) -> GroupLeaderDistiller<N, O> {
        let mut all = peers.clone();
        all.push(leader.clone());
        assert_peers_differ(&peers);
        assert_peers_differ(&all);
        assert_objectives(objectives.len(), peers.len(), "peers");
        for objective in objectives.iter().chain([&leader_objective]) {
            let selection = objective.requirements().teacher;
            assert!(
                selection == TapSelection::None,
                "A group has no taps, but {selection:?} are required."
            );
        }
        let size = self.fit(&peers).unwrap_or_else(|error| panic!("{error}"));
        let device = peers[0].devices().first().cloned().unwrap_or_default();
        GroupLeaderDistiller {
            peers,
            leader,
            objectives,
            leader_objective,
            attention: PeerAttention::new(size, &device),
            tap: self.tap.clone(),
            reference_gradients: self.reference_gradients,
            selection: Resolved::default(),
        }
    }

    /// Returns the size of the features that the peers attend to.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no peer, if a peer offers no such tap, if the tap is not features, or
    /// if it is of another size than those of the others.
    pub fn fit<N: Network>(&self, peers: &[N]) -> Result<usize, MisfitError> {
        let size = |peer: &N| -> Result<usize, MisfitError> {
            let taps = known_taps(peer);
            let features = taps.features(&self.tap)?.clone();
            Ok(pooled(features).dims()[1])
        };
        let sizes: Vec<usize> = peers.iter().map(size).collect::<Result<_, _>>()?;
        match sizes.as_slice() {
            [first, others @ ..] if others.iter().all(|size| size == first) => Ok(*first),
            _ => Err(MisfitError::Network(format!(
                "Peers attend to features of one size, but those of their taps `{}` are {sizes:?}.",
                self.tap
            ))),
        }
    }
}

/// Online distillation with diverse peers: each of several auxiliary peers learns from a mean of all
/// with weights of its own, and a leader from their plain mean.
///
/// ```text
/// A = attention(features of the peers)
/// Lₐ = objective(peerₐ, Σ_b Aₐ_b z_b, targets)
/// L_leader = objective(leader, mean over the peers of z, targets)
/// loss = Σₐ Lₐ + L_leader
/// ```
///
/// The leader is what is deployed. The logits of the peers and the mean are constants for whom they
/// teach; the weights are not, since the attention has nothing else to learn from: the objectives of
/// the peers need a term that lets a gradient through to its teacher, which
/// [`EnsembleKl`](crate::EnsembleKl) does and losses for constant teachers do not. With
/// `reference_gradients`, nothing is constant, as in the authors' code.
///
/// The authors take three peers and a leader and, for each, the cross-entropy plus
/// [`EnsembleKl`](crate::EnsembleKl) at temperature 3 that ramps up to 1 over 80 epochs.
///
/// Peers are whole networks, that of the paper which share nothing. With several views in a batch,
/// peer `k` sees view `k`, and the leader the one that follows.
///
/// Besides the terms of each, as `peer 1 hard` and `leader hard`, it shows the accuracy of each, as
/// `peer 1 accuracy` and `leader accuracy`, and of the mean of the peers, as `ensemble accuracy`, in percent
/// of the labeled samples. What [`MetricKind::Accuracy`](crate::MetricKind) shows is that of the leader, and
/// its teacher is the mean.
///
/// # Example
///
/// ```
/// use burn_distill_core::{ChangingWeight, CrossEntropyObjective};
/// use burn_distill_strategy::EnsembleKl;
///
/// let ramp = ChangingWeight::sigmoid_ramp_up(1.0, 80);
/// let objective = || (CrossEntropyObjective::new(1.0), EnsembleKl::new(3.0, ramp.clone()));
/// // GroupLeaderDistillerConfig::new().init((peers, objectives), (leader, objective()))
/// ```
///
/// # Reference
///
/// D. Chen, J.-P. Mei, C. Wang, Y. Feng and C. Chen, [Online Knowledge Distillation with Diverse
/// Peers](https://arxiv.org/abs/1912.00350), AAAI 2020. The network-based form of the authors'
/// OKDDip-AAAI2020, which lets gradients flow into all targets.
#[doc(alias = "OKDDip")]
#[derive(Module, Debug)]
pub struct GroupLeaderDistiller<N, O> {
    /// The auxiliary peers.
    pub peers: Vec<N>,
    /// The network that is deployed.
    pub leader: N,
    /// What each peer is trained on.
    pub objectives: Vec<O>,
    /// What the leader is trained on.
    pub leader_objective: O,
    /// What weighs the peers.
    pub attention: PeerAttention,
    /// The tap of the peers that the attention sees.
    pub tap: String,
    /// Whether the targets are no constants.
    pub reference_gradients: bool,
    /// The taps that are selected of each peer, and of the leader.
    #[module(skip)]
    selection: Resolved<(Vec<TapSelection>, TapSelection)>,
}

impl<N: Network, O: Objective> GroupLeaderDistiller<N, O> {
    fn requirements(&self) -> &(Vec<TapSelection>, TapSelection) {
        self.selection.get(|| {
            let attended = TapSelection::named([&self.tap]);
            let peers = self.objectives.iter().map(|objective| {
                let own = objective.requirements().student;
                own.union(attended.clone())
            });
            (
                peers.collect(),
                self.leader_objective.requirements().student,
            )
        })
    }
}

impl<N: Network, O: Objective> Distillation for GroupLeaderDistiller<N, O> {
    type Input = N::Input;

    fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
        let mut views = batch.views.iter().cycle();
        let mut ask = |network: &N, selection: &TapSelection| {
            let view = views.next().expect("A batch has at least one view.");
            network.forward_knowledge(view.clone(), selection)
        };
        let (of_peers, of_leader) = self.requirements();
        let peers = self.peers.iter().zip(of_peers);
        let peers: Vec<_> = peers
            .map(|(peer, selection)| ask(peer, selection))
            .collect();
        let leader = ask(&self.leader, of_leader);

        let features = peers.iter().map(|peer| pooled(peer.taps.expect(&self.tap)));
        let weights = self.attention.forward(Tensor::stack(features.collect(), 1));
        let logits = peers.iter().map(|peer| class_logits(&peer.response));
        let logits: Tensor<3> = Tensor::stack(logits.collect(), 1);
        let logits = match self.reference_gradients {
            true => logits,
            false => logits.without_autodiff(),
        };
        let targets = weights.matmul(logits.clone());
        let mean = saying(logits.mean_dim(1).squeeze_dim(1));

        let terms = |objective: &O, student: &Knowledge, teacher: &Knowledge, name: &str| {
            let context = Context::new(student, teacher, &batch.targets, &batch.ids, batch.clock);
            let terms = objective.forward(&context);
            let accuracy = accuracy("accuracy", &student.response, &batch.targets);
            terms
                .and(accuracy)
                .each(|term| format!("{name} {term}"), 1.0)
        };
        let mut all = Terms::default();
        for (index, (peer, objective)) in peers.iter().zip(&self.objectives).enumerate() {
            let target = saying(targets.clone().narrow(1, index, 1).squeeze_dim(1));
            all = all.and(terms(
                objective,
                peer,
                &target,
                &format!("peer {}", index + 1),
            ));
        }
        let all = all
            .and(terms(&self.leader_objective, &leader, &mean, "leader"))
            .and(accuracy(
                "ensemble accuracy",
                &mean.response,
                &batch.targets,
            ));
        let taught: Option<&Response> = Some(&mean.response);
        DistillationOutput::new(all, &leader.response, taught, &batch.targets)
    }
}

learner_model!([N, O] GroupLeaderDistiller<N, O>);
