use super::class_counts::ClassCounts;
use super::embedding::EmbeddingAccuracy;
use super::experiment::Trained;
use super::repetition::Repetition;
use super::stage_result::{self, StageResult};
use super::statistics::Statistics;
use super::task_result::{self, TasksResult};
use burn_distill_recipe::Recipe;
use serde::Serialize;
use std::collections::BTreeMap;

/// Number of the most probable classes of the top accuracy.
pub const TOP: usize = 5;

/// Result of an experiment: the contents of `result.json`.
#[derive(Serialize)]
pub struct ExperimentResult {
    /// `complete`: every network was trained to its end. If one has diverged, the file has the
    /// status `diverged` and no result.
    pub status: &'static str,
    /// Teacher, or the first of several, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<NetworkResult>,
    /// Further teachers, in the order of the recipe.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<NetworkResult>,
    /// Student (baseline): trained on its labels without a teacher. None if the data has no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<NetworkResult>,
    /// Distilled student.
    pub distilled: NetworkResult,
    /// Networks that were trained with the student, and their ensembles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberResult>,
    /// Stages of the training of the distilled student, if there were any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageResult>,
    /// Accuracies on the tasks that the student has learned one after another, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TasksResult>,
    /// Origin of the numbers.
    #[serde(flatten)]
    pub info: RunInfo,
}

/// A network that was trained with the student, or an ensemble of such networks.
#[derive(Serialize)]
pub struct MemberResult {
    /// Name, as in `peer 2`.
    pub name: String,
    /// Name of the model.
    pub model: String,
    /// Measurements.
    #[serde(flatten)]
    pub network: NetworkResult,
}

/// Origin of the numbers of a result.
#[derive(Serialize)]
pub struct RunInfo {
    /// Recipe with its defaults and changes.
    pub recipe: Recipe,
    /// Seed of each repetition, in the order of `per_seed`.
    pub seeds: Vec<u64>,
    /// Numbers of training, validation and test samples.
    pub samples: [usize; 3],
    /// Number of samples of each class.
    pub classes: ClassCounts,
    /// Number of labeled training samples of the student.
    pub labels: usize,
    /// Version of burn.
    pub burn: &'static str,
    /// Version of this program.
    pub version: &'static str,
    /// Name of the device.
    pub device: String,
}

/// Measurements of a network over all repetitions. Rates are fractions of 1, on the test set, after
/// the last epoch.
#[derive(Serialize)]
pub struct NetworkResult {
    /// Accuracy; none if no test sample is labeled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Statistics>,
    /// Fraction of samples whose label is among the five most probable classes; none if there are
    /// five classes or fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_5_accuracy: Option<Statistics>,
    /// Fraction of samples on which it predicts the same class as the teacher, or the first of
    /// several; none without a teacher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// Accuracy of the nearest neighbors of its embeddings, if it is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub knn_accuracy: Option<Statistics>,
    /// Accuracy of a linear probe of its embeddings, if it is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_accuracy: Option<Statistics>,
    /// Accuracy on the class that the student was trained without, if there is one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub class_accuracy: BTreeMap<usize, Statistics>,
    /// Number of trainable parameters.
    pub parameters: usize,
    /// Size of the file of its weights in bytes.
    pub bytes: u64,
    /// Size of its tensors in bytes with the quantized weights packed in their bits; none for a
    /// network that is not a quantized student.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed_bytes: Option<u64>,
    /// Median time of a forward pass of one sample in milliseconds: the median over the
    /// repetitions.
    pub latency_ms: f64,
    /// Duration of each training in seconds; zero for a network that was loaded.
    pub seconds: Vec<f64>,
}

impl ExperimentResult {
    /// Creates the result of these repetitions.
    ///
    /// # Panics
    ///
    /// Panics if there are no repetitions.
    pub fn new(repetitions: &[Repetition], info: RunInfo) -> Self {
        let watched = info.recipe.data.without_class;
        let classes = info.classes.len();
        let network = |of: &dyn Fn(&Repetition) -> &Trained| {
            NetworkResult::new(repetitions, of, watched, classes)
        };
        let has_labels = info.recipe.data.source.has_labels();
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
            baseline: repetitions[0]
                .baseline
                .is_some()
                .then(|| network(&|repetition| baseline_of(repetition))),
            distilled: network(&|repetition| &repetition.distilled),
            stages: stage_result::of(repetitions, &info.seeds, has_labels),
            tasks: task_result::of(repetitions, &info.recipe),
            info,
        }
    }
}

impl NetworkResult {
    fn new(
        repetitions: &[Repetition],
        of: &dyn Fn(&Repetition) -> &Trained,
        watched: Option<usize>,
        classes: usize,
    ) -> Self {
        let over = |value: &dyn Fn(&Repetition) -> f64| -> Vec<f64> {
            repetitions.iter().map(value).collect()
        };
        let agreement = repetitions[0]
            .teacher
            .is_some()
            .then(|| over(&|r| of(r).predictions.agreement(&teacher_of(r).predictions)));
        let labels = &of(&repetitions[0]).predictions.expected;
        let is_labeled = labels.iter().any(Option::is_some);
        let class_accuracy = watched.into_iter().map(|class| {
            let accuracy = over(&|r| of(r).predictions.class_accuracy(class));
            (class, Statistics::of(accuracy))
        });
        // The same for all repetitions: what is measured depends on the recipe and the network.
        let measured = |value: &dyn Fn(&EmbeddingAccuracy) -> Option<f64>| {
            let values = repetitions.iter().map(|r| value(&of(r).embedding));
            values.collect::<Option<Vec<_>>>().map(Statistics::of)
        };
        let mut latency = over(&|r| of(r).cost.latency_ms);
        latency.sort_by(f64::total_cmp);
        let cost = of(&repetitions[0]).cost;
        Self {
            accuracy: is_labeled.then(|| Statistics::of(over(&|r| of(r).predictions.accuracy()))),
            top_5_accuracy: (is_labeled && classes > TOP)
                .then(|| Statistics::of(over(&|r| of(r).predictions.top_accuracy(TOP)))),
            agreement: agreement.map(|agreement| Statistics::of(agreement).mean),
            knn_accuracy: measured(&|embedding| embedding.knn),
            probe_accuracy: measured(&|embedding| embedding.probe),
            class_accuracy: class_accuracy.collect(),
            parameters: cost.parameters,
            bytes: cost.bytes,
            packed_bytes: cost.packed_bytes,
            latency_ms: latency[latency.len() / 2],
            seconds: over(&|r| of(r).seconds),
        }
    }
}

/// Returns the baseline of a repetition that has one.
fn baseline_of(repetition: &Repetition) -> &Trained {
    let baseline = repetition.baseline.as_ref();
    baseline.expect("Either all repetitions have a baseline or none.")
}

/// Returns the teacher of a repetition that has one.
fn teacher_of(repetition: &Repetition) -> &Trained {
    let teacher = repetition.teacher.as_ref();
    teacher.expect("Either all repetitions have a teacher or none.")
}
