//! Data without labels: its classes are those of a given teacher, and nothing may need labels.

use super::fault::Place;
use super::naming::loss_place;
use super::{ClassNames, Recipe, TeacherRecipe};
use crate::registry::DatasetSpec;
use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use burn_distill::core::WeightsFile;
use burn_distill::data::ClassList;
use burn_distill::interchange::{Checkpoint, CheckpointFormat, KeyMap, Mapping, pytorch_layout};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Reason of the errors about data without labels.
const NO_LABELS: &str = "the data has no labels (`data.labels` is false)";

/// Record of a file of weights about the network in it, as far as data without labels needs it.
#[derive(Default, Deserialize)]
struct Origin {
    classes: Vec<String>,
    #[serde(default)]
    normalization: Option<serde_json::Value>,
    #[serde(default)]
    preprocessing: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Gives data without labels the classes of the teacher and, for images, their preparation, as far
/// as the recipe does not.
///
/// # Errors
///
/// Returns an error that names the key if no teacher is given that could teach without labels, or if
/// its classes are not known.
pub fn resolve(recipe: &mut Recipe) -> Result<()> {
    if recipe.data.source.has_labels() {
        return Ok(());
    }
    check_teachers(recipe)?;
    let teachers = recipe.teachers();
    let origin = origin_of(&teachers[0])?;
    let names = names_of(&teachers[0], origin.as_ref())?;
    let source = &recipe.data.source;
    let mut values = Table::new();
    match (source.classes(), names) {
        (None, None) => {
            let Some(count) = classes_of_last_layer(recipe, &teachers[0])? else {
                bail!(
                    "`data.classes` is missing: {NO_LABELS}, and the file of the teacher does not \
                     name its classes: give their names or their number, or the names as {}",
                    match teachers[0].onnx {
                        Some(_) => "`teacher.onnx.classes`",
                        None => "`teacher.classes`",
                    }
                );
            };
            values.insert("classes".into(), Value::try_from(count)?);
        }
        (Some(ClassList::Count(count)), Some(names)) if *count != names.len() => bail!(
            "`data.classes` is {count}, but the teacher has {} classes: leave it out",
            names.len()
        ),
        (Some(ClassList::Names(_)), _) | (Some(ClassList::Count(_)), None) => {}
        (_, Some(names)) => {
            values.insert("classes".into(), Value::try_from(names)?);
        }
    }
    for (key, value) in origin.map(preparation).unwrap_or_default() {
        if source.takes_but_lacks(&key) {
            values.insert(key, value);
        }
    }
    let source = source.clone().with_options(values).at("data")?;
    recipe.data.source = source;
    Ok(())
}

/// Checks that nothing in a recipe with data without labels needs labels.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn check(recipe: &Recipe) -> Result<()> {
    if recipe.data.source.has_labels() {
        return Ok(());
    }
    check_teachers(recipe)?;
    let of_labels = [
        ("labels_per_class", recipe.data.labels_per_class.is_some()),
        ("without_class", recipe.data.without_class.is_some()),
    ];
    for (key, given) in of_labels {
        ensure!(
            !given,
            "`data.{key}` selects samples by their labels, but {NO_LABELS}: leave it out"
        );
    }
    let kinds = recipe.registry.losses();
    for (index, table) in recipe.losses.iter().enumerate() {
        kinds.check_without_labels(table).at(&loss_place(index))?;
    }
    for (stage, index, table) in recipe.losses_of_stages() {
        let place = format!("stage.{stage}.{}", loss_place(index));
        kinds.check_without_labels(table).at(&place)?;
    }
    Ok(())
}

/// Checks that every teacher is given, since none can be trained.
fn check_teachers(recipe: &Recipe) -> Result<()> {
    ensure!(
        recipe.strategy.has_teacher(),
        "{NO_LABELS}, so that the student can only learn from a given teacher, but the strategy {} \
         needs labels: leave out [strategy], and give a [teacher] with `weights` or `onnx`",
        recipe.strategy.quoted()
    );
    ensure!(
        recipe.teacher.is_some(),
        "`teacher` is missing: {NO_LABELS}, so that the student can only learn from a given teacher: \
         give a [teacher] with `weights`, the file of a trained network, or with `onnx`"
    );
    for (index, teacher) in recipe.teachers().iter().enumerate() {
        let place = TeacherRecipe::place(index);
        ensure!(
            teacher.weights.is_some() || teacher.onnx.is_some(),
            "`{place}.weights` is missing: {NO_LABELS}, so that no teacher can be trained on it: give \
             the file of a trained network as `weights` or `onnx`"
        );
    }
    Ok(())
}

