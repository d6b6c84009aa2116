use super::NativeEnsemble;
use super::branch_gate::{BranchGate, TRUNK, branch, gated_logits};
use super::peers::{accuracy, assert_objectives, class_logits, pooled, without_taps};
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::module::Module;
use burn_distill_core::{
    Batch, Context, CrossEntropyObjective, Network, Objective, Requirements, Response,
    TapSelection, Terms, known_taps,
};

/// On-the-fly native ensemble (ONE): a network with several branches over one trunk, which learn
/// from their gated mean.
///
/// ```text
/// ensemble = Σᵢ gate(trunk)ᵢ zᵢ
/// loss = Σᵢ objectiveᵢ(branchᵢ, ensemble as a constant, targets) + crossentropy(ensemble, targets)
/// ```
///
/// The loss is a sum over the branches and not a mean, as in the authors' code. The gate learns
/// only from the last term.
///
/// The network can be any with a tap `trunk`, a map or vectors, and taps `branch1`, `branch2`, …,
/// the logits of each branch. Its response is that of the first branch, which is deployed.
/// `BranchedNetwork` of burn-distill-architecture creates one from networks of one family. Each
/// branch has an objective on responses. The authors use three branches, each with the
/// cross-entropy plus [`EnsembleKl`](crate::EnsembleKl) at temperature 3, whose weight ramps up to
/// 1 over 80 epochs.
///
/// It shows the terms of each branch, as `branch 1 cross-entropy`, and of the ensemble, as
/// `ensemble cross-entropy`, and the accuracy of each, as `branch 1 accuracy` and `ensemble
/// accuracy`, in percent of the labeled samples. [`MetricKind::Accuracy`](crate::MetricKind) is the
/// accuracy of the first branch, and its teacher is the ensemble.
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
    /// Network with its branches.
    pub network: N,
    /// Gate that weights the branches.
    pub gate: BranchGate,
    /// Training objective of each branch.
    pub objectives: Vec<O>,
    /// Cross-entropy of the ensemble.
    pub cross_entropy: CrossEntropyObjective,
    /// Taps from which the ensemble is computed.
    #[module(skip)]
    requirements: Resolved<TapSelection>,
}

impl<N: Network, O: Objective> NativeEnsembleDistiller<N, O> {
    /// Creates a distiller from a network and one objective for each of its branches. The
    /// cross-entropy of the ensemble has a weight of 1.
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two objectives, if their number is not that of the branches,
    /// or if an objective requires a tap.
    pub fn new(network: N, objectives: impl IntoIterator<Item = O>) -> Self {
        let objectives: Vec<_> = objectives.into_iter().collect();
        assert!(
            objectives.len() >= 2,
            "An ensemble needs at least two branches, but there are {} objectives.",
            objectives.len()
        );
        for objective in &objectives {
            let requirements = objective.requirements();
            assert!(
                requirements == Requirements::responses(),
                "The objective of a branch may require only responses of one view, but it requires \
                 {requirements:?}."
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
            cross_entropy: CrossEntropyObjective::new(1.0),
            requirements: Resolved::default(),
        }
    }

    /// Returns all branches and their gate as one network, to deploy or to evaluate. It shares its
    /// parameters with the distiller.
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

        let (logits, ensemble) = gated_logits(&self.gate, &all.taps, branches);
        let ensemble = without_taps(ensemble);
        let constant = ensemble.clone().without_autodiff();

        let (targets, ids, clock) = (&batch.targets, &batch.ids, batch.clock);
        let mut terms = Terms::default();
        for (number, (logits, objective)) in (1..).zip(logits.into_iter().zip(&self.objectives)) {
            let student = without_taps(logits);
            let context = Context::new(&student, &constant, targets, ids, clock);
            let accuracy = accuracy("accuracy", &student.response, targets);
            let branch = objective.forward(&context).and(accuracy);
            terms = terms.and(branch.each(|term| format!("branch {number} {term}"), 1.0));
        }
        let cross_entropy =
            self.cross_entropy
                .forward(&Context::new(&ensemble, &(), targets, ids, clock));
        let cross_entropy = cross_entropy.and(accuracy("accuracy", &constant.response, targets));
        let terms = terms.and(cross_entropy.each(|term| format!("ensemble {term}"), 1.0));

        let student = Response::Classes(class_logits(&all.response));
        DistillationOutput::new(terms, &student, Some(&constant.response), targets)
    }
}

learner_model!([N, O] NativeEnsembleDistiller<N, O>);
