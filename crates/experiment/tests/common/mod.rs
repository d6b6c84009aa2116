//! Runs of recipes by a program without the command.

use anyhow::Result;
use burn::tensor::Device;
use burn_distill::strategy::{ByEpoch, Quiet};
use burn_distill_experiment::{Data, Experiment, ExperimentResult, RunFolder, Stop, check};
use burn_distill_recipe::{Notices, Registry, parse};
use std::fs;
use std::path::Path;

/// Runs the recipe of a text in `folder/run`.
pub fn run(folder: &Path, text: &str, registry: &Registry) -> Result<ExperimentResult> {
    let file = folder.join("recipe.toml");
    fs::write(&file, text)?;
    let recipe = parse(&file, &[], registry)?;
    let data = Data::load(&recipe.data, &recipe.registry)?;
    let notices = Notices::default();
    let checked = check(&recipe, &data, &notices)?;
    let folder = RunFolder::open(&recipe, Some(&folder.join("run")), false)?;
    let experiment = Experiment {
        recipe: &recipe,
        data: &data,
        device: &Device::flex(),
        device_name: "flex",
        folder: &folder,
        stop: &Stop::default(),
        notices,
        checked,
    };
    let result = experiment.run(ByEpoch::renderer(Quiet))?;
    Ok(result.expect("No stop is requested."))
}
