use super::NativeEnsemble;
use super::branch_gate::{BranchGate, TRUNK, branch, weigh};
use super::peers::{accuracy, assert_objectives, class_logits, pooled, saying};
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::module::Module;
use burn_distill_core::{
    Batch, Context, CrossEntropyObjective, Network, Objective, Requirements, Response,
    TapSelection, Terms, known_taps,
};

/// On-the-fly native ensemble: a network with several branches over one trunk, which learn from
/// their own mean.
///
/// ```text
/// ensemble = Σᵢ gate(trunk)ᵢ zᵢ
/// loss = Σᵢ objectiveᵢ(branchᵢ, ensemble as a constant, targets) + hard(ensemble, targets)
/// ```
///
/// Sums over the branches, not means, as in the authors' code. The gate learns from the last term
/// alone.
///
/// The network is any that offers taps named `trunk`, a map or vectors, and `branch1`, `branch2`, …,
/// the logits of each branch; its response is that of the first, which is what is deployed.
/// `BranchedNetwork` of burn-distill-architecture makes one of networks of one family. Each branch
/// has an objective on responses; the authors take three branches and, for each, the cross-entropy
/// plus [`EnsembleKl`](crate::EnsembleKl) at temperature 3 that ramps up to 1 over 80
/// epochs.
///
/// Besides the terms of each branch, as `branch 1 hard`, and that of the ensemble, as `ensemble hard`, it
/// shows the accuracy of each, as `branch 1 accuracy` and `ensemble accuracy`, in percent of the labeled
/// samples. What [`MetricKind::Accuracy`](crate::MetricKind) shows is that of the first branch, and its
/// teacher is the ensemble.
///
/// # Example
///
/// ```
/// use burn_distill_core::{ChangingWeight, CrossEntropyObjective};
/// use burn_distill_strategy::EnsembleKl;
///
/// let ramp = ChangingWeight::sigmoid_ramp_up(1.0, 80);
/// let objective = || (CrossEntropyObjective::new(1.0), EnsembleKl::new(3.0, ramp.clone()));
/// // NativeEnsembleDistiller::new(network, (0..3).map(|_| objective()))
/// ```
///
/// # Reference
///
/// X. Lan, X. Zhu and S. Gong, [Knowledge Distillation by On-the-Fly Native
/// Ensemble](https://arxiv.org/abs/1806.04606), NeurIPS 2018. Agrees with `cifar_one.py` and
/// `ONE_ResNet` of the authors' ONE_NeurIPS2018.
#[doc(alias = "ONE")]
#[derive(Module, Debug)]
pub struct NativeEnsembleDistiller<N, O> {
    /// The network with its branches.
    pub network: N,
    /// What weighs the branches.
    pub gate: BranchGate,
    /// What each branch is trained on.
    pub objectives: Vec<O>,
    /// What the ensemble is trained on.
    pub hard: CrossEntropyObjective,
    /// The taps that the ensemble is made of.
    #[module(skip)]
    requirements: Resolved<TapSelection>,
}

impl<N: Network, O: Objective> NativeEnsembleDistiller<N, O> {
    /// A network with as many branches as objectives. The cross-entropy of the ensemble has a weight
    /// of 1.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two objectives, if the network offers not as many branches or
    /// more, or if an objective wants a tap.
    pub fn new(network: N, objectives: impl IntoIterator<Item = O>) -> Self {
        let objectives: Vec<_> = objectives.into_iter().collect();
        assert!(
            objectives.len() >= 2,
            "An ensemble is of two branches at least, but there are {}.",
            objectives.len()
        );
        for objective in &objectives {
            let requirements = objective.requirements();
            assert!(
                requirements == Requirements::responses(),
                "Branches are compared by their responses, but {requirements:?} are required."
            );
        }
        let taps = known_taps(&network);
        let branches = (0..).take_while(|&index| taps.get(&branch(index)).is_ok());
        assert_objectives(objectives.len(), branches.count(), "branches");
        let [_, channels] = pooled(taps.expect(TRUNK)).dims();
        let device = network.devices().first().cloned().unwrap_or_default();
        Self {
            gate: BranchGate::new(channels, objectives.len(), &device),
            network,
            objectives,
            hard: CrossEntropyObjective::new(1.0),
            requirements: Resolved::default(),
        }
    }

    /// All branches and their gate as one network, to be deployed or measured. It shares its
    /// parameters with this.
    pub fn ensemble(&self) -> NativeEnsemble<N> {
        NativeEnsemble {
            network: self.network.clone(),
            gate: self.gate.clone(),
            branches: self.objectives.len(),
        }
    }
}

impl<N: Network, O: Objective> Distillation for NativeEnsembleDistiller<N, O> {
    type Input = N::Input;

    fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
        let branches = self.objectives.len();
        let requirements = self.requirements.get(|| BranchGate::requirements(branches));
        let all = self
            .network
            .forward_knowledge(batch.view().clone(), requirements);

        let (logits, ensemble) = weigh(&self.gate, &all.taps, branches);
        let ensemble = saying(ensemble);
        let constant = ensemble.clone().without_autodiff();

        let (targets, ids, clock) = (&batch.targets, &batch.ids, batch.clock);
        let mut terms = Terms::default();
        for (number, (logits, objective)) in (1..).zip(logits.into_iter().zip(&self.objectives)) {
            let student = saying(logits);
            let context = Context::new(&student, &constant, targets, ids, clock);
            let accuracy = accuracy("accuracy", &student.response, targets);
            let branch = objective.forward(&context).and(accuracy);
            terms = terms.and(branch.each(|term| format!("branch {number} {term}"), 1.0));
        }
        let hard = self
            .hard
            .forward(&Context::new(&ensemble, &(), targets, ids, clock));
        let hard = hard.and(accuracy("accuracy", &constant.response, targets));
        let terms = terms.and(hard.each(|term| format!("ensemble {term}"), 1.0));

        let student = Response::Classes(class_logits(&all.response));
        DistillationOutput::new(terms, &student, Some(&constant.response), targets)
    }
}

learner_model!([N, O] NativeEnsembleDistiller<N, O>);
