use super::{EpochDisplay, EpochMetrics, TrainingTitle};
use std::io::{Write, stderr};
use std::time::Instant;

/// The maximum number of lines per training. The last epoch always has one.
const LINES: usize = 5;

/// A display of a few lines per training on standard error, for logs and pipes.
#[derive(Debug, Default)]
pub struct Lines {
    training: Option<(TrainingTitle, Instant)>,
}

impl EpochDisplay for Lines {
    fn start(&mut self, training: &TrainingTitle) {
        self.training = Some((training.clone(), Instant::now()));
    }

    fn epoch(&mut self, epoch: usize, metrics: &EpochMetrics) {
        if let Some((TrainingTitle { label, epochs, .. }, since)) = &self.training
            && is_worth_a_line(epoch, *epochs)
        {
            let seconds = since.elapsed().as_secs_f64();
            let line = format!("{label}  epoch {epoch}/{epochs}  {metrics}  {seconds:.1} s\n");
            // `eprintln!` would panic if the reader of a pipe has closed it, and burn would then
            // wait forever.
            let _ = stderr().write_all(line.as_bytes());
        }
    }
}

fn is_worth_a_line(epoch: usize, epochs: usize) -> bool {
    epoch == epochs || epoch.is_multiple_of(epochs.div_ceil(LINES).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_trainings_have_few_lines_and_short_trainings_one_per_epoch() {
        let lines = |epochs| {
            (1..=epochs)
                .filter(|&epoch| is_worth_a_line(epoch, epochs))
                .count()
        };

        assert_eq!(lines(3), 3);
        assert_eq!(lines(5), 5);
        assert_eq!(lines(240), 5);
        assert!(lines(11) <= LINES);
    }
}
