use super::experiment::{Experiment, Progress};
use super::result::{ExperimentResult, RunInfo};
use anyhow::{Context, Result};
use burn::train::renderer::MetricsRenderer;
use burn_distill::strategy::write_atomically;

/// Version of burn, which the workspace pins.
const BURN: &str = "0.22.1";

impl Experiment<'_> {
    /// Runs all repetitions and writes their result to `result.json` in the folder of the run.
    /// Networks that an earlier run has finished are loaded. Returns `None` if the run was stopped
    /// on request: it can be resumed.
    ///
    /// The display shows the trainings and is dropped after the last one.
    ///
    /// # Errors
    ///
    /// Returns an error if a training or an evaluation fails. If a network has become NaN or
    /// infinite, `result.json` records it.
    pub fn run(&self, display: Box<dyn MetricsRenderer>) -> Result<Option<ExperimentResult>> {
        self.folder.check_data(self.data)?;
        let seeds = &self.recipe.seeds;
        let mut display = Some(display);
        let mut repetitions = Vec::with_capacity(seeds.len());
        for &seed in seeds {
            match self.repeat(seed, &mut display)? {
                Progress::Done(repetition) => repetitions.push(repetition),
                Progress::Stopped => return Ok(None),
            }
        }
        drop(display);

        let info = RunInfo {
            seeds: seeds.clone(),
            samples: self.data.sizes(),
            classes: self.data.class_counts(),
            labels: self.data.labels(seeds[0])?,
            burn: BURN,
            version: env!("CARGO_PKG_VERSION"),
            device: self.device_name.to_string(),
            recipe: self.recipe.clone(),
        };
        let result = ExperimentResult::new(&repetitions, info);
        let file = self.folder.join("result.json");
        write_atomically(&file, serde_json::to_string_pretty(&result)?.as_bytes())
            .with_context(|| format!("{}", file.display()))?;
        Ok(Some(result))
    }
}
