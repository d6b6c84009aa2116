use super::peers::{
    accuracies, assert_objectives, assert_peers_differ, others, required_by_others,
};
use crate::last_clock::LastClock;
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::train::TrainOutput;
use burn_distill_core::{
    Batch, Context, Knowledge, MovingAverage, Network, Objective, Requirements, TapSelection, Terms,
};

/// Codistillation: several networks train at the same time, and each also learns from older copies
/// of the others.
///
/// Of `N` peers, peer `i` is trained on
///
/// ```text
/// Lᵢ = supervised(peerᵢ, targets)                                                      at first
/// Lᵢ = supervised(peerᵢ, targets) + distillation(peerᵢ, [stale copies of the others], targets)
/// ```
///
/// where the second line applies from step `burn_in` on, counted from 0. Before, the copies are not
/// evaluated. Copies are taken after step `burn_in` and then every `period` steps, with running
/// statistics, and compute in validation mode. They are part of the record. The steps in which they
/// are taken depend only on the clock, so that a resumed training takes them in the same steps as
/// an uninterrupted one. They are taken in a step of the optimizer: where gradients accumulate over
/// several batches, `burn_in` and `period` should be multiples of that number, or copies are taken
/// rarely or never.
///
/// The paper compares with the mean of the predictions of the others, which is
/// [`EnsembleTarget::Others`](crate::EnsembleTarget) with soft cross-entropy at temperature 1 and a
/// weight of 1.
///
/// All peers process the same samples, or different views if the batch has several, as in
/// [`MutualDistiller`](crate::MutualDistiller). A copy computes on the view of the peer that learns
/// from it. The peers train in one process, one after the other.
///
/// It shows the terms of each peer, as `peer 1 cross-entropy`, the accuracy of each, as `peer 1
/// accuracy`, and that of the mean of their probabilities, as `ensemble accuracy`, in percent of
/// the labeled samples. [`MetricKind::Accuracy`](crate::MetricKind) is the accuracy of the first
/// peer.
///
/// # Reference
///
/// R. Anil, G. Pereyra, A. Passos, R. Ormándi, G. Dahl and G. Hinton, [Large scale distributed
/// neural network training through online distillation](https://arxiv.org/abs/1804.03235), ICLR
/// 2018. There is no code by the authors.
#[derive(Module, Debug)]
pub struct Codistiller<N, A, O> {
    /// Networks that are trained.
    pub peers: Vec<N>,
    /// Last copy of each peer.
    pub copies: Vec<MovingAverage<N>>,
    /// Training objective of each peer without the other peers.
    pub supervised: Vec<A>,
    /// Training objective of each peer with the copies of the other peers as teachers, in order.
    pub distillation: Vec<O>,
    /// Number of steps before peers learn from each other.
    pub burn_in: usize,
    /// Number of steps from one copy to the next.
    pub period: usize,
    /// Clock of the last batch, for the step of the optimizer.
    #[module(skip)]
    clock: LastClock,
    /// Selected taps of each peer and its copy.
    #[module(skip)]
    requirements: Resolved<Vec<PeerTaps>>,
}

/// The selected taps of one peer and its copy.
#[derive(Clone, Debug)]
struct PeerTaps {
    /// Taps of the peer before step `burn_in`.
    supervised: TapSelection,
    /// Taps of the peer from step `burn_in` on.
    distillation: TapSelection,
    /// Taps of its copy.
    copy: TapSelection,
}

