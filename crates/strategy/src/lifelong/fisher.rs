use super::elastic::is_skipped;
use crate::EpochLoader;
use burn::config::Config;
use burn::data::dataset::DatasetError;
use burn::module::ParamGroup;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{at_least_f32, tempered_log_softmax};
use burn_distill_core::{
    Check, ConfigError, CrossEntropyObjective, Input, Network, Targets, check, gradient_vector,
    indices, initialize, parameter_vector,
};
use serde::{Deserialize, Serialize};

/// Configuration of the diagonal of the Fisher information, which says how much the predictions of
/// a network depend on each of its parameters.
///
/// ```text
/// F = 1/N · Σ over batches of B · (∂/∂θ of the mean loss of the batch)²    BatchMean
/// F = 1/N · Σ over samples of (∂/∂θ of the loss of the sample)²            PerSample
/// ```
///
/// where the loss is the cross-entropy with the chosen [labels](FisherLabels), `B` the number of
/// samples in a batch and `N` that of all samples. The two are different quantities: in the mean of
/// a batch, gradients of opposite signs cancel.
///
/// # Example
///
/// ```
/// use burn_distill_strategy::{FisherConfig, FisherGradients, FisherLabels};
///
/// // The Fisher information of the textbook.
/// let exact = FisherConfig::new()
///     .with_gradients(FisherGradients::PerSample)
///     .with_labels(FisherLabels::Expected);
/// ```
///
/// # Reference
///
/// J. Kirkpatrick et al., [Overcoming catastrophic forgetting in neural
/// networks](https://arxiv.org/abs/1612.00796), PNAS 2017. The default agrees with
/// `compute_fisher_matrix_diag` of FACIL, except that a last batch that is not full counts too, and
/// that the running statistics of the network do not change.
#[derive(Config, Debug)]
pub struct FisherConfig {
    /// Gradients that are squared. Default: [`BatchMean`](FisherGradients::BatchMean), as in FACIL.
    #[config(default = "FisherGradients::BatchMean")]
    pub gradients: FisherGradients,
    /// Labels of the loss. Default: [`Predicted`](FisherLabels::Predicted), as in FACIL.
    #[config(default = "FisherLabels::Predicted")]
    pub labels: FisherLabels,
}

/// Gradients of a [Fisher information](FisherConfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FisherGradients {
    /// Gradient of the mean loss of each batch, computed in training mode. Fast, but smaller than
    /// the Fisher information, and dependent on the batches.
    BatchMean,
    /// Gradient of the loss of each sample, computed with the running statistics of normalization
    /// layers and without dropout. It takes a pass per sample.
    PerSample,
}

/// Labels of a [Fisher information](FisherConfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FisherLabels {
    /// Class that the network predicts.
    Predicted,
    /// Label of the sample: the empirical Fisher information. Unlabeled samples contribute nothing.
    Given,
    /// Expected value over the predicted distribution, `Σₖ pₖ (∂ log pₖ)²`: the Fisher information
    /// of its definition. It is for gradients of each sample, and takes a pass per class.
    Expected,
}

impl Check for FisherConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let is_of_batches = self.gradients == FisherGradients::BatchMean;
        check::ensure(
            !(is_of_batches && self.labels == FisherLabels::Expected),
            "labels",
            "predicted or given for gradients of batches (an expected value is over each sample)",
            "expected",
        )
    }
}

