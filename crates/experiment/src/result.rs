use super::experiment::Trained;
use super::repetition::Repetition;
use super::stage_result::{self, StageResult};
use super::statistics::Statistics;
use burn_distill_recipe::Recipe;
use serde::Serialize;
use std::collections::BTreeMap;

/// What an experiment found: the contents of `result.json`.
#[derive(Serialize)]
pub struct ExperimentResult {
    /// `complete`: every network was trained to its end. Where one has diverged, there is no result, and
    /// `diverged` in its place.
    pub status: &'static str,
    /// The network that teaches, or the first of several, if one was trained before the student.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<NetworkResult>,
    /// The networks that teach beside it, in the order of the recipe.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<NetworkResult>,
    /// The student, trained on what labels it knows.
    pub baseline: NetworkResult,
    /// The student, taught.
    pub distilled: NetworkResult,
    /// The networks that learned with it, and what is made of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberResult>,
    /// The stages that the student was taught in, if it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageResult>,
    /// Where the numbers come from.
    #[serde(flatten)]
    pub info: RunInfo,
}

/// A network that learned with the student, or that is made of those that did.
#[derive(Serialize)]
pub struct MemberResult {
    /// What it is, as in `peer 2`.
    pub name: String,
    /// What model it is.
    pub model: String,
    /// How it does.
    #[serde(flatten)]
    pub network: NetworkResult,
}

/// Where the numbers of a result come from.
#[derive(Serialize)]
pub struct RunInfo {
    /// The recipe with all its defaults and changes.
    pub recipe: Recipe,
    /// The seed of each repetition, in the order of `per_seed`.
    pub seeds: Vec<u64>,
    /// The numbers of samples to train, validate and test on.
    pub samples: [usize; 3],
    /// The number of labels that the student knows.
    pub labels: usize,
    /// The version of burn.
    pub burn: &'static str,
    /// The version of this program.
    pub version: &'static str,
    /// Where tensors lived.
    pub device: String,
}

/// One network over all repetitions. Rates are fractions of 1, on the test set, after the last epoch.
#[derive(Serialize)]
pub struct NetworkResult {
    /// How often it is right.
    pub accuracy: Statistics,
    /// How often it predicts what the teacher predicts; the first one, if there are several, and
    /// nothing if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// The accuracy on the class that the student has not seen, if there is one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub class_accuracy: BTreeMap<usize, Statistics>,
    /// Parameters that training can change.
    pub parameters: usize,
    /// The size of the file of its weights.
    pub bytes: u64,
    /// The median time of a forward pass of one sample: the median over the repetitions.
    pub latency_ms: f64,
    /// How long each training took. Zero: it was loaded.
    pub seconds: Vec<f64>,
}

impl ExperimentResult {
    /// The result of these repetitions.
    ///
    /// # Panics
    ///
    /// Panics if there are none.
    pub fn new(repetitions: &[Repetition], info: RunInfo) -> Self {
        let watched = info.recipe.data.without_class;
        let network =
            |of: &dyn Fn(&Repetition) -> &Trained| NetworkResult::new(repetitions, of, watched);
        let others = 0..repetitions[0].others.len();
        let teaches = repetitions[0].teacher.is_some();
        let members = repetitions[0].distilled.members.iter().enumerate();
        let members = members.map(|(index, member)| MemberResult {
            name: member.name.clone(),
            model: member.model.clone(),
            network: network(&|repetition| &repetition.distilled.members[index].trained),
        });
        Self {
            status: "complete",
            teacher: teaches.then(|| network(&|repetition| teacher_of(repetition))),
            members: members.collect(),
            others: others
                .map(|index| network(&|repetition| &repetition.others[index]))
                .collect(),
            baseline: network(&|repetition| &repetition.baseline),
            distilled: network(&|repetition| &repetition.distilled),
            stages: stage_result::of(repetitions, &info.seeds),
            info,
        }
    }
}

impl NetworkResult {
    fn new(
        repetitions: &[Repetition],
        of: &dyn Fn(&Repetition) -> &Trained,
        watched: Option<usize>,
    ) -> Self {
        let over = |value: &dyn Fn(&Repetition) -> f64| -> Vec<f64> {
            repetitions.iter().map(value).collect()
        };
        let agreement = repetitions[0]
            .teacher
            .is_some()
            .then(|| over(&|r| of(r).predictions.agreement(&teacher_of(r).predictions)));
        let class_accuracy = watched.into_iter().map(|class| {
            let accuracy = over(&|r| of(r).predictions.class_accuracy(class));
            (class, Statistics::of(accuracy))
        });
        let mut latency = over(&|r| of(r).cost.latency_ms);
        latency.sort_by(f64::total_cmp);
        let cost = of(&repetitions[0]).cost;
        Self {
            accuracy: Statistics::of(over(&|r| of(r).predictions.accuracy())),
            agreement: agreement.map(|agreement| Statistics::of(agreement).mean),
            class_accuracy: class_accuracy.collect(),
            parameters: cost.parameters,
            bytes: cost.bytes,
            latency_ms: latency[latency.len() / 2],
            seconds: over(&|r| of(r).seconds),
        }
    }
}

/// The teacher of a repetition that has one.
fn teacher_of(repetition: &Repetition) -> &Trained {
    let teacher = repetition.teacher.as_ref();
    teacher.expect("Either all repetitions have a teacher or none.")
}
