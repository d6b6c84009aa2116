use super::{EpochDisplay, EpochMetrics, TrainingTitle};

/// A display that shows nothing.
#[derive(Debug, Default)]
pub struct Quiet;

impl EpochDisplay for Quiet {
    fn start(&mut self, _training: &TrainingTitle) {}
    fn epoch(&mut self, _epoch: usize, _metrics: &EpochMetrics) {}
}
