use crate::EpochLoader;
use crate::output::predictions;
use burn::data::dataset::DatasetError;
use burn::tensor::{ExecutionError, Int, Tensor};
use burn_distill_core::Network;

/// The predictions of a classifier for every sample of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Predictions {
    /// Index of each sample in its data set.
    pub ids: Vec<usize>,
    /// Predicted class of each sample: the one with the largest logit.
    pub predicted: Vec<usize>,
    /// Label of each sample, where it is known.
    pub expected: Vec<Option<usize>>,
    /// Number of other classes whose logit is at least that of the label, where the label is known.
    pub ranks: Vec<Option<usize>>,
}

/// The reason why a classifier could not be evaluated.
#[derive(thiserror::Error)]
pub enum EvaluationError {
    /// A batch could not be loaded.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// The predictions could not be read from the device.
    #[error(transparent)]
    Device(#[from] ExecutionError),
    /// Logits of the network are NaN or plus infinity, which predict no class.
    #[error(
        "{samples} of {all} samples have logits that are NaN or infinite, which predict no class: the \
         training of the network has diverged, or its weights are damaged"
    )]
    NotFinite {
        /// The number of samples with such logits.
        samples: usize,
        /// The number of samples.
        all: usize,
    },
    /// Embeddings of the network are NaN or infinite.
    #[error(
        "{samples} of {all} samples have embeddings that are NaN or infinite: the training of the \
         network has diverged, or its weights are damaged"
    )]
    NotFiniteEmbeddings {
        /// The number of samples with such embeddings.
        samples: usize,
        /// The number of samples.
        all: usize,
    },
}

burn_distill_core::debug_as_display!(EvaluationError);

impl Predictions {
    /// Computes the predictions of a classifier for one epoch of a data loader.
    ///
    /// The network should be in validation mode, on the device of the loader. Predictions are read
    /// from the device once, at the end. The loader is one of burn-distill-data, or any data loader
    /// of burn in an `Arc`: see [`EpochLoader`].
    ///
    /// # Errors
    ///
    /// Returns an error if a batch cannot be loaded, or if a logit is NaN or plus infinity. Minus
    /// infinity excludes a class.
    ///
    /// # Panics
    ///
    /// Panics if the response of the network is not class logits.
    pub fn of<N: Network>(
        network: &N,
        loader: &impl EpochLoader<N::Input>,
    ) -> Result<Self, EvaluationError> {
        let mut result = Self::default();
        let (mut predicted, mut expected) = (Vec::new(), Vec::new());
        let (mut ranks, mut broken) = (Vec::new(), Vec::new());
        for batch in loader.batches() {
            let batch = batch?;
            let response = network.forward(batch.view().clone());
            let logits = response
                .classes()
                .expect("Predictions need a network that responds with class logits.");
            predicted.push(self::predictions(logits));
            let infinite = logits.clone().is_inf();
            let infinite = infinite.bool_and(logits.clone().greater_scalar(0.0));
            let is_broken = logits.clone().is_nan().bool_or(infinite).any_dim(1);
            broken.push(is_broken.int().squeeze_dim(1));
            // −1 stands for an unknown class.
            let labels = match batch.targets.class_labels() {
                Some((classes, Some(labeled))) => classes.mask_fill(labeled.bool_not(), -1),
                Some((classes, None)) => classes,
                None => Tensor::full([batch.ids.len()], -1, &logits.device()),
            };
            ranks.push(ranks_of(logits.clone(), labels.clone()));
            expected.push(labels);
            result.ids.extend(batch.ids);
        }
        if !predicted.is_empty() {
            let read = |tensors| Tensor::<1, Int>::cat(tensors, 0).try_into_data();
            let broken = read(broken)?;
            let broken = broken.iter::<i64>().filter(|&broken| broken != 0);
            let (samples, all) = (broken.count(), result.ids.len());
            if samples > 0 {
                return Err(EvaluationError::NotFinite { samples, all });
            }
            result.predicted = read(predicted)?
                .iter::<i64>()
                .map(|class| class as usize)
                .collect();
            let known = |tensors| -> Result<Vec<Option<usize>>, ExecutionError> {
                let numbers = read(tensors)?;
                let numbers = numbers.iter::<i64>();
                Ok(numbers.map(|number| usize::try_from(number).ok()).collect())
            };
            (result.expected, result.ranks) = (known(expected)?, known(ranks)?);
        }
        Ok(result)
    }

