use crate::DistillationOutput;
use burn::tensor::{Bool, Int, Tensor};
use burn::train::metric::{
    AccuracyInput, Adaptor, ConfusionStatsInput, LossInput, PerplexityInput, TopKAccuracyInput,
};
use burn_distill_core::{Response, Targets};

/// The logits of the student and the known classes, as the input of burn's metrics.
///
/// A row is a sample of a classifier, a token of a sequence or a proposal of a detector.
#[derive(Clone, Debug)]
pub struct LabeledRows {
    /// Shape: `[rows, num_classes]`.
    logits: Tensor<2>,
    /// Shape: `[rows]`.
    classes: Tensor<1, Int>,
    /// True for the rows that have a label and count; `None` when all do. Shape: `[rows]`.
    counted: Option<Tensor<1, Bool>>,
}

impl LabeledRows {
    /// Pairs the rows of a response with their classes, or returns `None` where there is not one
    /// class per row.
    pub(crate) fn new(response: &Response, targets: &Targets) -> Option<Self> {
        if let Response::Maps(_) = response {
            return None;
        }
        let (classes, labeled) = targets.class_labels()?;
        let rows = response.rows();
        if classes.dims()[0] != rows.logits.dims()[0] {
            return None;
        }
        let counted = match (rows.mask, labeled) {
            (Some(mask), Some(labeled)) => Some(mask.bool_and(labeled)),
            (mask, labeled) => mask.or(labeled),
        };
        Some(Self {
            logits: rows.logits.without_autodiff(),
            classes: classes.without_autodiff(),
            counted: counted.map(Tensor::without_autodiff),
        })
    }

    /// Returns the logits and classes of the rows that count.
    fn counted(&self) -> (Tensor<2>, Tensor<1, Int>) {
        let (logits, classes) = (self.logits.clone(), self.classes.clone());
        match &self.counted {
            None => (logits, classes),
            Some(counted) => {
                let rows = counted.clone().argwhere().squeeze_dim(1);
                (logits.select(0, rows.clone()), classes.select(0, rows))
            }
        }
    }
}

impl DistillationOutput {
    /// Returns the logits of the student and the known classes, for metrics of burn.
    ///
    /// # Panics
    ///
    /// Panics if the response of the student has no class logits, or if the batch has no class
    /// labels.
    fn labeled_rows(&self) -> (Tensor<2>, Tensor<1, Int>) {
        let rows = self.labeled.as_ref().expect(
            "This metric compares logits with class labels, but the batch has no class labels, or \
             the response of the student has no classes: leave the metric out.",
        );
        rows.counted()
    }
}

impl Adaptor<LossInput> for DistillationOutput {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.loss.clone())
    }
}

impl Adaptor<AccuracyInput> for DistillationOutput {
    fn adapt(&self) -> AccuracyInput {
        let (logits, classes) = self.labeled_rows();
        AccuracyInput::new(logits, classes)
    }
}

impl Adaptor<TopKAccuracyInput> for DistillationOutput {
    fn adapt(&self) -> TopKAccuracyInput {
        let (logits, classes) = self.labeled_rows();
        TopKAccuracyInput::new(logits, classes)
    }
}

impl Adaptor<PerplexityInput> for DistillationOutput {
    fn adapt(&self) -> PerplexityInput {
        let (logits, classes) = self.labeled_rows();
        PerplexityInput::new(logits, classes)
    }
}

impl Adaptor<ConfusionStatsInput> for DistillationOutput {
    fn adapt(&self) -> ConfusionStatsInput {
        let (logits, classes) = self.labeled_rows();
        let [_, num_classes] = logits.dims();
        ConfusionStatsInput::new(logits, classes.one_hot(num_classes).bool())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::data::dataloader::Progress;
    use burn::tensor::Device;
    use burn::train::metric::{AccuracyMetric, Metric, MetricMetadata, Numeric, NumericEntry};
    use burn_distill_core::Terms;

    fn metadata() -> MetricMetadata {
        MetricMetadata {
            progress: Progress::new(1, 1, None),
            iteration: None,
            lr: None,
        }
    }

    fn accuracy(response: Response, targets: Targets) -> f64 {
        let loss = Tensor::ones([1], &Device::default());
        let terms = Terms::one("loss", loss, 1.0);
        let output = DistillationOutput::new(terms, &response, None, &targets);
        let mut metric = AccuracyMetric::new();
        metric.update(&output.adapt(), &metadata()).unwrap();
        match metric.final_value() {
            NumericEntry::Value(value) | NumericEntry::Final(value) => value,
            NumericEntry::Aggregated {
                aggregated_value, ..
            } => aggregated_value,
        }
    }

    #[test]
    fn accuracy_of_burn_counts_the_labeled_samples() {
        let device = Device::default();
        let logits = [[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [0.0, 3.0]];
        let targets = Targets::Classes {
            classes: Tensor::from_data([0, 0, 0, 0], &device),
            labeled: Some(Tensor::from_data([true, true, true, false], &device)),
        };

        let accuracy = accuracy(
            Response::Classes(Tensor::from_data(logits, &device)),
            targets,
        );

        assert!((accuracy - 200.0 / 3.0).abs() < 1e-4, "{accuracy}");
    }

    #[test]
    fn accuracy_of_burn_counts_the_tokens_without_padding() {
        let device = Device::default();
        let response = Response::Tokens {
            logits: Tensor::from_data(
                [[[2.0, 1.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 3.0]]],
                &device,
            ),
            mask: Tensor::from_data([[true, true], [false, true]], &device),
        };
        let classes = Tensor::<1, Int>::from_data([0, 1, 1, 0], &device);

        let accuracy = accuracy(response, classes.into());

        assert!((accuracy - 200.0 / 3.0).abs() < 1e-4, "{accuracy}");
    }
}
