use super::resume::resume_command;
use crate::args::{LARGEST_SEED, RunArgs};
use crate::output::{self, note};
use crate::{device, progress, stop, summary, table};
use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use burn_distill::data::DataSource;
use burn_distill::strategy::write_atomically;
use burn_distill_experiment::{
    Data, Experiment, ExperimentResult, Progress, RunFolder, RunInfo, Stop, check,
    check_given_weights,
};
use burn_distill_recipe::{Recipe, Registry, read, take_notices, warnings};
use std::env;
use std::path::{Path, PathBuf};

/// The version of burn that this program is built with: the workspace pins it.
const BURN: &str = "0.22.1";

/// Runs a recipe. False if it was stopped on request.
pub fn run(args: &RunArgs, verbose: u8, registry: Registry) -> Result<bool> {
    check_paths(args)?;
    let registry = match &args.data_dir {
        Some(folder) => registry.with_data_source(DataSource::default().data_dir(folder)),
        None => registry,
    };
    let mut recipe = read(&args.recipe, &args.overrides, &registry)?;
    // Only now: the seeds of the recipe are checked, too.
    if let Some(seed) = args.seed {
        ensure!(
            seed <= LARGEST_SEED,
            "`--seed` should be from 0 to {LARGEST_SEED}, as those of `seeds`, but is {seed}"
        );
        recipe.seeds = vec![seed];
    }
    for warning in warnings(&recipe) {
        note(format_args!("warning: {warning}"));
    }
    RunFolder::check(&recipe, args.out.as_deref(), args.resume)?;
    let device = device::select(&args.device)?;
    let data = Data::load(&recipe.data, &registry)?;
    check(&recipe, &data)?;
    // About losses between networks that are not trained yet.
    drop(take_notices());
    for warning in check_given_weights(&recipe, &data)? {
        note(format_args!("warning: {warning}"));
    }

    let stop = stop::listen()?;
    let folder = RunFolder::open(&recipe, args.out.as_deref(), args.resume)?;
    note(format_args!("{}: {}", recipe.name, folder.path().display()));
    log::info!(
        "weights, checkpoints and history.csv of each training: {}",
        folder.join("seed-N").display()
    );
    match run_in(&folder, (args, verbose), recipe, &data, &device, &stop) {
        Ok(Some(result)) => {
            let width = table::width_of_output(args.wide);
            let printed = output::print(summary::of_experiment(&result, width));
            note(format_args!(
                "written to {}",
                folder.join("result.json").display()
            ));
            printed.map(|()| true)
        }
        Ok(None) => {
            let command = resume_command(&program(), args, verbose, folder.path());
            note(format_args!("stopped; go on with: {command}"));
            Ok(false)
        }
        Err(error) => {
            folder.discard_if_unused();
            Err(error)
        }
    }
}

/// Returns the name of this program, without its folder.
fn program() -> String {
    let path = env::args_os().next().map(PathBuf::from);
    let name = path.as_deref().and_then(Path::file_stem);
    name.map_or("burn-distill".into(), |name| {
        name.to_string_lossy().into_owned()
    })
}

/// Checks that the paths of the command line are text: recipes, results and the command to go on with
/// hold them as such.
fn check_paths(args: &RunArgs) -> Result<()> {
    let paths = [
        ("the recipe", Some(&args.recipe)),
        ("--out", args.out.as_ref()),
        ("--data-dir", args.data_dir.as_ref()),
    ];
    for (name, path) in paths {
        if let Some(path) = path {
            ensure!(
                path.to_str().is_some(),
                "{name} should be a path in UTF-8, but is {}: choose another name",
                path.display()
            );
        }
    }
    Ok(())
}

/// Runs all repetitions and writes their result to a file; returns nothing if they were stopped on request.
fn run_in(
    folder: &RunFolder,
    (args, verbose): (&RunArgs, u8),
    recipe: Recipe,
    data: &Data,
    device: &Device,
    stop: &Stop,
) -> Result<Option<ExperimentResult>> {
    let experiment = Experiment {
        recipe: &recipe,
        data,
        device,
        folder,
        stop,
    };
    let mut renderer = Some(progress::renderer(args.progress, verbose, stop));
    let mut repetitions = Vec::with_capacity(recipe.seeds.len());
    let mut notices = Vec::new();
    for &seed in &recipe.seeds {
        let progress = experiment.repeat(seed, &mut renderer)?;
        let said = take_notices().into_iter();
        notices.extend(said.map(|text| format!("seed {seed}: {text}")));
        match progress {
            Progress::Done(repetition) => repetitions.push(repetition),
            Progress::Stopped => break,
        }
    }
    // Before anything is said: the dashboard would take it along when it closes.
    drop(renderer);
    notices.iter().for_each(note);
    if repetitions.len() < recipe.seeds.len() {
        return Ok(None);
    }

    let info = RunInfo {
        seeds: recipe.seeds.clone(),
        samples: data.sizes(),
        labels: data.labels(recipe.seeds[0])?,
        burn: BURN,
        version: env!("CARGO_PKG_VERSION"),
        device: args.device.clone(),
        recipe,
    };
    let result = ExperimentResult::new(&repetitions, info);
    let file = folder.join("result.json");
    write_atomically(&file, serde_json::to_string_pretty(&result)?.as_bytes())
        .with_context(|| format!("{}", file.display()))?;
    Ok(Some(result))
}
