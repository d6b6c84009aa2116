use super::resume::resume_command;
use crate::args::{LARGEST_SEED, RunArgs};
use crate::output::{self, note};
use crate::{device, in_words, progress, stop, summary, table};
use anyhow::{Context, Result, anyhow, ensure};
use burn_distill::data::DataSource;
use burn_distill_experiment::{Data, Diverged, Experiment, RunFolder, check};
use burn_distill_recipe::{Notices, Registry, check_untrained, parse, warnings};
use std::env;
use std::path::{Path, PathBuf};

/// Runs a recipe. Returns false if the run was stopped on request.
pub fn run(args: &RunArgs, verbose: u8, registry: Registry) -> Result<bool> {
    check_paths(args)?;
    let registry = match &args.data_dir {
        Some(folder) => registry.with_data_source(DataSource::default().data_dir(folder)),
        None => registry,
    };
    let mut recipe = parse(&args.recipe, &args.overrides, &registry)?;
    // After the recipe is read, so that its seeds are checked too.
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
    let data = match Data::load(&recipe.data, &registry) {
        Ok(data) => data,
        Err(error) => {
            // Faults of the recipe come first: the data may have to be downloaded by hand.
            check_untrained(&recipe).with_context(|| args.recipe.display().to_string())?;
            return Err(error);
        }
    };
    let notices = Notices::default();
    let checked =
        check(&recipe, &data, &notices).with_context(|| args.recipe.display().to_string())?;
    for warning in checked.warnings() {
        note(format_args!("warning: {warning}"));
    }

    let stop = stop::listen()?;
    let folder = RunFolder::open(&recipe, args.out.as_deref(), args.resume)?;
    note(format_args!("{}: {}", recipe.name, folder.path().display()));
    log::info!(
        "weights, checkpoints and history.csv of each training: {}",
        folder.join("seed-N").display()
    );
    let experiment = Experiment {
        recipe: &recipe,
        data: &data,
        device: &device,
        device_name: &args.device,
        folder: &folder,
        stop: &stop,
        notices,
        checked,
    };
    let run = experiment.run(progress::renderer(args.progress, verbose, &stop));
    // After the dashboard is closed, which would have hidden them.
    experiment.notices.take().iter().for_each(note);
    match run {
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
            note(format_args!("stopped; resume with: {command}"));
            Ok(false)
        }
        Err(error) => {
            let command = resume_command(&program(), args, verbose, folder.path());
            // A network that has diverged does so again.
            match folder.discard_if_unused() && !error.is::<Diverged>() {
                true => Err(anyhow!(
                    "{}\nthe run keeps what it has finished: remove the cause, and continue with: \
                     {command}",
                    in_words(&error)
                )),
                false => Err(error),
            }
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

/// Checks that the paths of the command line are UTF-8: recipes, results and the command to resume
/// a run hold them as text.
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
