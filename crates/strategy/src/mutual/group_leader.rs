use super::peers::{
    accuracy, assert_objectives, assert_peers_differ, class_logits, pooled, without_taps,
};
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{
    Batch, Context, Knowledge, Network, NetworkMismatch, Objective, Response, TapSelection, Terms,
    initialize, known_taps,
};

/// Attention of each peer over all peers, for each sample.
///
/// ```text
/// A = softmax over b of (W_q hₐ) · (W_k h_b)
/// ```
///
/// without bias and without scale, including the peer itself.
#[derive(Module, Debug)]
pub struct PeerAttention {
    /// Projection of the queries, `W_q`.
    pub query: Linear,
    /// Projection of the keys, `W_k`.
    pub key: Linear,
}

impl PeerAttention {
    /// Creates the attention for a number of features; queries and keys have an eighth of it. Its
    /// weights are initialized immediately.
    pub fn new(features: usize, device: &Device) -> Self {
        let projection = LinearConfig::new(features, (features / 8).max(1)).with_bias(false);
        initialize(Self {
            query: projection.init(device),
            key: projection.init(device),
        })
    }

    /// Computes the weight of each peer in the target of each peer.
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
    /// Tap of the peers from which the attention is computed, averaged over pixels or tokens.
    /// Default: `pool`.
    #[config(default = "\"pool\".to_string()")]
    pub tap: String,
    /// Whether gradients flow into the targets, as in the authors' code. Default: `false`.
    #[config(default = false)]
    pub reference_gradients: bool,
}

impl GroupLeaderDistillerConfig {
    /// Creates a distiller from auxiliary peers and their objectives, and a leader and its
    /// objective.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two peers, if there is not one objective for each, if two
    /// networks have the same parameters, if an objective requires taps of the teacher, or if a
    /// peer does not have the tap, or has it with another size.
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
                "A group has no taps, but an objective requires {selection:?} of it: use a loss on \
                 responses."
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

    /// Returns the number of features from which the attention is computed.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no peer, if a peer does not have the tap, if the tap has no
    /// features, or if the numbers of features differ.
    pub fn fit<N: Network>(&self, peers: &[N]) -> Result<usize, NetworkMismatch> {
        let size = |peer: &N| -> Result<usize, NetworkMismatch> {
            let taps = known_taps(peer);
            let features = taps.features(&self.tap)?.clone();
            Ok(pooled(features).dims()[1])
        };
        let sizes: Vec<usize> = peers.iter().map(size).collect::<Result<_, _>>()?;
        match sizes.as_slice() {
            [first, others @ ..] if others.iter().all(|size| size == first) => Ok(*first),
            _ => Err(NetworkMismatch::Network(format!(
                "Peers attend to features of one size, but those of their taps `{}` are {sizes:?}: name \
                 another tap.",
                self.tap
            ))),
        }
    }
}

/// Online knowledge distillation with diverse peers (OKDDip): each of several auxiliary peers
/// learns from a separately weighted mean of all peers, and a leader learns from their plain mean.
///
/// ```text
/// A = attention(features of the peers)
/// Lₐ = objective(peerₐ, Σ_b Aₐ_b z_b, targets)
/// L_leader = objective(leader, mean over the peers of z, targets)
/// loss = Σₐ Lₐ + L_leader
/// ```
///
/// The leader is deployed. The logits of the peers and the mean are constants where they are
/// targets. The weights `A` are not, since the attention learns only from them: the objectives of
/// the peers need a term with a gradient for its teacher, such as
/// [`EnsembleKl`](crate::EnsembleKl), which losses for constant teachers do not have. With
/// `reference_gradients`, gradients flow into all targets, as in the authors' code.
///
/// The authors use three peers and a leader, each with the cross-entropy plus
/// [`EnsembleKl`](crate::EnsembleKl) at temperature 3, whose weight ramps up to 1 over 80 epochs.
///
/// Peers are separate networks without shared layers, the network-based form of the paper. With
/// several views in a batch, peer `k` processes view `k`, and the leader processes the next one.
///
/// It shows the terms of each network, as `peer 1 cross-entropy` and `leader cross-entropy`, the
/// accuracy of each, as `peer 1 accuracy` and `leader accuracy`, and that of the mean of the peers,
/// as `ensemble accuracy`, in percent of the labeled samples.
/// [`MetricKind::Accuracy`](crate::MetricKind) is the accuracy of the leader, and its teacher is
/// the mean.
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
    /// Auxiliary peers.
    pub peers: Vec<N>,
    /// Leader, which is deployed.
    pub leader: N,
    /// Training objective of each peer.
    pub objectives: Vec<O>,
    /// Training objective of the leader.
    pub leader_objective: O,
    /// Attention that weights the peers.
    pub attention: PeerAttention,
    /// Tap of the peers from which the attention is computed.
    pub tap: String,
    /// Whether gradients flow into the targets.
    pub reference_gradients: bool,
    /// Selected taps of each peer and of the leader.
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
        let mean = without_taps(logits.mean_dim(1).squeeze_dim(1));

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
            let target = without_taps(targets.clone().narrow(1, index, 1).squeeze_dim(1));
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
        let teacher: Option<&Response> = Some(&mean.response);
        DistillationOutput::new(all, &leader.response, teacher, &batch.targets)
    }
}

learner_model!([N, O] GroupLeaderDistiller<N, O>);