/// Returns the names of the classes of a teacher, if they are known.
fn names_of(teacher: &TeacherRecipe, origin: Option<&Origin>) -> Result<Option<Vec<String>>> {
    let given = match &teacher.onnx {
        Some(onnx) => onnx.options.get("classes").map(|names| {
            let names: Result<ClassNames, _> = names.clone().try_into();
            names.context("`teacher.onnx.classes`")
        }),
        None => teacher.classes.clone().map(Ok),
    };
    match given.transpose()? {
        Some(names) => {
            let names = names.names().context("the classes of the teacher")?;
            Ok(Some(names.into_owned()))
        }
        None => Ok(origin.map(|origin| origin.classes.clone())),
    }
}

/// Returns the record of the file of weights of a teacher, if it has one.
fn origin_of(teacher: &TeacherRecipe) -> Result<Option<Origin>> {
    let Some(path) = &teacher.weights else {
        return Ok(None);
    };
    check_file("teacher.weights", path)?;
    let read = || -> Result<Option<Origin>> {
        if CheckpointFormat::of_file(path)? != CheckpointFormat::Burnpack {
            return Ok(None);
        }
        let file = WeightsFile::read(path)?;
        let record = file.metadata("provenance");
        Ok(record.and_then(|record| serde_json::from_str(record).ok()))
    };
    read().context("`teacher.weights`")
}

/// Returns the number of classes of the last layer of a teacher, if the data can be read without its
/// classes and the weights fit in all other layers.
fn classes_of_last_layer(recipe: &Recipe, teacher: &TeacherRecipe) -> Result<Option<usize>> {
    let (Some(model), Some(path)) = (&teacher.model, &teacher.weights) else {
        return Ok(None);
    };
    // Any number: inputs do not depend on it. The data is read once more with the classes.
    let mut data = recipe.data.clone();
    let any = Table::from_iter([("classes".to_string(), Value::Integer(2))]);
    data.source = data.source.with_options(any).at("data")?;
    // Such as labeled test images, which need the names of the classes.
    let Ok(DatasetSpec { task, .. }) = data.spec(&recipe.registry) else {
        return Ok(None);
    };
    let registry = &recipe.registry;
    let network = registry.build(model, &task, 0_u64, &Device::flex());
    let network = network.at("teacher.model")?;
    let read = || -> Result<Option<usize>> {
        let checkpoint = Checkpoint::open(path)?;
        let keys = KeyMap::new(&teacher.keys)?;
        let original = registry.network(model)?.checkpoint(&task)?;
        let layouts: Vec<_> = original
            .into_iter()
            .chain([pytorch_layout(&network)])
            .collect();
        let mapping = Mapping::new(&checkpoint, &layouts, &keys);
        Ok(match mapping.is_complete() {
            true => Some(task.classes),
            false => mapping.other_classes(task.classes),
        })
    };
    read().context("`teacher.weights`")
}

/// Returns the options of images that prepare them as for the teacher.
fn preparation(origin: Origin) -> Vec<(String, Value)> {
    let normalization = origin
        .normalization
        .map(|value| ("normalization".into(), value));
    let preprocessing = origin.preprocessing.into_iter().flatten();
    let values = normalization.into_iter().chain(preprocessing);
    values
        .filter_map(|(key, value)| Some((key, Value::try_from(value).ok()?)))
        .collect()
}

/// Checks that the file of a key exists.
///
/// # Errors
///
/// Returns an error that names the key and the file if there is no such file.
pub fn check_file(key: &str, file: &Path) -> Result<()> {
    let shown = file.display();
    ensure!(
        file.exists(),
        "`{key}`: the file {shown} is not found. A path in a recipe is relative to its folder, a \
         path of --set to the current one"
    );
    ensure!(
        file.is_file(),
        "`{key}` should be a file, but {shown} is {}",
        match file.is_dir() {
            true => match model_in(file) {
                Some(model) => format!("a folder: give the file in it, {}", model.display()),
                None => "a folder".into(),
            },
            false => "not a regular file".into(),
        }
    );
    Ok(())
}

/// Returns the file of weights in the folder of an exported model or of a training, if it is one.
fn model_in(folder: &Path) -> Option<PathBuf> {
    let names = ["model.bpk", "model.safetensors", "model.onnx"].into_iter();
    names
        .map(|name| folder.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests;
