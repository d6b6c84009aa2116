use crate::DistillationOutput;
use crate::output::predictions;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Tensor};
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use burn_distill_core::{
    Batch, Context, Knowledge, Network, Objective, Response, TapSelection, Targets, Terms, Wanted,
    tensors,
};

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
/// they run out.
///
/// [`EachTeacher`](burn_distill_core::EachTeacher) makes an objective against one teacher one
/// against all the others, averaged: with the cross-entropy and soft targets of temperature 1 this
/// is deep mutual learning. Objectives on features or relations do as well, sized for each pair.
///
/// Besides the terms of each peer, as `1 hard`, it shows the accuracy of each, as `1 accuracy`, and
/// of the mean of their probabilities, as `ensemble accuracy`, in percent of the labelled samples.
/// What [`Figure::Accuracy`](crate::Figure) shows is that of the first.
///
/// # Reference
///
/// Y. Zhang, T. Xiang, T. Hospedales and H. Lu, [Deep Mutual
/// Learning](https://arxiv.org/abs/1706.00384), CVPR 2018. The simultaneous order is that of
/// Knowledge-Distillation-Zoo's `train_dml`.
#[doc(alias = "DML")]
#[derive(Module, Debug)]
pub struct MutualDistiller<N, O> {
    /// The networks that learn.
    pub peers: Vec<N>,
    /// What each of them is trained on.
    pub objectives: Vec<O>,
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
        assert!(
            peers.len() >= 2,
            "Mutual learning needs two peers, but there are {}.",
            peers.len()
        );
        assert_eq!(
            peers.len(),
            objectives.len(),
            "There should be an objective for each of {} peers, but there are {}.",
            peers.len(),
            objectives.len()
        );
        let states: Vec<_> = peers.iter().map(tensors).collect();
        for (index, state) in states.iter().enumerate() {
            if let Some(twin) = states[..index].iter().position(|other| other == state) {
                panic!(
                    "Peers {} and {} have the same parameters, so they would learn nothing from \
                     each other: initialize them from different seeds.",
                    twin + 1,
                    index + 1
                );
            }
        }
        Self { peers, objectives }
    }

    /// The loss of a batch, peer by peer and term by term, and the figures that metrics are made of.
    pub fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
        let views = batch.views.iter().cycle();
        let knowledge: Vec<_> = (self.peers.iter().zip(self.wanted()).zip(views))
            .map(|((peer, wanted), view)| peer.forward_knowledge(view.clone(), &wanted))
            .collect();

        let mut terms = Terms::default();
        for (index, (student, objective)) in knowledge.iter().zip(&self.objectives).enumerate() {
            let others: Vec<_> = others(&knowledge, index)
                .map(|other| other.clone().without_autodiff())
                .collect();
            let context = Context::new(student, &others, &batch.targets, &batch.ids, batch.clock);
            let name = |term: &str| format!("{} {term}", index + 1);
            terms = terms.and(objective.forward(&context).each(name, 1.0));
        }
        let responses: Vec<_> = knowledge.iter().map(|peer| &peer.response).collect();
        terms = terms.and(accuracies(&responses, &batch.targets));
        DistillationOutput::new(terms, responses[0], None, &batch.targets)
    }

    /// What each peer is asked for: by its own objective, and by those of the others.
    fn wanted(&self) -> Vec<TapSelection> {
        let wanted: Vec<Wanted> = self.objectives.iter().map(Objective::wanted).collect();
        let of_peer = |peer: usize| {
            let by_others = others(&wanted, peer).enumerate().map(|(other, wanted)| {
                // In the order of the peers without the one who asks.
                let asks = if other < peer { other } else { other + 1 };
                let place = if peer < asks { peer } else { peer - 1 };
                wanted.teacher.for_network(place)
            });
            by_others.fold(wanted[peer].student.clone(), TapSelection::union)
        };
        (0..self.peers.len()).map(of_peer).collect()
    }
}

/// All but the one at `index`, in their order.
fn others<T>(all: &[T], index: usize) -> impl Iterator<Item = &T> {
    all[..index].iter().chain(&all[index + 1..])
}

/// The accuracy of each response and of the mean of their probabilities, in percent of the labelled
/// samples. Nothing is shown of responses that are no classes.
pub(crate) fn accuracies(responses: &[&Response], targets: &Targets) -> Terms {
    let logits: Option<Vec<_>> = responses.iter().map(|r| r.classes().cloned()).collect();
    let (Some(logits), Some((classes, labelled))) = (logits, targets.hard()) else {
        return Terms::default();
    };
    let classes = classes.without_autodiff();
    let accuracy = |logits: &Tensor<2>| {
        let right = predictions(logits).equal(classes.clone());
        let percent = |share: Tensor<1>| share.mul_scalar(100.0);
        match &labelled {
            None => percent(right.float().cast(DType::F32).mean()),
            Some(labelled) => {
                let count =
                    |mask: Tensor<1, burn::tensor::Bool>| mask.float().cast(DType::F32).sum();
                let labels = count(labelled.clone()).clamp_min(1.0);
                percent(count(right.bool_and(labelled.clone())).div(labels))
            }
        }
    };
    let mean = logits
        .iter()
        .map(|logits| softmax(logits.clone().without_autodiff().cast(DType::F32), 1))
        .reduce(Tensor::add);
    let each = (1..)
        .zip(&logits)
        .map(|(number, logits)| Terms::shown(format!("{number} accuracy"), accuracy(logits)));
    let ensemble = mean.map(|mean| Terms::shown("ensemble accuracy", accuracy(&mean)));
    each.chain(ensemble).fold(Terms::default(), Terms::and)
}

impl<N, O> TrainStep for MutualDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, Vec<Knowledge>>,
{
    type Input = Batch<N::Input>;
    type Output = DistillationOutput;

    fn step(&self, batch: Self::Input) -> TrainOutput<Self::Output> {
        let output = self.forward(&batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl<N, O> InferenceStep for MutualDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, Vec<Knowledge>>,
{
    type Input = Batch<N::Input>;
    type Output = DistillationOutput;

    fn step(&self, batch: Self::Input) -> Self::Output {
        self.forward(&batch)
    }
}