    /// Returns the share of the labeled samples that are predicted correctly, between 0 and 1, or
    /// NaN without labels.
    pub fn accuracy(&self) -> f64 {
        self.accuracy_where(|_| true)
    }

    /// Returns the share of the labeled samples whose label has one of the `count` largest logits,
    /// between 0 and 1, or NaN without labels. Equal logits count as larger ones.
    pub fn top_accuracy(&self, count: usize) -> f64 {
        ratio(self.ranks.iter().flatten().map(|&rank| rank < count))
    }

    /// Returns the accuracy on the samples of one class, or NaN if there are none.
    pub fn class_accuracy(&self, class: usize) -> f64 {
        self.accuracy_where(|expected| expected == class)
    }

    /// Returns the share of the samples for which two networks predict the same class, between 0
    /// and 1.
    ///
    /// # Panics
    ///
    /// Panics if the two are predictions for different samples, or for another order of them.
    pub fn agreement(&self, other: &Self) -> f64 {
        assert_eq!(
            self.ids, other.ids,
            "Predictions are compared for the same samples in the same order, but their ids differ."
        );
        ratio(
            self.predicted
                .iter()
                .zip(&other.predicted)
                .map(|(a, b)| a == b),
        )
    }

    fn accuracy_where(&self, counts: impl Fn(usize) -> bool) -> f64 {
        ratio(
            self.predicted
                .iter()
                .zip(&self.expected)
                .filter_map(|(predicted, expected)| {
                    let expected = (*expected)?;
                    counts(expected).then_some(*predicted == expected)
                }),
        )
    }
}

/// Returns the number of other classes whose logit is at least that of the label; −1 for unknown
/// labels, which are −1.
///
/// # Shapes
///
/// - logits: `[rows, num_classes]`
/// - labels, output: `[rows]`
fn ranks_of(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1, Int> {
    let unknown = labels.clone().lower_elem(0);
    let of_label = logits
        .clone()
        .gather(1, labels.clamp_min(0).unsqueeze_dim(1));
    let at_least: Tensor<1, Int> = logits
        .greater_equal(of_label)
        .int()
        .sum_dim(1)
        .squeeze_dim(1);
    at_least.sub_scalar(1).mask_fill(unknown, -1)
}

/// Returns the share of the values that are true.
fn ratio(values: impl Iterator<Item = bool>) -> f64 {
    let (mut hits, mut all) = (0_usize, 0_usize);
    for value in values {
        hits += usize::from(value);
        all += 1;
    }
    hits as f64 / all as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn predictions() -> Predictions {
        Predictions {
            ids: vec![3, 1, 4, 5],
            predicted: vec![0, 1, 1, 2],
            expected: vec![Some(0), Some(1), Some(0), None],
            ranks: vec![Some(0), Some(0), Some(2), None],
        }
    }

    #[test]
    fn accuracy_is_over_the_known_classes() {
        assert_eq!(predictions().accuracy(), 2.0 / 3.0);
        assert_eq!(predictions().class_accuracy(0), 0.5);
        assert_eq!(predictions().class_accuracy(1), 1.0);
        assert!(predictions().class_accuracy(7).is_nan());
    }

    #[test]
    fn a_label_of_a_large_logit_counts_for_the_top_accuracy() {
        let device = Device::default();
        let logits = [
            [3.0, 2.0, 1.0],
            [3.0, 2.0, 1.0],
            [0.0, 0.0, 0.0],
            [1.0, 2.0, 3.0],
        ];
        let ranks = ranks_of(
            Tensor::from_data(logits, &device),
            Tensor::from_data([0, 1, 2, -1], &device),
        );
        let ranks: Vec<i64> = ranks.into_data().iter().collect();
        assert_eq!(ranks, [0, 1, 2, -1], "equal logits count as larger ones");

        let of = |count| predictions().top_accuracy(count);
        assert_eq!([of(1), of(2), of(3)], [2.0 / 3.0, 2.0 / 3.0, 1.0]);
        assert!(Predictions::default().top_accuracy(5).is_nan());
    }

    #[test]
    fn agreement_needs_no_labels() {
        let mut other = predictions();
        other.predicted[3] = 0;

        assert_eq!(predictions().agreement(&other), 0.75);
    }
}
