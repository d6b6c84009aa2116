use crate::args::RunArgs;
use crate::experiment::{
    Data, Experiment, ExperimentResult, Progress, RunFolder, RunInfo, check_given_weights,
};
use crate::recipe::{self, Recipe};
use crate::stop::Stop;
use crate::{device, progress};
use anyhow::{Context, Result};
use burn_distill::data::DataSource;
use burn_distill::strategy::write_atomically;

/// The version of burn that this program is built with: the workspace pins it.
const BURN: &str = "0.22.1";

/// Run a recipe. False if it was stopped on request.
pub fn run(args: &RunArgs) -> Result<bool> {
    let mut overrides = args.overrides.clone();
    overrides.extend(args.seed.map(|seed| format!("seeds=[{seed}]")));
    let recipe = recipe::read(&args.recipe, &overrides)?;
    for warning in recipe::warnings(&recipe) {
        eprintln!("warning: {warning}");
    }
    let device = device::select(&args.device)?;
    let data = load_data(&recipe, args)?;
    data.check_batches(&recipe)?;
    for warning in check_given_weights(&recipe, &data)? {
        eprintln!("warning: {warning}");
    }
    let folder = RunFolder::open(&recipe, args.out.as_deref(), args.resume)?;
    eprintln!("{}: {}", recipe.name, folder.path().display());

    let stop = Stop::listen()?;
    let experiment = Experiment {
        recipe: &recipe,
        data: &data,
        device: &device,
        folder: &folder,
        stop: &stop,
    };
    let mut renderer = Some(progress::renderer(args.progress, &stop.interrupter()));
    let mut repetitions = Vec::with_capacity(recipe.seeds.len());
    let mut notices = Vec::new();
    for &seed in &recipe.seeds {
        let progress = experiment.repeat(seed, &mut renderer)?;
        let said = progress::take_notices().into_iter();
        notices.extend(said.map(|text| format!("seed {seed}: {text}")));
        match progress {
            Progress::Done(repetition) => repetitions.push(repetition),
            Progress::Stopped => {
                drop(renderer);
                say(&notices);
                eprintln!(
                    "stopped; go on with: burn-distill run {} --resume --out {}",
                    args.recipe.display(),
                    folder.path().display()
                );
                return Ok(false);
            }
        }
    }
    // Before the table: the dashboard would take it along when it closes.
    drop(renderer);
    say(&notices);

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
    println!("{}", result.table());
    eprintln!("written to {}", file.display());
    Ok(true)
}

fn say(notices: &[String]) {
    for notice in notices {
        eprintln!("{notice}");
    }
}

fn load_data(recipe: &Recipe, args: &RunArgs) -> Result<Data> {
    let source = match &args.data_dir {
        Some(folder) => DataSource::default().data_dir(folder),
        None => DataSource::default(),
    };
    Data::load(&recipe.data, &source)
}
