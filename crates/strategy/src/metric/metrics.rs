use super::{Figures, Reading};
use crate::DistillationOutput;
use burn::tensor::TensorReadError;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry,
};
use std::fmt;
use std::sync::Arc;

/// Steps whose figures are read from the device together.
const READ_EVERY: usize = 8;

/// What a [`FigureMetric`] shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Figure {
    /// The loss.
    Loss,
    /// One term of the loss, unweighted, by its name.
    Term(String),
    /// The student's accuracy on the labelled samples, in percent.
    Accuracy,
    /// The teacher's accuracy on the labelled samples, in percent.
    TeacherAccuracy,
    /// How often student and teacher predict the same class, in percent.
    Agreement,
    /// An accuracy on the labelled samples that a strategy shows beside the terms of its loss, in
    /// percent, by its name: `2 accuracy`, `ensemble accuracy`. What it shows besides, such as
    /// `1 generator`, is a [`Term`](Self::Term).
    Shown(String),
}

impl Figure {
    /// The value of one step and the number of samples that it is a mean over.
    fn of(&self, reading: &Reading) -> Option<(f64, usize)> {
        let percent = |part: usize, whole: usize| {
            (whole > 0).then(|| (100.0 * part as f64 / whole as f64, whole))
        };
        let named = |name: &str| {
            let term = reading.terms.iter().find(|(term, _)| term == name)?;
            Some(term.1)
        };
        match self {
            Self::Loss => Some((reading.loss, reading.samples.max(1))),
            Self::Term(name) => Some((named(name)?, reading.samples.max(1))),
            Self::Shown(name) if reading.labelled > 0 => Some((named(name)?, reading.labelled)),
            Self::Shown(_) => None,
            Self::Accuracy => percent(reading.correct, reading.labelled),
            Self::TeacherAccuracy => percent(reading.teacher_correct, reading.labelled),
            Self::Agreement => percent(reading.agreed, reading.samples),
        }
    }

    fn is_percentage(&self) -> bool {
        matches!(
            self,
            Self::Accuracy | Self::TeacherAccuracy | Self::Agreement | Self::Shown(_)
        )
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => f.write_str("Loss"),
            Self::Term(name) => write!(f, "Loss @ {name}"),
            Self::Accuracy => f.write_str("Accuracy"),
            Self::TeacherAccuracy => f.write_str("Teacher Accuracy"),
            Self::Agreement => f.write_str("Agreement"),
            Self::Shown(name) => f.write_str(name),
        }
    }
}

/// A metric of a distillation: the loss, one of its terms, an accuracy or the agreement.
///
/// It reads from the device every few steps only, so the curve of an epoch has fewer points than
/// the epoch has steps; the value of the epoch is over all of them.
#[derive(Clone)]
pub struct FigureMetric {
    figure: Figure,
    name: MetricName,
    state: NumericMetricState,
    pending: Vec<Figures>,
    fresh: bool,
}

impl FigureMetric {
    /// The metric that shows that figure.
    pub fn new(figure: Figure) -> Self {
        Self {
            name: Arc::new(figure.to_string()),
            figure,
            state: NumericMetricState::new(),
            pending: Vec::with_capacity(READ_EVERY),
            fresh: false,
        }
    }

    fn read_pending(&mut self) -> Result<(), TensorReadError> {
        let (mut sum, mut count) = (0.0, 0);
        for reading in Figures::read(&self.pending)? {
            if let Some((value, samples)) = self.figure.of(&reading) {
                sum += value * samples as f64;
                count += samples;
            }
        }
        self.pending.clear();
        if count > 0 {
            self.state.update(sum / count as f64, count);
            self.fresh = true;
        }
        Ok(())
    }

    fn format(&self) -> FormatOptions {
        let options = FormatOptions::new(self.name.clone());
        if self.figure.is_percentage() {
            options.unit("%").precision(2)
        } else {
            options.precision(4)
        }
    }

    fn unit(&self) -> Option<&'static str> {
        self.figure.is_percentage().then_some("%")
    }
}

impl Metric for FigureMetric {
    type Input = Figures;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: self.unit().map(str::to_string),
            higher_is_better: self.figure.is_percentage(),
        }
        .into()
    }

    fn update(
        &mut self,
        figures: &Figures,
        _metadata: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        self.fresh = false;
        self.pending.push(figures.clone());
        if self.pending.len() >= READ_EVERY {
            self.read_pending()?;
        }
        Ok(if self.fresh {
            self.state.compute_update(self.format())
        } else {
            SerializedEntry::not_available(self.unit())
        })
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        self.read_pending()?;
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
        self.pending.clear();
        self.fresh = false;
    }
}

impl Numeric for FigureMetric {
    fn value(&self) -> Option<NumericEntry> {
        self.fresh.then(|| self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.fresh.then(|| self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}

impl Adaptor<Figures> for DistillationOutput {
    fn adapt(&self) -> Figures {
        self.figures.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accuracy_that_is_shown_is_a_mean_over_labelled_samples() {
        let name = "2 accuracy".to_string();
        let of = |labelled, share| {
            let reading = Reading {
                loss: 1.0,
                samples: 8,
                labelled,
                correct: 0,
                teacher_correct: 0,
                agreed: 0,
                terms: vec![(name.clone(), share)],
            };
            Figure::Shown(name.clone()).of(&reading)
        };

        assert_eq!(of(2, 50.0), Some((50.0, 2)));
        assert_eq!(of(0, 0.0), None, "a batch without labels does not count");
    }
}