impl FisherConfig {
    /// Computes the information of a network about the samples of one epoch of a data loader, as a
    /// vector in the order of [`parameter_vector`], without the parts of the network that are
    /// `skipped`.
    ///
    /// The network does not change. Nothing is read from the device.
    ///
    /// # Errors
    ///
    /// Returns an error if a batch cannot be loaded.
    ///
    /// # Panics
    ///
    /// Panics if the labels do not fit the gradients, if the batches are on a device without
    /// autodiff, or if the response of the network is not class logits.
    pub fn compute<N: Network>(
        &self,
        network: &N,
        loader: &impl EpochLoader<N::Input>,
        skipped: &[String],
    ) -> Result<Tensor<1>, DatasetError> {
        self.assert_valid();
        // A copy, whose running statistics are its own.
        let network = initialize(network.valid()).train();
        let network = match self.gradients {
            FisherGradients::BatchMean => network,
            FisherGradients::PerSample => {
                let group = ParamGroup::from_regex(r"(^|\.)training$");
                network.freeze_group(group.expect("The pattern is a regular expression."))
            }
        };
        let skips = |path: &str| is_skipped(path, skipped);
        let mut sum = parameter_vector(&network, skips)
            .without_autodiff()
            .zeros_like();
        let device = sum.device();
        let mut samples = 0;
        for batch in loader.batches() {
            let batch = batch?;
            let (input, count) = (batch.view().clone(), batch.len());
            assert!(
                input.is_autodiff(),
                "A Fisher information needs gradients, but the batches are on a device without \
                 autodiff: give a loader for `device.autodiff()`."
            );
            let squares =
                |loss: Tensor<1>| gradient_vector(&network, &loss.backward(), skips).square();
            match self.gradients {
                FisherGradients::BatchMean => {
                    let logits = logits(&network, input);
                    let labels = self.targets(&logits, &batch.targets);
                    let loss = CrossEntropyObjective::cross_entropy(logits, &labels);
                    sum = sum.add(squares(loss).mul_scalar(count as f64));
                }
                FisherGradients::PerSample => {
                    for row in 0..count {
                        let input = input.clone().select(indices(&[row], &device));
                        let targets = target_of_row(&batch.targets, row);
                        sum = sum.add(self.of_sample(&network, input, &targets, &squares));
                    }
                }
            }
            samples += count;
        }
        Ok(sum.mul_scalar((samples.max(1) as f64).recip()))
    }

    /// Computes the information of one sample.
    fn of_sample<N: Network>(
        &self,
        network: &N,
        input: N::Input,
        targets: &Targets,
        squares: &impl Fn(Tensor<1>) -> Tensor<1>,
    ) -> Tensor<1> {
        if self.labels != FisherLabels::Expected {
            let logits = logits(network, input);
            let labels = self.targets(&logits, targets);
            return squares(CrossEntropyObjective::cross_entropy(logits, &labels));
        }
        let log_probabilities =
            |input| tempered_log_softmax(logits(network, input), 1.0).squeeze_dim::<1>(0);
        let constant = log_probabilities(input.clone()).without_autodiff();
        let [classes] = constant.dims();
        let of_class = |class: usize| {
            // A graph serves only one backward pass.
            let log_probability = log_probabilities(input.clone()).narrow(0, class, 1);
            let probability = constant.clone().narrow(0, class, 1).exp();
            squares(log_probability).mul(probability)
        };
        let all = (1..classes).map(of_class);
        all.fold(of_class(0), Tensor::add)
    }

    fn targets(&self, logits: &Tensor<2>, targets: &Targets) -> Targets {
        match self.labels {
            FisherLabels::Given => targets.clone(),
            _ => Targets::classes(logits.clone().without_autodiff().argmax(1).squeeze_dim(1)),
        }
    }
}

fn logits<N: Network>(network: &N, input: N::Input) -> Tensor<2> {
    let response = network.forward(input);
    let logits = response.classes();
    let logits =
        logits.expect("A Fisher information needs a network that responds with class logits.");
    at_least_f32(logits.clone())
}

fn target_of_row(targets: &Targets, row: usize) -> Targets {
    match targets {
        Targets::Classes { classes, labeled } => Targets::Classes {
            classes: classes.clone().narrow(0, row, 1),
            labeled: labeled.clone().map(|labeled| labeled.narrow(0, row, 1)),
        },
        Targets::Probabilities {
            probabilities,
            labeled,
        } => Targets::Probabilities {
            probabilities: probabilities.clone().narrow(0, row, 1),
            labeled: labeled.clone().map(|labeled| labeled.narrow(0, row, 1)),
        },
        other => other.clone(),
    }
}
