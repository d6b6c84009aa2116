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

/// Mutual learning: several networks learn at once, each also from the others.
///
/// Of `K` peers, peer `k` is trained on
///
/// ```text
/// Lₖ = objectiveₖ(peerₖ, [the other peers in their order, as constants], targets)
/// loss = Σₖ Lₖ
/// ```
///
/// All peers see the parameters of before the step: their order does not matter. Since no gradient
/// flows from one peer's loss into another, one backward pass and one optimizer do what one of each
/// per peer would. With several views in a batch, peer `k` sees view `k`, and the first again when
/// they run out. [`PeerOrder::Sequential`] is the other order that there is.
///
/// [`PerTeacher`](burn_distill_core::PerTeacher) makes an objective against one teacher one
/// against all the others, averaged: with the cross-entropy and soft targets of temperature 1 this
/// is deep mutual learning. [`EnsembleObjective`](crate::EnsembleObjective) makes one teacher of all
/// the others: this is collaborative learning. Objectives on features or relations do as well, sized
/// for each pair.
///
/// Besides the terms of each peer, as `peer 1 hard`, it shows the accuracy of each, as `peer 1
/// accuracy`, and of the mean of their probabilities, as `ensemble accuracy`, in percent of the
/// labeled samples.
/// What [`MetricKind::Accuracy`](crate::MetricKind) shows is that of the first.
///
/// # Reference
///
/// Y. Zhang, T. Xiang, T. Hospedales and H. Lu, [Deep Mutual
/// Learning](https://arxiv.org/abs/1706.00384), CVPR 2018. The simultaneous order is that of
/// Knowledge-Distillation-Zoo's `train_dml`, the sequential one that of the paper.
#[doc(alias = "DML")]
#[derive(Module, Debug)]
pub struct MutualDistiller<N: Network, O> {
    /// The networks that learn.
    pub peers: Vec<N>,
    /// What each of them is trained on.
    pub objectives: Vec<O>,
    /// Who steps when.
    #[module(skip)]
    pub order: PeerOrder,
    /// What those who have not had their turn yet wait with, between the backward pass of the first
    /// peer and the optimizer.
    #[module(skip)]
    waiting: Arc<Mutex<Option<Waiting<N::Input>>>>,
    /// The taps that are selected of each peer.
    #[module(skip)]
    selection: Resolved<Vec<WantedOfPeer>>,
}

/// The taps that are selected of one peer.
#[derive(Clone, Debug)]
pub(super) struct WantedOfPeer {
    /// Taps that the objectives of the other peers want.
    by_others: TapSelection,
    /// Taps that any objective wants.
    all: TapSelection,
}

/// Who steps when, among peers that learn from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerOrder {
    /// All at once, each from what the others were before.
    #[default]
    Simultaneous,
    /// One after the other on the same batch, each from what those before it have become: the order
    /// of the paper.
    ///
    /// ```text
    /// for k in 1..=K:    step peerₖ on Lₖ;    predict again with peerₖ
    /// ```
    ///
    /// It costs a forward pass more of each peer but the last. These passes are in training mode and
    /// move no running statistics: those move once per batch, as in the other order. The terms that
    /// are shown are those of before the first step.
    ///
    /// The turns are taken between two batches, so that there has to be a step of the optimizer for
    /// each batch: neither gradient accumulation nor several devices.
    Sequential,
}

/// A batch, and what each peer says about it.
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
    /// These networks, each with what it is trained on.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two peers, not as many objectives, or if two peers have the
    /// same parameters.
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

    /// The same in that order.
    pub fn with_order(mut self, order: PeerOrder) -> Self {
        self.order = order;
        self
    }

    fn requirements(&self) -> &[WantedOfPeer] {
        self.selection.get(|| {
            let selection: Vec<Requirements> = self
                .objectives
                .iter()
                .map(Objective::requirements)
                .collect();
            let of_peer = |peer: usize| {
                let by_others = required_by_others(&selection, peer);
                WantedOfPeer {
                    all: selection[peer].student.clone().union(by_others.clone()),
                    by_others,
                }
            };
            (0..self.peers.len()).map(of_peer).collect()
        })
    }

    /// Returns the taps of each peer that any objective wants.
    pub(super) fn wanted_of_peers(&self) -> impl Iterator<Item = &TapSelection> {
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

    /// Returns the knowledge of each peer of its view, with these taps.
    fn knowledge<'a>(
        &self,
        batch: &Batch<N::Input>,
        selection: impl IntoIterator<Item = &'a TapSelection>,
    ) -> Vec<Knowledge> {
        let peers = self.peers.iter().zip(selection).enumerate();
        peers
            .map(|(index, (peer, selection))| ask(peer, index, batch, selection))
            .collect()
    }

    /// The terms of one peer, when all have said that.
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

    /// The step of the first peer. The others wait for theirs.
    fn first_turn(&self, batch: Batch<N::Input>) -> TrainOutput<DistillationOutput> {
        let knowledge = self.knowledge(&batch, self.wanted_of_peers());
        let mut shown = knowledge.clone();
        for other in &mut shown[1..] {
            *other = other.clone().without_autodiff();
        }
        let terms = |peer: usize| match peer {
            0 => Self::terms(&self.objectives[0], 0, &knowledge, &batch),
            // To be shown only. A copy, since what an objective remembers of a batch it is to
            // remember once: in its turn.
            _ => Self::terms(&self.objectives[peer].valid(), peer, &shown, &batch),
        };
        let output = self.output(terms, &knowledge, &batch);
        let gradients = output.loss.backward();
        let waiting = lock(&self.waiting).replace(Waiting { batch, knowledge });
        assert!(
            waiting.is_none(),
            "Peers that take turns need a step of the optimizer for each batch."
        );
        TrainOutput::new(self, gradients, output)
    }

    /// The steps of all but the first peer, which has had its own.
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
            // A copy with running statistics of its own, which are not to move twice in a batch.
            let copy = self.peers[before].valid().train();
            let selection = &self.requirements()[before].by_others;
            knowledge[before] = ask(&copy, before, &batch, selection).without_autodiff();

            let terms = Self::terms(&self.objectives[peer], peer, &knowledge, &batch);
            let gradients = GradientsParams::from_grads(terms.total().backward(), &self);
            self = optimizer.step(rate.clone(), self, gradients);
        }
        self
    }
}

/// What the peer at `index` says about its view of a batch.
pub(super) fn ask<N: Network>(
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
        self.forward_with(batch, self.wanted_of_peers()).0
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
            "Peers that take turns learn on one device."
        );
        optimizer.step_multi(rate, self, gradients)
    }
}

learner_model!([N: Network, O] MutualDistiller<N, O>);
