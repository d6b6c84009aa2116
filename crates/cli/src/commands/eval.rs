use crate::args::EvalArgs;
use crate::output::{self, note};
use crate::{device, table};
use anyhow::{Context, Result, ensure};
use burn_distill::architecture::QuantizationConfig;
use burn_distill::core::{AnyNetwork, Network};
use burn_distill::data::DataSource;
use burn_distill::interchange::{Model, ModelDescription};
use burn_distill_experiment::{Data, Evaluation, Part, check_data, data_of, open_model};
use burn_distill_recipe::text::grouped;
use burn_distill_recipe::{DataRecipe, Registry, parse_data};
use std::path::Path;
use toml::Table;

/// Largest number of classes in the table without `--wide`.
const CLASSES: usize = 20;

/// Evaluates a model on the test samples of its data, or of other data.
pub fn eval(args: &EvalArgs, registry: Registry) -> Result<()> {
    let registry = match &args.data_dir {
        Some(folder) => registry.with_data_source(DataSource::default().data_dir(folder)),
        None => registry,
    };
    let device = device::select(&args.device)?;
    let model = open_model(&args.model, args.seed, &registry, &device)?;
    let data = match &args.data {
        Some(name) => load(name, &model.description, &registry)?,
        None => data_of(&args.model, &model.description, &registry)
            .with_context(|| args.model.display().to_string())?,
    };
    let part = match args.all {
        true => Part::All,
        false => Part::Test,
    };
    let warning = check_data(&model.description, &data, part)
        .with_context(|| args.model.display().to_string())?;
    if let Some(warning) = warning {
        note(format_args!("warning: {warning}"));
    }
    let model = match args.bits {
        Some(bits) => rounded(model, bits).context("--bits")?,
        None => model,
    };
    let evaluation = Evaluation::of(&model, &data, part, &device)?;
    if args.json {
        return output::print(serde_json::to_string_pretty(&evaluation)?);
    }
    output::print(text(&evaluation, part, args.wide))
}

/// Returns a model whose weights are rounded to a number of bits, on the grid of a quantized training.
fn rounded(mut model: Model, bits: usize) -> Result<Model> {
    let config = QuantizationConfig::new().with_bits(bits);
    model.network = AnyNetwork::new(config.try_init(model.network)?.deployed());
    Ok(model)
}

/// Loads the data of that name, or the data of a recipe, for a model.
fn load(name: &str, model: &ModelDescription, registry: &Registry) -> Result<Data> {
    let path = Path::new(name);
    if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        return Data::load_for(model, &parse_data(path, registry)?, registry);
    }
    let known = registry.dataset_name(name).context("--data");
    ensure!(
        known.is_ok() || !path.exists(),
        "--data: {name} is neither a data set nor a recipe: write a file recipe.toml whose `[data]` has \
         this path as `folder`, `csv`, `arrays` or `bytes`, and give it by --data recipe.toml"
    );
    let name = known?;
    let table: Table = [("name".to_string(), name.into())].into_iter().collect();
    let recipe: DataRecipe = table.try_into()?;
    Data::load_for(model, &recipe, registry)
}

fn text(evaluation: &Evaluation, part: Part, wide: bool) -> String {
    let shown = match wide {
        true => evaluation.classes.len(),
        false => CLASSES,
    };
    let rows = evaluation.classes.iter().take(shown).map(|class| {
        let recall = class.recall.map(|recall| format!("{:.2}", 100.0 * recall));
        [
            class.class.clone(),
            grouped(class.samples),
            recall.unwrap_or("–".into()),
        ]
    });
    let classes = table::of_text(
        ["class", "samples", "recall %"],
        rows,
        table::width_of_output(wide),
    );
    let hidden = evaluation.classes.len().saturating_sub(shown);
    let hidden = match hidden {
        0 => String::new(),
        count => format!("\n{count} classes are left out: --wide shows them."),
    };
    let top = evaluation.top_5_accuracy.map_or(String::new(), |top| {
        format!("accuracy in the top 5     {:>8.2} %\n", 100.0 * top)
    });
    format!(
        "{} of {}\n\
         accuracy                  {:>8.2} %\n{top}\
         negative log-likelihood   {:>8.4}\n\
         calibration error         {:>8.2} %\n\n\
         {classes}{hidden}",
        match part {
            Part::Test => format!("{} test samples", grouped(evaluation.samples)),
            Part::Validation => format!("{} validation samples", grouped(evaluation.samples)),
            Part::All => format!("all {} labeled samples", grouped(evaluation.samples)),
        },
        evaluation.data,
        100.0 * evaluation.accuracy,
        evaluation.negative_log_likelihood,
        100.0 * evaluation.calibration_error,
    )
}
