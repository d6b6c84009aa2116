use super::network::{self, ImageNetwork};
use super::phase::Record;
use super::repetition::{Experiment, Progress, Renderer};
use crate::recipe::{Loss, Preparation};
use anyhow::{Context, Result};
use burn::store::ModuleRecord;
use burn_distill::core::Frozen;
use burn_distill::strategy::{Figure, OfflineDistiller, Training};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Losses that are ready for the student.
pub struct Prepared {
    /// The losses.
    pub losses: Vec<Loss>,
    /// How long it took to prepare them, in seconds, over all runs.
    pub seconds: f64,
}

impl Experiment<'_> {
    /// Train what losses have to know before the student learns, or load it if that is done.
    ///
    /// Both networks stay as they are. What is trained lies in `prepared` beside the networks, in a
    /// folder with the number of the loss.
    pub(super) fn prepare(
        &self,
        seed: u64,
        mut losses: Vec<Loss>,
        student: &ImageNetwork,
        teacher: &ImageNetwork,
        renderer: &mut Renderer,
    ) -> Result<Progress<Prepared>> {
        let mut seconds = 0.0;
        for (loss, number) in losses.iter_mut().zip(1..) {
            let Some(preparation) = &loss.preparation else {
                continue;
            };
            let name = format!("{number}-{}", preparation.name);
            let folder = self.folder.join(format!("seed-{seed}/prepared/{name}"));
            let networks = (student, teacher);
            let record =
                match self.train_preparation(seed, preparation, networks, &folder, renderer)? {
                    Progress::Done(record) => record,
                    Progress::Stopped => return Ok(Progress::Stopped),
                };
            seconds += record.seconds;
            let weights = folder.join("model.bpk");
            loss.objective = ModuleRecord::load(&weights)
                .map_err(Into::into)
                .and_then(|record| (preparation.finish)(record))
                .with_context(|| {
                    format!("{} does not hold a {}", weights.display(), preparation.name)
                })?;
        }
        Ok(Progress::Done(Prepared { losses, seconds }))
    }

    fn train_preparation(
        &self,
        seed: u64,
        preparation: &Preparation,
        (student, teacher): (&ImageNetwork, &ImageNetwork),
        folder: &Path,
        renderer: &mut Renderer,
    ) -> Result<Progress<Record>> {
        let record_file = folder.join("training.json");
        let mut record = Record::read(&record_file)?;
        if record.finished {
            return Ok(Progress::Done(record));
        }
        if self.stop.is_requested() {
            return Ok(Progress::Stopped);
        }
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;

        let training = &self.recipe.student.training;
        let start = Instant::now();
        let trained = Training::new(folder, self.device, preparation.epochs)
            .with_label(format!("seed {seed} {}", preparation.name))
            .with_resume(true)
            .with_teacher(Some(self.teacher_identity(seed)?))
            .with_figures([Figure::Loss])
            .with_interrupter(self.stop.interrupter())
            .with_renderer(renderer.take())
            .launch(
                OfflineDistiller::new(
                    Frozen::new(student.clone()),
                    Frozen::new(teacher.clone()),
                    preparation.objective.clone(),
                ),
                &training.optimizer,
                &training.learning_rate,
                self.data.loaders(self.data.for_taught(training, seed)?),
            )?;
        *renderer = Some(trained.renderer);
        record.seconds += start.elapsed().as_secs_f64();
        record.finished = !trained.stopped;
        if record.finished {
            network::save(&trained.model.objective, &folder.join("model.bpk"))?;
        }
        record.write(&record_file)?;
        Ok(match trained.stopped {
            true => Progress::Stopped,
            false => Progress::Done(record),
        })
    }
}
