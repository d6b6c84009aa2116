use super::peers::{
    accuracies, assert_objectives, assert_peers_differ, lock, others, required_by_others,
};
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::train::TrainOutput;
use burn_distill_core::{
    Batch, Context, Knowledge, Network, Objective, Requirements, TapSelection, Terms,
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// Deep mutual learning (DML): several networks train at the same time, and each also learns from
/// the others.
///
/// Of `K` peers, peer `k` is trained on
///
/// ```text
/// Lₖ = objectiveₖ(peerₖ, [the other peers in their order, as constants], targets)
/// loss = Σₖ Lₖ
/// ```
///
/// All losses are computed with the parameters before the step, so the order of the peers does not
/// matter. Since no gradient flows from the loss of one peer into another, one backward pass and
/// one optimizer are equivalent to one of each per peer. With several views in a batch, peer `k`
/// processes view `k`, starting again with the first when there are more peers than views.
/// [`PeerOrder::Sequential`] is the alternative order.
///
/// [`PerTeacher`](burn_distill_core::PerTeacher) averages an objective for one teacher over all
/// other peers: with the cross-entropy and soft targets at temperature 1, this is deep mutual
/// learning. [`EnsembleObjective`](crate::EnsembleObjective) combines all peers into one teacher,
/// which is collaborative learning (KDCL). Objectives on features or relations are possible too,
/// with adapters for each pair of peers.
///
/// It shows the terms of each peer, as `peer 1 cross-entropy`, the accuracy of each, as `peer 1
/// accuracy`, and that of the mean of their probabilities, as `ensemble accuracy`, in percent of
/// the labeled samples. [`MetricKind::Accuracy`](crate::MetricKind) is the accuracy of the first
/// peer.
///
/// # Reference
///
/// Y. Zhang, T. Xiang, T. Hospedales and H. Lu, [Deep Mutual
/// Learning](https://arxiv.org/abs/1706.00384), CVPR 2018. The simultaneous order is that of
/// Knowledge-Distillation-Zoo's `train_dml`, the sequential one that of the paper.
#[doc(alias = "DML")]
#[derive(Module, Debug)]
pub struct MutualDistiller<N: Network, O> {
    /// Networks that are trained.
    pub peers: Vec<N>,
    /// Training objective of each peer.
    pub objectives: Vec<O>,
    /// Order in which the peers take their steps.
    #[module(skip)]
    pub order: PeerOrder,
    /// Batch and knowledge for the peers after the first, between the backward pass of the first
    /// peer and the optimizer, in sequential order.
    #[module(skip)]
    waiting: Arc<Mutex<Option<Waiting<N::Input>>>>,
    /// Selected taps of each peer.
    #[module(skip)]
    selection: Resolved<Vec<PeerTaps>>,
}

/// The selected taps of one peer.
#[derive(Clone, Debug)]
pub(super) struct PeerTaps {
    /// Taps that the objectives of the other peers require.
    by_others: TapSelection,
    /// Taps that any objective requires.
    all: TapSelection,
}

/// The order in which peers that learn from each other take their steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerOrder {
    /// All peers step at the same time and learn from the others before the step.
    #[default]
    Simultaneous,
    /// The peers step one after the other on the same batch, and each learns from the updated peers
    /// before it, as in the paper.
    ///
    /// ```text
    /// for k in 1..=K:    step peerₖ on Lₖ;    predict again with peerₖ
    /// ```
    ///
    /// It costs another forward pass of each peer except the last. These passes are in training
    /// mode and do not update running statistics, which are updated once per batch, as in the other
    /// order. The terms that are shown are those before the first step.
    ///
    /// The steps are taken between two batches, so there must be a step of the optimizer for each
    /// batch: neither gradient accumulation nor several devices are possible.
    Sequential,
}

/// A batch, and the knowledge of each peer about it.
#[derive(Clone, Debug)]
struct Waiting<I> {
    batch: Batch<I>,
    knowledge: Vec<Knowledge>,
}

impl<N, O> MutualDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, Vec<Knowledge>>,
{
    /// Creates a distiller from networks and one training objective for each.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two peers, if there is not one objective for each, or if two
    /// peers have the same parameters.
    pub fn new(peers: Vec<N>, objectives: Vec<O>) -> Self {
        assert_peers_differ(&peers);
        assert_objectives(objectives.len(), peers.len(), "peers");
        Self {
            peers,
            objectives,
            order: PeerOrder::default(),
            waiting: Arc::default(),
            selection: Resolved::default(),
        }
    }

    /// Sets the order in which the peers take their steps. Default: simultaneous.
    pub fn with_order(mut self, order: PeerOrder) -> Self {
        self.order = order;
        self
    }

    fn requirements(&self) -> &[PeerTaps] {
        self.selection.get(|| {
            let selection: Vec<Requirements> = self
                .objectives
                .iter()
                .map(Objective::requirements)
                .collect();
            let of_peer = |peer: usize| {
                let by_others = required_by_others(&selection, peer);
                PeerTaps {
                    all: selection[peer].student.clone().union(by_others.clone()),
                    by_others,
                }
            };
            (0..self.peers.len()).map(of_peer).collect()
        })
    }

    /// Returns the taps of each peer that any objective requires.
    pub(super) fn required_taps(&self) -> impl Iterator<Item = &TapSelection> {
        self.requirements().iter().map(|selection| &selection.all)
    }

