//! Models in an exported folder or of a finished run.

use super::data::Data;
use super::finished::FinishedRun;
use super::provenance::DataOrigin;
use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::interchange::{DESCRIPTION_FILE, Keys, Model, ModelDescription, load, load_into};
use burn_distill_recipe::{DataRecipe, ModelRecipe, Registry, Task};
use serde_json::Value;
use std::path::Path;

/// Loads the model in a folder: an exported model, or the distilled student of a finished run, of
/// the given seed or of its first one.
///
/// # Errors
///
/// Returns an error that says what to do if the folder holds neither, or if a file of it is damaged.
pub fn open_model(
    folder: &Path,
    seed: Option<u64>,
    registry: &Registry,
    device: &Device,
) -> Result<Model> {
    if folder.join(DESCRIPTION_FILE).exists() {
        ensure!(
            seed.is_none(),
            "{}: an exported model is of one seed: leave out --seed",
            folder.display()
        );
        return open_exported(folder, registry, device);
    }
    ensure!(
        folder.join("recipe.toml").exists(),
        "{}: neither an exported model nor a run, since there is no `{DESCRIPTION_FILE}` and no \
         `recipe.toml`: name the folder of one of these",
        folder.display()
    );
    let run = FinishedRun::open(folder, registry)?;
    run.student(run.seed(seed)?, device)
}

fn open_exported(folder: &Path, registry: &Registry, device: &Device) -> Result<Model> {
    let description = ModelDescription::read(folder)?;
    if description.weights.keys == Keys::Original {
        return Ok(load(folder, device)?);
    }
    // By the registry, which may have networks of a program.
    let architecture = &description.architecture;
    let options = serde_json::from_value(Value::Object(architecture.options.clone()));
    let file = || folder.join(DESCRIPTION_FILE).display().to_string();
    let model = ModelRecipe {
        name: architecture.name.clone(),
        options: options.with_context(file)?,
    };
    let task = Task {
        input: description.input.clone(),
        classes: description.classes.len(),
    };
    let network = registry
        .build(&model, &task, 0_u64, &Device::flex())
        .with_context(file)?;
    let (network, description) = load_into(network, folder)?;
    Ok(Model::new(network.to_device(device), description, device))
}

/// Loads the data that a model was trained on, split as for its training.
///
/// # Errors
///
/// Returns an error that asks for the data if the model does not name it or if it is not a data set
/// of the registry, or an error if the data cannot be loaded.
pub fn data_of(model: &ModelDescription, registry: &Registry) -> Result<Data> {
    let Some(DataOrigin { name, split, .. }) = origin_of(model) else {
        bail!("the model does not name its data: give the data by --data");
    };
    if !registry.datasets().any(|entry| entry.name == name) {
        bail!(
            "the data of the model, {name}, is not a data set of this program: give a recipe with its \
             `[data]` by --data recipe.toml"
        );
    }
    let mut table = toml::Table::try_from(&split)?;
    table.insert("name".into(), name.into());
    let recipe: DataRecipe = table.try_into()?;
    Data::load(&recipe, registry)
}

/// Returns the training data that a model records, if it records any.
pub(super) fn origin_of(model: &ModelDescription) -> Option<DataOrigin> {
    serde_json::from_value(model.data.clone()?).ok()
}
