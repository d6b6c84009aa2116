use crate::mutual::peers::{accuracy, assert_objectives, class_logits};
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::{
    Batch, Context, CrossEntropyObjective, Knowledge, MisfitError, Network, Objective,
    Requirements, Response, Tap, TapRecorder, TapSelection, Terms, WeightSchedule, known_taps,
};

/// The tap of the logits of an exit, counted from 1.
fn exit(number: usize) -> String {
    format!("exit{number}")
}

/// The tap of the features of an exit, counted from 1.
fn feature(number: usize) -> String {
    format!("exit{number}.feature")
}

/// Be your own teacher: a network that answers at several depths, whose shallower exits learn from
/// its deepest one.
///
/// ```text
/// loss = Σᵢ objectiveᵢ(exitᵢ, deepest exit as a constant, targets) + hard(deepest exit, targets)
/// ```
///
/// The sum is over the shallow exits, shallowest first. The deepest exit learns from the last term
/// alone, and the stages of the network from all that is behind them.
///
/// The network is any that offers taps named `exit1`, `exit2`, …, the logits of each exit, of which
/// the last are its response; `MultiExitNetwork` of burn-distill-architecture makes one. Each shallow
/// exit has an objective on its response and, if it wants one, a tap named
/// [`feature`](Self::FEATURE): for either side what the network offers as `exit1.feature`, ….
///
/// The terms of two publications, where a distance is a loss between these features:
///
/// | Term | Exits | The paper | The authors' later code |
/// | --- | --- | --- | --- |
/// | cross-entropy with the targets | deepest | 1 − α | 1 |
/// | cross-entropy with the targets | shallow | 1 − α | 0.7 |
/// | soft cross-entropy at temperature 3 | shallow | α, times 3² | 0.3 |
/// | distance | shallow | 1e-6, squares where active | 0.03, norm behind a linear adapter, for all but the second deepest exit |
///
/// with an α of 0.1. `ByotConfig` of burn-distill puts either together.
///
/// Besides the terms of each exit, as `exit 1 hard`, it shows the accuracy of each, as `exit 1 accuracy`, and
/// of the mean of their logits, as `ensemble accuracy`, in percent of the labeled samples. What
/// [`MetricKind::Accuracy`](crate::MetricKind) shows is that of the deepest exit.
///
/// # Reference
///
/// L. Zhang, J. Song, A. Gao, J. Chen, C. Bao and K. Ma, [Be Your Own
/// Teacher](https://arxiv.org/abs/1905.08094), ICCV 2019. Agrees with `train.py` of
/// pytorch-be-your-own-teacher and of the authors' pytorch-self-distillation-final.
#[doc(alias = "BYOT")]
#[derive(Module, Debug)]
pub struct MultiExitDistiller<N, O> {
    /// The network with its exits.
    pub network: N,
    /// What each exit but the deepest is trained on, shallowest first.
    pub objectives: Vec<O>,
    /// What the deepest exit is trained on.
    pub hard: CrossEntropyObjective,
    /// The taps of the network, and what the objectives want of them.
    #[module(skip)]
    selection: Resolved<(TapSelection, Vec<Requirements>)>,
}

impl<N: Network, O: Objective> MultiExitDistiller<N, O> {
    /// The tap by which the objective of an exit asks for features, of the exit and of the deepest
    /// one.
    pub const FEATURE: &'static str = "feature";

    /// A network with one exit more than there are objectives. The cross-entropy of the deepest has a
    /// weight of 1.
    ///
    /// # Panics
    ///
    /// Panics if there is no objective, if the network does not offer one exit more, or if an
    /// objective wants another tap than `feature`, or several views.
    pub fn new(network: N, objectives: impl IntoIterator<Item = O>) -> Self {
        let objectives: Vec<_> = objectives.into_iter().collect();
        assert!(
            !objectives.is_empty(),
            "There should be an exit besides the deepest one."
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
            hard: CrossEntropyObjective::new(1.0),
            selection: Resolved::default(),
        }
    }

    /// Checks that an objective can be that of a shallow exit.
    ///
    /// # Errors
    ///
    /// Returns an error if it wants another tap than `feature`, or several views.
    pub fn fit(objective: &O) -> Result<(), MisfitError> {
        let features = TapSelection::named([Self::FEATURE]);
        let Requirements {
            student,
            teacher,
            views,
        } = objective.requirements();
        for selection in [student, teacher] {
            if selection.clone().union(features.clone()) != features || views != 1 {
                return Err(MisfitError::Network(format!(
                    "Exits are compared by the responses and features of one view, but of {views} \
                     {selection:?} are required."
                )));
            }
        }
        Ok(())
    }

    /// The same with that weight of the cross-entropy of the deepest exit.
    pub fn with_hard(mut self, weight: impl Into<WeightSchedule>) -> Self {
        self.hard = CrossEntropyObjective::new(weight);
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
                    names.extend(selection.wants(Self::FEATURE).then(|| feature(number)));
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

        // What an exit says, and its features under the name that its objective knows.
        let saying = |number: usize, selection: &TapSelection| {
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
            let student = saying(number, &selection.student);
            let teacher = saying(deepest, &selection.teacher).without_autodiff();
            let context = Context::new(&student, &teacher, targets, ids, clock);
            let shown = accuracy("accuracy", &student.response, targets);
            let own = objective.forward(&context).and(shown);
            terms = terms.and(own.each(|term| format!("exit {number} {term}"), 1.0));
        }
        let last = saying(deepest, &TapSelection::None);
        let hard = self
            .hard
            .forward(&Context::new(&last, &(), targets, ids, clock));
        let hard = hard.and(accuracy("accuracy", &last.response, targets));
        let terms = terms.and(hard.each(|term| format!("exit {deepest} {term}"), 1.0));

        // Of the class that it predicts, the sum of the logits says what their mean does.
        let logits = (1..=deepest).map(|number| all.taps.expect(&exit(number)));
        let sum = logits.map(Tap::into_vectors).reduce(Tensor::add);
        let ensemble = Response::Classes(sum.expect("there are exits").without_autodiff());
        let terms = terms.and(accuracy("ensemble accuracy", &ensemble, targets));

        let student = Response::Classes(class_logits(&all.response));
        DistillationOutput::new(terms, &student, None, targets)
    }
}

learner_model!([N, O] MultiExitDistiller<N, O>);
