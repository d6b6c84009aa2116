//! Accuracies of a network on the tasks that it has learned, and its features.

use crate::{EpochLoader, EvaluationError};
use burn::data::dataset::DatasetError;
use burn::tensor::{Device, Tensor};
use burn_distill_core::Network;
use burn_distill_data::{BatchLoader, Samples};
use std::ops::Range;

/// Samples per batch where nothing is trained.
const BATCH: usize = 256;

/// Returns the share of correct predictions on the samples of a task: among its own classes, which
/// are these columns, and among all classes.
pub fn accuracies<N: Network, S: Samples<Input = N::Input>>(
    network: &N,
    samples: S,
    columns: Range<usize>,
    device: &Device,
) -> Result<[f64; 2], EvaluationError> {
    let count = samples.len();
    let mut sums = Vec::new();
    for batch in loader(samples, device).batches() {
        let batch = batch?;
        let response = network.forward(batch.view().clone());
        let logits = response.classes();
        let logits =
            logits.expect("Tasks of classes need a network that responds with class logits.");
        let labels = batch.targets.class_labels();
        let (labels, _) = labels.expect("The samples of a task are labeled.");
        let predicted = |logits: Tensor<2>| logits.argmax(1).squeeze_dim::<1>(1);
        let own = logits.clone().narrow(1, columns.start, columns.len());
        let own = predicted(own).add_scalar(columns.start as i64);
        let hits = [own, predicted(logits.clone())].map(|it| it.equal(labels.clone()));
        let infinite = logits.clone().is_inf();
        let infinite = infinite.bool_and(logits.clone().greater_scalar(0.0));
        let broken = logits.clone().is_nan().bool_or(infinite).any_dim(1);
        let [aware, agnostic] = hits.map(|hits| hits.float().sum());
        let broken = broken.float().sum();
        sums.push(Tensor::cat(vec![aware, agnostic, broken], 0).unsqueeze_dim::<2>(0));
    }
    // Read once, at the end.
    let sums = Tensor::cat(sums, 0).sum_dim(0).try_into_data()?;
    let sums: Vec<f64> = sums.iter::<f64>().collect();
    if sums[2] > 0.0 {
        return Err(EvaluationError::NotFinite {
            samples: sums[2] as usize,
            all: count,
        });
    }
    Ok([sums[0], sums[1]].map(|hits| hits / count as f64))
}

/// Returns the features of samples, in their order.
pub fn features<N: Network, S: Samples<Input = N::Input>>(
    network: &N,
    tap: &str,
    samples: S,
    device: &Device,
) -> Result<Tensor<2>, DatasetError> {
    let mut features = Vec::new();
    for batch in loader(samples, device).batches() {
        features.push(
            network
                .forward_to(batch?.view().clone(), tap)
                .into_vectors(),
        );
    }
    Ok(Tensor::cat(features, 0))
}

fn loader<S: Samples>(samples: S, device: &Device) -> BatchLoader<S> {
    BatchLoader::new(samples, BATCH).device(&device.clone().without_autodiff())
}
