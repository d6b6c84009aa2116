use super::diverged::Subject;
use super::experiment::{Experiment, Progress, Renderer, or_stopped};
use super::phase::{RECORD, Record, WEIGHTS};
use super::weights::save;
use anyhow::{Context, Result};
use burn_distill::core::Frozen;
use burn_distill::strategy::{
    MetricKind, OfflineDistiller, Training, WeightsFile, non_finite_weights,
};
use burn_distill_recipe::{AnyNetwork, Loss, Preparation, TrainingRecipe};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Losses whose preparations are trained.
pub struct Prepared {
    /// Losses.
    pub losses: Vec<Loss>,
    /// Duration of the preparations in seconds, over all runs.
    pub seconds: f64,
}

impl Experiment<'_> {
    /// Trains the parts of losses that are trained before the student, or loads them if they are
    /// finished.
    ///
    /// Student and teacher are not changed. The trained parts are saved in the folder `prepared` of
    /// the seed, in a folder with the name of the loss.
    pub(super) fn prepare(
        &self,
        seed: u64,
        training: &TrainingRecipe,
        mut losses: Vec<Loss>,
        networks: (&AnyNetwork, &AnyNetwork),
        renderer: &mut Renderer,
    ) -> Result<Progress<Prepared>> {
        let mut seconds = 0.0;
        for loss in &mut losses {
            let Some(preparation) = &loss.preparation else {
                continue;
            };
            let of_seed = self.folder.join(format!("seed-{seed}/prepared"));
            let folder = of_seed.join(&loss.name);
            let record = or_stopped!(self.train_preparation(
                (seed, training),
                preparation,
                networks,
                &folder,
                renderer
            )?);
            seconds += record.seconds;
            let weights = folder.join(WEIGHTS);
            let record = WeightsFile::read(&weights)?.into_record();
            loss.objective = record
                .map_err(anyhow::Error::from)
                .and_then(|record| Ok((preparation.finish)(record)?))
                .with_context(|| {
                    format!("{} does not hold a {}", weights.display(), preparation.name)
                })?;
            if let Some(tensor) = non_finite_weights(&loss.objective) {
                let subject = Subject::named(preparation.name, seed);
                return Err(subject.weights_error(&tensor, &weights));
            }
        }
        Ok(Progress::Done(Prepared { losses, seconds }))
    }

    fn train_preparation(
        &self,
        (seed, training): (u64, &TrainingRecipe),
        preparation: &Preparation,
        (student, teacher): (&AnyNetwork, &AnyNetwork),
        folder: &Path,
        renderer: &mut Renderer,
    ) -> Result<Progress<Record>> {
        let record_file = folder.join(RECORD);
        let mut record = Record::read(&record_file)?;
        if record.finished {
            record.check(folder, vec![WEIGHTS.into()])?;
            return Ok(Progress::Done(record));
        }
        if self.stop.is_requested() {
            return Ok(Progress::Stopped);
        }
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;

        let start = Instant::now();
        let trained = Training::new(folder, self.device, preparation.epochs)
            .with_label(format!("seed {seed} {}", preparation.name))
            .with_resume(true)
            .with_teacher(Some(self.teacher_identity(seed)?))
            .with_metrics([MetricKind::Loss])
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
                self.data.loaders(self.data.for_distilled(training, seed)?),
            )
            .map_err(|error| Subject::named(preparation.name, seed).training_error(error))?;
        *renderer = Some(trained.renderer);
        record.seconds += start.elapsed().as_secs_f64();
        if !trained.stopped {
            let origin = self.data.provenance(preparation.name, "prepared", seed);
            save(&trained.model.objective, &origin, &folder.join(WEIGHTS))?;
            record.finish(folder, vec![WEIGHTS.into()])?;
        }
        record.write(&record_file)?;
        Ok(match trained.stopped {
            true => Progress::Stopped,
            false => Progress::Done(record),
        })
    }
}
