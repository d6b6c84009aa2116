use super::repetition::Repetition;
use super::statistics::Statistics;
use burn_distill::strategy::MetricKind;
use serde::Serialize;

/// Results of a stage of the training of the distilled student, over the repetitions that have this
/// stage.
#[derive(Clone, Debug, Serialize)]
pub struct StageResult {
    /// Name of the stage.
    pub name: String,
    /// Seeds of these repetitions: a route by hardness may skip an anchor in others.
    pub seeds: Vec<u64>,
    /// Number of epochs for each of these seeds.
    pub epochs: Vec<usize>,
    /// Duration in seconds for each of these seeds.
    pub seconds: Vec<f64>,
    /// Accuracy of the student on the validation set at the end of the stage, as a fraction of 1.
    pub validation_accuracy: Statistics,
}

/// Returns the stages of all repetitions, in the order of their first appearance.
pub fn of(repetitions: &[Repetition], seeds: &[u64]) -> Vec<StageResult> {
    let records: Vec<_> = repetitions
        .iter()
        .zip(seeds)
        .flat_map(|(repetition, &seed)| {
            let stages = repetition.distilled.stages.iter();
            stages.map(move |stage| (seed, stage))
        })
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for (_, stage) in &records {
        if !names.contains(&stage.name.as_str()) {
            names.push(&stage.name);
        }
    }

    let accuracy = MetricKind::Accuracy.to_string();
    let result = |name: &str| {
        let own = || records.iter().filter(|(_, stage)| stage.name == name);
        let accuracies = own().map(|(_, stage)| {
            let percent = stage.valid.get(&accuracy);
            percent.map_or(f64::NAN, |percent| percent / 100.0)
        });
        StageResult {
            name: name.into(),
            seeds: own().map(|(seed, _)| *seed).collect(),
            epochs: own().map(|(_, stage)| stage.epochs).collect(),
            seconds: own().map(|(_, stage)| stage.seconds).collect(),
            validation_accuracy: Statistics::of(accuracies.collect()),
        }
    };
    names.into_iter().map(result).collect()
}
