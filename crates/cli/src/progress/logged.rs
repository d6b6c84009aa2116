use burn_distill::strategy::{EpochDisplay, EpochMetrics, TrainingTitle};
use std::time::Instant;

/// Log messages about a training: its start and end, and in detail every epoch.
#[derive(Debug, Default)]
pub struct Logged {
    training: Option<Shown>,
}

#[derive(Debug)]
struct Shown {
    title: TrainingTitle,
    since: Instant,
    /// The last finished epoch.
    epoch: usize,
}

impl EpochDisplay for Logged {
    fn start(&mut self, training: &TrainingTitle) {
        let TrainingTitle {
            label,
            first_epoch,
            epochs,
        } = training;
        log::info!("{label} starts with epoch {first_epoch} of {epochs}");
        self.training = Some(Shown {
            title: training.clone(),
            since: Instant::now(),
            epoch: first_epoch.saturating_sub(1),
        });
    }

    fn epoch(&mut self, epoch: usize, metrics: &EpochMetrics) {
        let Some(shown) = &mut self.training else {
            return;
        };
        shown.epoch = epoch;
        let TrainingTitle { label, epochs, .. } = &shown.title;
        let seconds = shown.since.elapsed().as_secs_f64();
        for (split, metrics) in [("training", &metrics.train), ("validation", &metrics.valid)] {
            let metrics: Vec<_> = metrics
                .iter()
                .map(|(name, value)| format!("{} {value:.6}", name.to_lowercase()))
                .collect();
            log::debug!(
                "{label}  epoch {epoch}/{epochs}  {split}: {}  {seconds:.1} s",
                metrics.join(", ")
            );
        }
    }

    fn end(&mut self) {
        if let Some(Shown {
            title,
            since,
            epoch,
        }) = self.training.take()
        {
            log::info!(
                "{} ends after epoch {epoch} of {}, in {:.1} s",
                title.label,
                title.epochs,
                since.elapsed().as_secs_f64()
            );
        }
    }
}