    /// Computes the loss of a batch, and the knowledge of each peer with these taps.
    pub(super) fn forward_with<'a>(
        &self,
        batch: &Batch<N::Input>,
        selection: impl IntoIterator<Item = &'a TapSelection>,
    ) -> (DistillationOutput, Vec<Knowledge>) {
        let knowledge = self.knowledge(batch, selection);
        let terms = |peer: usize| Self::terms(&self.objectives[peer], peer, &knowledge, batch);
        (self.output(terms, &knowledge, batch), knowledge)
    }

    /// Returns the knowledge of each peer about its view, with these taps.
    fn knowledge<'a>(
        &self,
        batch: &Batch<N::Input>,
        selection: impl IntoIterator<Item = &'a TapSelection>,
    ) -> Vec<Knowledge> {
        let peers = self.peers.iter().zip(selection).enumerate();
        peers
            .map(|(index, (peer, selection))| knowledge_of(peer, index, batch, selection))
            .collect()
    }

    /// Computes the terms of one peer from the knowledge of all peers.
    fn terms(
        objective: &O,
        peer: usize,
        knowledge: &[Knowledge],
        batch: &Batch<N::Input>,
    ) -> Terms {
        let student = &knowledge[peer];
        let others: Vec<_> = others(knowledge, peer)
            .map(|other| other.clone().without_autodiff())
            .collect();
        let context = Context::new(student, &others, &batch.targets, &batch.ids, batch.clock);
        objective.forward(&context)
    }

    fn output(
        &self,
        terms: impl Fn(usize) -> Terms,
        knowledge: &[Knowledge],
        batch: &Batch<N::Input>,
    ) -> DistillationOutput {
        let numbered =
            |peer: usize| terms(peer).each(|term| format!("peer {} {term}", peer + 1), 1.0);
        let terms = (0..self.peers.len()).map(numbered);
        let responses: Vec<_> = knowledge.iter().map(|peer| &peer.response).collect();
        let shown = accuracies(&responses, &batch.targets);
        let terms = terms.fold(Terms::default(), Terms::and).and(shown);
        DistillationOutput::new(terms, responses[0], None, &batch.targets)
    }

    /// Computes the step of the first peer in sequential order. The others step in the optimizer.
    fn first_turn(&self, batch: Batch<N::Input>) -> TrainOutput<DistillationOutput> {
        let knowledge = self.knowledge(&batch, self.required_taps());
        let mut shown = knowledge.clone();
        for other in &mut shown[1..] {
            *other = other.clone().without_autodiff();
        }
        let terms = |peer: usize| match peer {
            0 => Self::terms(&self.objectives[0], 0, &knowledge, &batch),
            // Only to show the terms. A copy, since an objective with a memory must store a batch
            // once, in its own step.
            _ => Self::terms(&self.objectives[peer].valid(), peer, &shown, &batch),
        };
        let output = self.output(terms, &knowledge, &batch);
        let gradients = output.loss.backward();
        let waiting = lock(&self.waiting).replace(Waiting { batch, knowledge });
        assert!(
            waiting.is_none(),
            "Peers in sequential order need a step of the optimizer for each batch: train without \
             gradient accumulation."
        );
        TrainOutput::new(self, gradients, output)
    }

    /// Takes the steps of all peers after the first.
    fn other_turns(
        mut self,
        waiting: Waiting<N::Input>,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
    ) -> Self {
        let Waiting {
            batch,
            mut knowledge,
        } = waiting;
        for peer in 1..self.peers.len() {
            let before = peer - 1;
            // A copy with separate running statistics, since those are to be updated once per
            // batch.
            let copy = self.peers[before].valid().train();
            let selection = &self.requirements()[before].by_others;
            knowledge[before] = knowledge_of(&copy, before, &batch, selection).without_autodiff();

            let terms = Self::terms(&self.objectives[peer], peer, &knowledge, &batch);
            let gradients = GradientsParams::from_grads(terms.total().backward(), &self);
            self = optimizer.step(rate.clone(), self, gradients);
        }
        self
    }
}

/// Returns the knowledge of the peer at `index` about its view of a batch.
pub(super) fn knowledge_of<N: Network>(
    peer: &N,
    index: usize,
    batch: &Batch<N::Input>,
    selection: &TapSelection,
) -> Knowledge {
    let view = &batch.views[index % batch.views.len()];
    peer.forward_knowledge(view.clone(), selection)
}

impl<N, O> Distillation for MutualDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, Vec<Knowledge>>,
{
    type Input = N::Input;

    fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
        self.forward_with(batch, self.required_taps()).0
    }

    fn training_step(&self, batch: Batch<N::Input>) -> TrainOutput<DistillationOutput> {
        match self.order {
            PeerOrder::Simultaneous => {
                let output = self.forward(&batch);
                TrainOutput::new(self, output.loss.backward(), output)
            }
            PeerOrder::Sequential => self.first_turn(batch),
        }
    }

    fn optimizer_step(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let stepped: Self = optimizer.step(rate.clone(), self, gradients);
        let waiting = lock(&stepped.waiting).take();
        match waiting {
            Some(waiting) => stepped.other_turns(waiting, optimizer, rate),
            None => stepped,
        }
    }

    fn optimizer_step_multi(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: MultiGradientsParams,
    ) -> Self {
        assert_eq!(
            self.order,
            PeerOrder::Simultaneous,
            "Peers in sequential order train on one device: use one, or the simultaneous order."
        );
        optimizer.step_multi(rate, self, gradients)
    }
}

learner_model!([N: Network, O] MutualDistiller<N, O>);
