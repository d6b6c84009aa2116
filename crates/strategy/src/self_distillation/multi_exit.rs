use crate::mutual::peers::{accuracy, assert_objectives, class_logits};
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::{
    Batch, Context, CrossEntropyObjective, Knowledge, Network, NetworkMismatch, Objective,
    Requirements, Response, Tap, TapRecorder, TapSelection, Terms, WeightSchedule, known_taps,
};

/// Returns the tap of the logits of an exit, counted from 1.
fn exit(number: usize) -> String {
    format!("exit{number}")
}

/// Returns the tap of the features of an exit, counted from 1.
fn feature(number: usize) -> String {
    format!("exit{number}.feature")
}

/// Be your own teacher (BYOT): a network with exits at several depths, whose shallower exits learn
/// from the deepest one.
///
/// ```text
/// loss = Σᵢ objectiveᵢ(exitᵢ, deepest exit as a constant, targets)
///        + crossentropy(deepest exit, targets)
/// ```
///
/// The sum is over the shallow exits, in order of depth. The deepest exit learns only from the last
/// term, and each stage of the network from all exits after it.
///
/// The network can be any with taps `exit1`, `exit2`, …, the logits of each exit, of which the last
/// are its response. `MultiExitNetwork` of burn-distill-architecture creates one. Each shallow exit
/// has an objective on its response and, if required, on a tap [`feature`](Self::FEATURE), which
/// stands for the tap `exit1.feature`, … of the network on either side.
///
/// The weights of two publications, where the distance is a loss between these features:
///
/// | Term | Exits | The paper | The authors' later code |
/// | --- | --- | --- | --- |
/// | cross-entropy with the targets | deepest | 1 − α | 1 |
/// | cross-entropy with the targets | shallow | 1 − α | 0.7 |
/// | soft cross-entropy at temperature 3 | shallow | α, times 3² | 0.3 |
/// | distance | shallow | 1e-6, squares where active | 0.03, norm after a linear adapter |
///
/// with an α of 0.1. In the later code, the second deepest exit has no distance. `ByotConfig` of
/// burn-distill creates either.
///
/// It shows the terms of each exit, as `exit 1 cross-entropy`, the accuracy of each, as `exit 1
/// accuracy`, and that of the mean of their logits, as `ensemble accuracy`, in percent of the
/// labeled samples. [`MetricKind::Accuracy`](crate::MetricKind) is the accuracy of the deepest
/// exit.
///
/// # Reference
///
/// L. Zhang, J. Song, A. Gao, J. Chen, C. Bao and K. Ma, [Be Your Own
/// Teacher](https://arxiv.org/abs/1905.08094), ICCV 2019. Agrees with `train.py` of
/// pytorch-be-your-own-teacher and of the authors' pytorch-self-distillation-final.
#[doc(alias = "BYOT")]
#[derive(Module, Debug)]
pub struct MultiExitDistiller<N, O> {
    /// Network with its exits.
    pub network: N,
    /// Training objective of each exit except the deepest, in order of depth.
    pub objectives: Vec<O>,
    /// Cross-entropy of the deepest exit.
    pub cross_entropy: CrossEntropyObjective,
    /// Selected taps of the network, and the requirements of each objective.
    #[module(skip)]
    selection: Resolved<(TapSelection, Vec<Requirements>)>,
}

impl<N: Network, O: Objective> MultiExitDistiller<N, O> {
    /// Tap by which the objective of an exit requires features, both those of the exit and those of
    /// the deepest exit.
    pub const FEATURE: &'static str = "feature";

    /// Creates a distiller from a network and one objective for each exit except the deepest. The
    /// cross-entropy of the deepest exit has a weight of 1.
    ///
    /// # Panics
    ///
    /// Panics if there is no objective, if their number is not that of the exits minus one, or if
    /// an objective requires another tap than `feature`, or several views.
    pub fn new(network: N, objectives: impl IntoIterator<Item = O>) -> Self {
        let objectives: Vec<_> = objectives.into_iter().collect();
        assert!(
            !objectives.is_empty(),
            "A multi-exit network needs at least one exit besides the deepest, but there is no objective."
        );
        for objective in &objectives {
            if let Err(error) = Self::fit(objective) {
                panic!("{error}");
            }
        }
        let taps = known_taps(&network);
        let exits = (1..).take_while(|&number| taps.get(&exit(number)).is_ok());
        let shallow = exits.count().saturating_sub(1);
        assert_objectives(objectives.len(), shallow, "shallow exits");
        Self {
            network,
            objectives,
            cross_entropy: CrossEntropyObjective::new(1.0),
            selection: Resolved::default(),
        }
    }

