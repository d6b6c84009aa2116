//! Models in an exported folder or of a finished run.

use super::data::Data;
use super::finished::FinishedRun;
use super::provenance::{DataOrigin, Provenance};
use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::interchange::{
    DESCRIPTION_FILE, Model, ModelDescription, TensorKeys, load, load_into,
};
use burn_distill_recipe::{DataRecipe, ModelRecipe, Registry, SourceRecipe, Task};
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
    if description.weights.keys == TensorKeys::Original {
        return Ok(load(folder, device)?);
    }
    // By the registry, which may have networks of a program.
    let file = || folder.join(DESCRIPTION_FILE).display().to_string();
    let model = model_of(&description).with_context(file)?;
    let task = Task {
        input: description.input.clone(),
        classes: description.classes.len(),
    };
    if let Some(plan) = registry.network(&model)?.plan(&task).with_context(file)? {
        description.check_size(folder, plan.parameters())?;
    }
    let network = registry
        .build(&model, &task, 0_u64, &Device::flex())
        .with_context(file)?;
    let (network, description) = load_into(network, folder)?;
    Ok(Model::new(network.to_device(device), description, device))
}

/// Loads the data that the model in a folder was trained on, split as for its training: the data of
/// the recipe of a run, or the data set that the description of an exported model names.
///
/// # Errors
///
/// Returns an error that asks for the data if an exported model does not name it, or if it is not a
/// data set of the registry, or an error if the data cannot be loaded.
pub fn data_of(folder: &Path, model: &ModelDescription, registry: &Registry) -> Result<Data> {
    if !folder.join(DESCRIPTION_FILE).exists() {
        let run = FinishedRun::open(folder, registry)?;
        return Data::load_for(model, &run.recipe().data, registry);
    }
    let Some(DataOrigin {
        name, key, split, ..
    }) = origin_of(model)
    else {
        bail!("the model does not name its data: give the data by --data");
    };
    // A data set of the registry may have the name of own data.
    ensure!(
        key == SourceRecipe::NAME,
        "the model was trained on own data, {name}, and an exported model does not say where it is: give \
         a recipe with it as `data.{key}` by --data recipe.toml"
    );
    ensure!(
        registry.datasets().any(|entry| entry.name == name),
        "the data of the model, {name}, is not a data set of this program: give a recipe with its \
         `[data]` by --data recipe.toml"
    );
    let mut table = toml::Table::try_from(&split)?;
    table.insert(SourceRecipe::NAME.into(), name.into());
    let recipe: DataRecipe = table.try_into()?;
    Data::load_for(model, &recipe, registry)
}

/// Returns the network of a model, as in a recipe.
fn model_of(description: &ModelDescription) -> Result<ModelRecipe> {
    let architecture = &description.architecture;
    Ok(ModelRecipe {
        name: architecture.name.clone(),
        options: serde_json::from_value(Value::Object(architecture.options.clone()))?,
    })
}

/// Returns the origin of the weights in a file of an exported model, which its description records,
/// if the file is one.
pub(super) fn exported_origin(weights: &Path) -> Option<Provenance> {
    let description = ModelDescription::read(weights.parent()?).ok()?;
    if weights.file_name()? != description.weights.file.as_str() {
        return None;
    }
    let model = model_of(&description).ok()?.to_string();
    let data = origin_of(&description)?;
    Some(Provenance::of_model(&description, model, data))
}

/// Returns the training data that a model records, if it records any.
pub(super) fn origin_of(model: &ModelDescription) -> Option<DataOrigin> {
    serde_json::from_value(model.data.clone()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::provenance::tests::origin;
    use super::*;
    use burn_distill::architecture::MlpConfig;
    use burn_distill::interchange::ArchitectureDescription;
    use burn_distill_recipe::InputShape;
    use std::fs;

    /// Returns the data of an exported model that records this origin.
    fn data(origin: &DataOrigin) -> Result<Data> {
        let network = MlpConfig::new(vec![2], [1, 8, 8], 10).init(&Device::flex());
        let architecture = ArchitectureDescription {
            name: "mlp-2".into(),
            options: serde_json::Map::new(),
        };
        let input = InputShape::Image([1, 8, 8]);
        let classes = (0..10).map(|class| class.to_string()).collect();
        let mut model = ModelDescription::new(&network, architecture, input, classes, None);
        model.data = Some(serde_json::to_value(origin).unwrap());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(DESCRIPTION_FILE), "").unwrap();
        data_of(folder.path(), &model, &Registry::standard())
    }

    #[test]
    fn own_data_is_not_that_of_the_registry_with_its_name() {
        let mut origin = origin().data;
        origin.name = "digits".into();
        assert_eq!(data(&origin).unwrap().name(), "digits");

        origin.key = "folder".into();
        assert_eq!(
            data(&origin).err().unwrap().to_string(),
            "the model was trained on own data, digits, and an exported model does not say where it is: \
             give a recipe with it as `data.folder` by --data recipe.toml"
        );
    }
}
