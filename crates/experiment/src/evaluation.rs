//! Evaluation of a model on a part of some data.

use super::data::Data;
use super::opened::origin_of;
use super::provenance::{DataOrigin, Provenance};
use super::result::TOP;
use super::split::Split;
use anyhow::{Context, Result, ensure};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor};
use burn_distill::core::Network;
use burn_distill::interchange::{Model, ModelDescription};
use burn_distill::strategy::EpochLoader;
use serde::Serialize;

/// Bins of the confidence, from 0 to 1, of the expected calibration error.
const BINS: usize = 15;

/// Measurements of a model on the test or validation samples of some data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Name of the data.
    pub data: String,
    /// Number of labeled samples.
    pub samples: usize,
    /// Share of the samples whose class is predicted correctly, from 0 to 1.
    pub accuracy: f64,
    /// Share of the samples whose label is among the five most probable classes; none if there are
    /// five classes or fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_5_accuracy: Option<f64>,
    /// Mean negative log-likelihood of the labels.
    pub negative_log_likelihood: f64,
    /// Expected calibration error: the mean distance between confidence and accuracy over 15 bins of
    /// the confidence, weighted by their samples.
    pub calibration_error: f64,
    /// Recall of each class.
    pub classes: Vec<ClassRecall>,
}

/// Recall of a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassRecall {
    /// Name of the class.
    pub class: String,
    /// Number of samples of the class.
    pub samples: usize,
    /// Share of these samples that are predicted as this class; none if there are no samples.
    pub recall: Option<f64>,
}

/// Part of the data on which a model is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Test samples.
    Test,
    /// Validation samples.
    Validation,
    /// All samples, of data that the model was not trained on.
    All,
}

impl Evaluation {
    /// Evaluates a model on a part of some data.
    ///
    /// # Errors
    ///
    /// Returns an error if a batch cannot be loaded, if no sample is labeled, or if a logit is NaN.
    pub fn of(model: &Model, data: &Data, part: Part, device: &Device) -> Result<Self> {
        let loaders = match part {
            Part::Test => vec![data.test_loader(device)],
            Part::Validation => vec![data.validation_loader(device)],
            Part::All => data.all_loaders(device).into(),
        };
        let count = model.description.classes.len();
        let mut tally = Tally::new(count);
        for batch in loaders.iter().flat_map(|loader| loader.batches()) {
            let batch = batch?;
            let response = model.network.forward(batch.view().clone());
            let logits = response
                .classes()
                .context("the network returns no class logits, so that it cannot be evaluated")?;
            let Some((labels, labeled)) = batch.targets.class_labels() else {
                continue;
            };
            let predicted: Tensor<1, Int> = logits.clone().argmax(1).squeeze_dim(1);
            let log_probabilities = log_softmax(logits.clone(), 1).try_into_data()?;
            let log_probabilities: Vec<f32> = log_probabilities.iter().collect();
            let whole = |numbers: Tensor<1, Int>| -> Result<Vec<i64>> {
                Ok(numbers.try_into_data()?.iter().collect())
            };
            let (labels, predicted) = (whole(labels)?, whole(predicted)?);
            let labeled = labeled.map(|labeled| whole(labeled.int())).transpose()?;
            for (row, probabilities) in log_probabilities.chunks_exact(count).enumerate() {
                if labeled.as_ref().is_none_or(|labeled| labeled[row] != 0) {
                    tally.add(labels[row] as usize, predicted[row] as usize, probabilities)?;
                }
            }
        }
        let name = data.name().to_string();
        ensure!(
            tally.samples > 0,
            "none of the evaluated samples of {name} has a label: name labeled data by --data"
        );
        Ok(tally.finish(name, &model.description.classes))
    }
}

/// Checks that a model fits some data and was trained on none of the samples of a part. Returns a
/// warning if the latter is not known.
///
/// # Errors
///
/// Returns an error about the difference between the inputs, classes or normalization, or with the
/// number of test samples that the model was trained on.
pub fn check_data(model: &ModelDescription, data: &Data, part: Part) -> Result<Option<String>> {
    let expected = data.provenance(&model.architecture.name, "distilled", 0);
    let known = origin_of(model);
    let unrecorded = || DataOrigin {
        name: "the data of the model".into(),
        sha256: String::new(),
        key: data.recipe().source.key().into(),
        split: Split::of(data.recipe()),
    };
    let recorded = known.clone().unwrap_or_else(unrecorded);
    let origin = Provenance::of_model(model, expected.model.clone(), recorded);
    origin.check(&expected)?;
    let unknown = "test samples may be among the training samples of the model";
    let Some(known) = known else {
        return Ok(Some(format!(
            "the model does not record its data: {unknown}"
        )));
    };
    match data.test_samples_seen(&known) {
        None if known.name == data.name() => Ok(Some(format!(
            "the model was trained on {} with other samples than these, training and test set \
             together (SHA-256 {}): {unknown}",
            known.name, known.sha256
        ))),
        None => Ok(Some(format!(
            "the model was trained on other data than {} ({}, SHA-256 {}): {unknown}",
            data.name(),
            known.name,
            known.sha256
        ))),
        Some(_) if part == Part::All => anyhow::bail!(
            "the model was trained on a part of {}, so that its accuracy on all samples would be too \
             good: evaluate it on the test samples alone, or on other data",
            data.name()
        ),
        Some(0) => Ok(None),
        Some(seen) => {
            let split = &known.split;
            anyhow::bail!(
                "the model was trained on {seen} of these test samples, so that its accuracy would be \
                 too good: split the data as for its training (`data.split_seed = {}`, `data.test = \
                 {:?}`, `data.validation = {:?}`)",
                split.split_seed,
                split.test,
                split.validation
            )
        }
    }
}