    /// Checks that an objective is possible for a shallow exit.
    ///
    /// # Errors
    ///
    /// Returns an error if the objective requires another tap than `feature`, or several views.
    pub fn fit(objective: &O) -> Result<(), NetworkMismatch> {
        let features = TapSelection::named([Self::FEATURE]);
        let Requirements {
            student,
            teacher,
            views,
        } = objective.requirements();
        for selection in [student, teacher] {
            if selection.clone().union(features.clone()) != features || views != 1 {
                return Err(NetworkMismatch::Network(format!(
                    "Exits are compared by the responses and features of one view, but the objective \
                     requires {selection:?} of {views}."
                )));
            }
        }
        Ok(())
    }

    /// Sets the weight of the cross-entropy of the deepest exit. Default: 1.
    pub fn with_cross_entropy(mut self, weight: impl Into<WeightSchedule>) -> Self {
        self.cross_entropy = CrossEntropyObjective::new(weight);
        self
    }

    fn requirements(&self) -> &(TapSelection, Vec<Requirements>) {
        self.selection.get(|| {
            let deepest = self.objectives.len() + 1;
            let selection: Vec<_> = self
                .objectives
                .iter()
                .map(Objective::requirements)
                .collect();
            let mut names: Vec<_> = (1..=deepest).map(exit).collect();
            for (selection, number) in selection.iter().zip(1..) {
                for (selection, number) in
                    [(&selection.student, number), (&selection.teacher, deepest)]
                {
                    names.extend(selection.contains(Self::FEATURE).then(|| feature(number)));
                }
            }
            (TapSelection::named(names), selection)
        })
    }
}

impl<N: Network, O: Objective> Distillation for MultiExitDistiller<N, O> {
    type Input = N::Input;

    fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
        let deepest = self.objectives.len() + 1;
        let (taps, selection) = self.requirements();
        let all = self.network.forward_knowledge(batch.view().clone(), taps);

        // Knowledge of an exit, with its features under the name that its objective requires.
        let of_exit = |number: usize, selection: &TapSelection| {
            let mut taps = TapRecorder::new(selection.clone());
            taps.offer(Self::FEATURE, || all.taps.expect(&feature(number)));
            Knowledge {
                response: all.taps.expect(&exit(number)).into_vectors().into(),
                taps: taps.finish().unwrap_or_else(|error| panic!("{error}")),
            }
        };

        let (targets, ids, clock) = (&batch.targets, &batch.ids, batch.clock);
        let mut terms = Terms::default();
        for ((objective, selection), number) in self.objectives.iter().zip(selection).zip(1..) {
            let student = of_exit(number, &selection.student);
            let teacher = of_exit(deepest, &selection.teacher).without_autodiff();
            let context = Context::new(&student, &teacher, targets, ids, clock);
            let shown = accuracy("accuracy", &student.response, targets);
            let own = objective.forward(&context).and(shown);
            terms = terms.and(own.each(|term| format!("exit {number} {term}"), 1.0));
        }
        let last = of_exit(deepest, &TapSelection::None);
        let cross_entropy =
            self.cross_entropy
                .forward(&Context::new(&last, &(), targets, ids, clock));
        let cross_entropy = cross_entropy.and(accuracy("accuracy", &last.response, targets));
        let terms = terms.and(cross_entropy.each(|term| format!("exit {deepest} {term}"), 1.0));

        // The sum of the logits predicts the same class as their mean.
        let logits = (1..=deepest).map(|number| all.taps.expect(&exit(number)));
        let sum = logits.map(Tap::into_vectors).reduce(Tensor::add);
        let ensemble = Response::Classes(sum.expect("the network has exits").without_autodiff());
        let terms = terms.and(accuracy("ensemble accuracy", &ensemble, targets));

        let student = Response::Classes(class_logits(&all.response));
        DistillationOutput::new(terms, &student, None, targets)
    }
}

learner_model!([N, O] MultiExitDistiller<N, O>);
