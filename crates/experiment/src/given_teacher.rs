//! Teachers whose weights are given in a file.

use super::data::Data;
use super::weights;
use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use burn_distill::core::{DynNetwork, Seed};
use burn_distill::interchange::{
    Checkpoint, CheckpointFormat, ClassMap, KeyMap, Mapping, SelectedClasses, pytorch_layout,
};
use burn_distill_recipe::{AnyNetwork, ModelRecipe, Registry, Task, TeacherRecipe};
use std::path::Path;

/// Teacher with given weights.
pub struct GivenTeacher {
    /// Network, with a logit for each class of the data.
    pub network: AnyNetwork,
    /// Remarks on the file, which the user should know.
    pub remarks: Vec<String>,
}

impl GivenTeacher {
    /// Builds a teacher and loads its weights, from a file of any format.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if it cannot be read or does not fit, or the key if its
    /// classes are not those of the data.
    pub fn load(
        registry: &Registry,
        model: &ModelRecipe,
        recipe: &TeacherRecipe,
        path: &Path,
        data: &Data,
        device: &Device,
    ) -> Result<Self> {
        let map = match &recipe.classes {
            Some(_) => {
                let map = ClassMap::by_name(&classes_of(recipe, data)?, data.classes());
                Some(map.context("classes")?).filter(|map| !map.is_identity())
            }
            None => None,
        };
        let classes = map.as_ref().map(ClassMap::network_classes);
        let task = Task {
            classes: classes.unwrap_or(data.classes().len()),
            ..data.task()
        };
        // All weights are replaced.
        let network = registry.build(model, &task, Seed::new(0), device)?;
        let (network, remarks) = with_weights(registry, network, model, recipe, path, &task)?;
        let network = match map {
            Some(map) => DynNetwork::new(SelectedClasses::new(network, map)),
            None => network,
        };
        Ok(Self { network, remarks })
    }
}

/// Returns the names of the classes of the weights of a teacher.
///
/// # Errors
///
/// Returns an error if they are in a file that cannot be read.
pub fn classes_of(recipe: &TeacherRecipe, data: &Data) -> Result<Vec<String>> {
    match &recipe.classes {
        Some(names) => Ok(names.names().context("classes")?.into_owned()),
        None => Ok(data.classes().to_vec()),
    }
}

fn with_weights(
    registry: &Registry,
    network: AnyNetwork,
    model: &ModelRecipe,
    recipe: &TeacherRecipe,
    path: &Path,
    task: &Task,
) -> Result<(AnyNetwork, Vec<String>)> {
    let name = model.to_string();
    if recipe.keys.is_empty() && CheckpointFormat::of_file(path)? == CheckpointFormat::Burnpack {
        return Ok((weights::load(network, &name, path)?, Vec::new()));
    }
    let checkpoint = Checkpoint::open(path)?;
    let keys = KeyMap::new(&recipe.keys).context("keys")?;
    // The names of the original come first: of two layouts that fit alike, the first is used.
    let original = registry.network(model)?.checkpoint(task)?;
    let layouts: Vec<_> = original
        .into_iter()
        .chain([pytorch_layout(&network)])
        .collect();
    let mapping = Mapping::new(&checkpoint, &layouts, &keys);
    ensure!(
        mapping.is_complete(),
        "{}: does not hold the weights of a {name} for {} classes: {mapping}\n{}",
        path.display(),
        task.classes,
        remedy(&mapping, task, path)
    );
    let weights = mapping.read(&checkpoint)?;
    let network = weights::fill(network, &name, weights);
    let network = network.with_context(|| path.display().to_string())?;
    Ok((network, remarks(&mapping)))
}

fn remedy(mapping: &Mapping, task: &Task, path: &Path) -> String {
    match mapping.other_classes(task.classes) {
        Some(found) => format!(
            "its last layer is for {found} classes, not for {}: give the names of its classes in \
             their order as `classes`, beside `weights`, or weights for the classes of the data",
            task.classes
        ),
        None => format!(
            "`burn-distill inspect {}` lists its tensors and the networks that they fit; `keys`, beside \
             `weights`, changes their names",
            path.display()
        ),
    }
}

fn remarks(mapping: &Mapping) -> Vec<String> {
    let outside = mapping.outside.iter();
    let outside: Vec<_> = outside
        .map(|(name, count)| format!("`{name}` ({count})"))
        .collect();
    match outside.is_empty() {
        true => Vec::new(),
        false => vec![format!(
            "of this file, the tensors under `{}` are used, and others are not: {}",
            mapping.part,
            outside.join(", ")
        )],
    }
}
