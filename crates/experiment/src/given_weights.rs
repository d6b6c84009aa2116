//! Weights of teachers that a recipe names, from an earlier run or another program.

use super::data::Data;
use super::given_teacher::{GivenTeacher, classes_of};
use super::opened::exported_origin;
use super::provenance::Provenance;
use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use burn_distill::core::WeightsFile;
use burn_distill::interchange::CheckpointFormat;
use burn_distill_recipe::{ModelRecipe, Recipe, Registry, TeacherRecipe};
use std::path::Path;

/// Checks the weights of all teachers that are not trained, and returns warnings.
///
/// This is a part of [`check`](super::check()), without which no experiment is run.
///
/// # Errors
///
/// Returns an error that names the key and the file if weights cannot be read, if they are of
/// another network, for other inputs or classes, or if they were trained on test samples of this
/// run.
pub fn check_given_weights(recipe: &Recipe, data: &Data) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (index, teacher) in recipe.teachers().iter().enumerate() {
        if let (Some(model), Some(path)) = (&teacher.model, &teacher.weights) {
            let place = format!("{}.weights", TeacherRecipe::place(index));
            let all = check(&recipe.registry, model, teacher, path, data)
                .with_context(|| place.clone())?;
            let all = all.into_iter();
            warnings.extend(all.map(|warning| format!("{place}: {}: {warning}", path.display())));
        }
    }
    Ok(warnings)
}

fn check(
    registry: &Registry,
    model: &ModelRecipe,
    recipe: &TeacherRecipe,
    path: &Path,
    data: &Data,
) -> Result<Vec<String>> {
    let origin = match CheckpointFormat::of_file(path)? {
        CheckpointFormat::Burnpack => Provenance::of(&WeightsFile::read(path)?),
        _ => None,
    };
    let origin = origin.or_else(|| exported_origin(path));
    let teacher = GivenTeacher::load(registry, model, recipe, path, data, &Device::flex());
    let mut warnings = Vec::new();
    match origin {
        Some(origin) => {
            check_known_classes(&origin, recipe, data)?;
            let warning = check_origin(&origin, model, classes_of(recipe, data)?, data);
            warnings.extend(warning.with_context(|| format!("{}", path.display()))?);
        }
        None => warnings.push(format!(
            "the file has no record of the origin of its weights: they are assumed to be those of a \
             {model} for the inputs and classes of this recipe, trained on none of its test samples"
        )),
    }
    warnings.extend(teacher?.remarks);
    Ok(warnings)
}

/// Checks that a teacher that was trained on some classes only is used for the same classes.
fn check_known_classes(origin: &Provenance, recipe: &TeacherRecipe, data: &Data) -> Result<()> {
    let Some(trained_on) = &origin.only_classes else {
        return Ok(());
    };
    let names: Vec<_> = trained_on
        .iter()
        .filter_map(|&class| origin.classes.get(class))
        .map(|name| format!("`{name}`"))
        .collect();
    ensure!(
        recipe.known_classes(data.classes())?.as_ref() == Some(trained_on),
        "these weights were trained on the classes {} only: give the same `only_classes`, or other \
         weights",
        names.join(", ")
    );
    Ok(())
}

fn check_origin(
    origin: &Provenance,
    model: impl ToString,
    classes: Vec<String>,
    data: &Data,
) -> Result<Option<String>> {
    origin.check(&Provenance {
        classes,
        ..data.provenance(model, "teacher", 0)
    })?;
    let name = &origin.data.name;
    let Some(seen) = data.test_samples_seen(&origin.data) else {
        let data = match name == data.name() {
            true => format!("data of the same name, {name}, with other contents"),
            false => format!("other data, {name}"),
        };
        return Ok(Some(format!(
            "these weights were trained on {data} (SHA-256 {}): test samples of this run may be among \
             their training samples",
            origin.data.sha256
        )));
    };
    let split = &origin.data.split;
    ensure!(
        seen == 0,
        "these weights were trained on {seen} of the test samples of this run, so that every metric \
         would be too good: split the data as they were trained with it (`data.split_seed = {}`, \
         `data.test = {:?}`, `data.validation = {:?}`), or leave the weights out and the teacher is \
         trained here",
        split.split_seed,
        split.test,
        split.validation
    );
    Ok(None)
}
