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
    /// Accuracy of the student on the validation set at the end of the stage, as a fraction of 1;
    /// none if the data has no labels, or no validation samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<Statistics>,
    /// Agreement with the teacher on the validation set at the end of the stage, as a fraction of 1,
    /// if the data has validation samples without labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_agreement: Option<Statistics>,
}

/// Returns the stages of all repetitions, in the order of their first appearance, given whether the
/// data has labels. Without validation samples, there are no rates.
pub fn of(repetitions: &[Repetition], seeds: &[u64], has_labels: bool) -> Vec<StageResult> {
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

    let result = |name: &str| {
        let own = || records.iter().filter(|(_, stage)| stage.name == name);
        let rate = |metric: MetricKind| {
            let metric = metric.to_string();
            let rates = own().map(|(_, stage)| {
                let percent = stage.valid.get(&metric);
                percent.map_or(f64::NAN, |percent| percent / 100.0)
            });
            let is_measured = own().any(|(_, stage)| !stage.valid.is_empty());
            is_measured.then(|| Statistics::of(rates.collect()))
        };
        StageResult {
            name: name.into(),
            seeds: own().map(|(seed, _)| *seed).collect(),
            epochs: own().map(|(_, stage)| stage.epochs).collect(),
            seconds: own().map(|(_, stage)| stage.seconds).collect(),
            validation_accuracy: has_labels.then(|| rate(MetricKind::Accuracy)).flatten(),
            validation_agreement: (!has_labels).then(|| rate(MetricKind::Agreement)).flatten(),
        }
    };
    names.into_iter().map(result).collect()
}