impl<N, A, O> Codistiller<N, A, O>
where
    N: Network,
    A: Objective<Knowledge, ()>,
    O: Objective<Knowledge, Vec<Knowledge>>,
{
    /// Creates a distiller from networks, each with an objective without the other networks and one
    /// with their copies as teachers. The networks learn from each other from the start and are
    /// copied after every step, unless [`with_schedule`](Self::with_schedule) changes that.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two peers, if there is not one objective of either kind for
    /// each, or if two peers have the same parameters.
    pub fn new(peers: Vec<N>, supervised: Vec<A>, distillation: Vec<O>) -> Self {
        assert_peers_differ(&peers);
        assert_objectives(supervised.len(), peers.len(), "peers in `supervised`");
        assert_objectives(distillation.len(), peers.len(), "peers in `distillation`");
        Self {
            copies: peers.iter().map(MovingAverage::new).collect(),
            peers,
            supervised,
            distillation,
            burn_in: 0,
            period: 1,
            clock: LastClock::default(),
            requirements: Resolved::default(),
        }
    }

    /// Sets the number of steps before peers learn from each other, and from one copy to the next.
    ///
    /// # Panics
    ///
    /// Panics if `period` is zero.
    pub fn with_schedule(mut self, burn_in: usize, period: usize) -> Self {
        assert!(
            period > 0,
            "The period of copies must be at least 1 step, but is 0."
        );
        self.burn_in = burn_in;
        self.period = period;
        self
    }

    fn requirements(&self) -> &[PeerTaps] {
        self.requirements.get(|| {
            let distillation: Vec<Requirements> = self
                .distillation
                .iter()
                .map(Objective::requirements)
                .collect();
            let of_peer = |peer: usize| {
                let supervised = self.supervised[peer].requirements().student;
                PeerTaps {
                    distillation: supervised.clone().union(distillation[peer].student.clone()),
                    copy: required_by_others(&distillation, peer),
                    supervised,
                }
            };
            (0..self.peers.len()).map(of_peer).collect()
        })
    }

    /// Returns the knowledge of each copy about one view of a batch, as constants, or `None` for a
    /// copy from which no peer of that view learns.
    fn stale(&self, batch: &Batch<N::Input>, view: usize) -> Vec<Option<Knowledge>> {
        let learners = (view..self.peers.len()).step_by(batch.views.len());
        let copies = self.copies.iter().enumerate().map(|(index, copy)| {
            let is_teacher = learners.clone().any(|learner| learner != index);
            is_teacher.then(|| {
                let requirements = &self.requirements()[index].copy;
                let knowledge = copy.forward_knowledge(batch.views[view].clone(), requirements);
                knowledge.without_autodiff()
            })
        });
        copies.collect()
    }

    /// Copies the peers after a step, if a copy is due.
    fn copied(mut self) -> Self {
        let steps = self.clock.get().step() + 1;
        let due = steps
            .checked_sub(self.burn_in)
            .is_some_and(|since| since % self.period == 0);
        if due {
            let copies = self.copies.into_iter().zip(&self.peers);
            self.copies = copies.map(|(copy, peer)| copy.update(peer, 0.0)).collect();
        }
        self
    }
}

impl<N, A, O> Distillation for Codistiller<N, A, O>
where
    N: Network,
    A: Objective<Knowledge, ()>,
    O: Objective<Knowledge, Vec<Knowledge>>,
{
    type Input = N::Input;

    fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
        let (targets, ids, clock) = (&batch.targets, &batch.ids, batch.clock);
        let requirements = self.requirements();

        let distillation = clock.step() >= self.burn_in;
        // Peers with the same view share the knowledge of the copies about it.
        let mut stale = vec![None; batch.views.len()];
        let mut terms = Terms::default();
        let mut responses = Vec::new();
        for (index, peer) in self.peers.iter().enumerate() {
            let place = index % batch.views.len();
            let view = batch.views[place].clone();
            let (supervised, with_others) = (&self.supervised[index], &self.distillation[index]);
            let requirements = match distillation {
                true => &requirements[index].distillation,
                false => &requirements[index].supervised,
            };
            let student = peer.forward_knowledge(view, requirements);
            let mut own = supervised.forward(&Context::new(&student, &(), targets, ids, clock));
            if distillation {
                let stale = stale[place].get_or_insert_with(|| self.stale(batch, place));
                let others: Vec<_> = others(stale, index).flatten().cloned().collect();
                let context = Context::new(&student, &others, targets, ids, clock);
                own = own.and(with_others.forward(&context));
            }
            terms = terms.and(own.each(|term| format!("peer {} {term}", index + 1), 1.0));
            responses.push(student.response);
        }
        let responses: Vec<_> = responses.iter().collect();
        let terms = terms.and(accuracies(&responses, targets));
        DistillationOutput::new(terms, responses[0], None, targets)
    }

    fn training_step(&self, batch: Batch<N::Input>) -> TrainOutput<DistillationOutput> {
        self.clock.set(batch.clock);
        let output = self.forward(&batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }

    fn validation_step(&self, mut batch: Batch<N::Input>) -> DistillationOutput {
        // The clock of the last training step, since the loader of a validation has another clock.
        batch.clock = self.clock.get();
        self.forward(&batch)
    }

    fn optimizer_step(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let stepped: Self = optimizer.step(rate, self, gradients);
        stepped.copied()
    }

    fn optimizer_step_multi(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: MultiGradientsParams,
    ) -> Self {
        let stepped: Self = optimizer.step_multi(rate, self, gradients);
        stepped.copied()
    }
}

learner_model!([N, A, O] Codistiller<N, A, O>);