/// Sums over the samples.
struct Tally {
    samples: usize,
    correct: usize,
    /// Number of samples whose label is among the most probable classes.
    in_top: usize,
    log_likelihood: f64,
    /// Number of samples, number of correct predictions and sum of the confidences of each bin.
    bins: [(usize, usize, f64); BINS],
    /// Number of samples and number of correct predictions of each class.
    classes: Vec<(usize, usize)>,
}

impl Tally {
    fn new(classes: usize) -> Self {
        Self {
            samples: 0,
            correct: 0,
            in_top: 0,
            log_likelihood: 0.0,
            bins: [(0, 0, 0.0); BINS],
            classes: vec![(0, 0); classes],
        }
    }

    fn add(&mut self, label: usize, predicted: usize, log_probabilities: &[f32]) -> Result<()> {
        let confidence = f64::from(log_probabilities[predicted]).exp();
        ensure!(
            !confidence.is_nan(),
            "a logit is not a number: the weights are damaged, or an input is too large"
        );
        let correct = usize::from(label == predicted);
        self.samples += 1;
        self.correct += correct;
        let of_label = log_probabilities[label];
        let at_least = log_probabilities.iter().filter(|other| **other >= of_label);
        self.in_top += usize::from(at_least.count() <= TOP);
        self.log_likelihood += f64::from(of_label);
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        let (samples, hits, confidences) = &mut self.bins[bin];
        *samples += 1;
        *hits += correct;
        *confidences += confidence;
        let (samples, hits) = &mut self.classes[label];
        *samples += 1;
        *hits += correct;
        Ok(())
    }

    fn finish(self, data: String, names: &[String]) -> Evaluation {
        let samples = self.samples as f64;
        let distances = self
            .bins
            .iter()
            .map(|(_, hits, confidences)| (*hits as f64 - confidences).abs());
        let classes = names.iter().zip(self.classes);
        let classes = classes.map(|(class, (samples, hits))| ClassRecall {
            class: class.clone(),
            samples,
            recall: (samples > 0).then(|| hits as f64 / samples as f64),
        });
        Evaluation {
            data,
            samples: self.samples,
            accuracy: self.correct as f64 / samples,
            top_5_accuracy: (names.len() > TOP).then(|| self.in_top as f64 / samples),
            negative_log_likelihood: -self.log_likelihood / samples,
            calibration_error: distances.sum::<f64>() / samples,
            classes: classes.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measurements_are_those_by_hand() {
        let mut tally = Tally::new(3);
        let ln = |values: [f32; 3]| values.map(f32::ln);
        tally.add(0, 0, &ln([0.9, 0.05, 0.05])).unwrap();
        tally.add(1, 0, &ln([0.9, 0.1, 0.0])).unwrap();
        tally.add(1, 1, &ln([0.3, 0.6, 0.1])).unwrap();

        let found = tally.finish("points".into(), &["a", "b", "c"].map(String::from));
        assert_eq!(found.accuracy, 2.0 / 3.0);
        let expected = -(0.9_f64.ln() + 0.1_f64.ln() + 0.6_f64.ln()) / 3.0;
        assert!((found.negative_log_likelihood - expected).abs() < 1e-6);
        // The bin of 0.9 has one of two right, that of 0.6 its only one.
        let expected = ((1.0_f64 - 1.8).abs() + (1.0_f64 - 0.6).abs()) / 3.0;
        assert!((found.calibration_error - expected).abs() < 1e-6);
        let recalls: Vec<_> = found.classes.iter().map(|class| class.recall).collect();
        assert_eq!(recalls, [Some(1.0), Some(0.5), None]);
    }

    #[test]
    fn a_logit_that_is_not_a_number_is_refused() {
        let error = Tally::new(2).add(0, 1, &[f32::NAN; 2]).unwrap_err();
        assert!(error.to_string().contains("not a number"), "{error}");
    }
}
