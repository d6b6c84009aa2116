//! Finished runs, as commands other than `run` read them.

use super::data::Data;
use super::phase::{RECORD, Record, WEIGHTS};
use super::provenance::Provenance;
use super::reading::describe_files;
use super::role::Role;
use super::weights;
use anyhow::{Context, Result, bail, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::WeightsFile;
use burn_distill::interchange::{ArchitectureDescription, Model, ModelDescription};
use burn_distill_recipe::{ModelRecipe, Recipe, Registry, Task};
use serde_json::{Map, Value};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// File of the stages of a training, in its folder.
const JOURNAL: &str = "curriculum.json";

/// A run that has a result.
pub struct FinishedRun {
    path: PathBuf,
    recipe: Recipe,
    /// Text of the recipe, with its defaults and changes.
    text: String,
    /// Contents of `result.json`.
    result: Value,
}

impl FinishedRun {
    /// Opens the folder of a run.
    ///
    /// # Errors
    ///
    /// Returns an error that says what to do if the folder holds no run, or if the run is not
    /// finished, has diverged or is damaged.
    pub fn open(path: impl AsRef<Path>, registry: &Registry) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display();
        let Some(text) = read(&path.join("recipe.toml"))? else {
            bail!(
                "{shown}: no run, since there is no `recipe.toml`: name the folder of a run, such as \
                 runs/quickstart"
            );
        };
        let table = text
            .parse::<toml::Table>()
            .with_context(|| format!("{shown}/recipe.toml"))?;
        let recipe =
            Recipe::from_table(table, registry).with_context(|| format!("{shown}/recipe.toml"))?;
        let file = path.join("result.json");
        let Some(result) = read(&file)? else {
            bail!(
                "{shown}: the run is not finished, since there is no `result.json`: continue it with \
                 --resume"
            );
        };
        let result: Value = serde_json::from_str(&result).with_context(|| {
            format!(
                "{}: the file is damaged: continue the run with --resume to write it again",
                file.display()
            )
        })?;
        match result["status"].as_str() {
            Some("complete") => {}
            Some("diverged") => bail!(
                "{shown}: the run has diverged, so that it has no student: {}",
                result["message"].as_str().unwrap_or("see result.json")
            ),
            status => bail!(
                "{}: the status should be `complete`, but is {}: continue the run with --resume",
                file.display(),
                status.map_or("missing".into(), |status| format!("`{status}`"))
            ),
        }
        Ok(Self {
            path: path.to_path_buf(),
            recipe,
            text,
            result,
        })
    }

    /// Returns the recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Returns the text of the recipe, with its defaults and changes.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the contents of `result.json`.
    pub(super) fn result(&self) -> &Value {
        &self.result
    }

    /// Returns the seed of a student: the given one, or the first of the run.
    ///
    /// # Errors
    ///
    /// Returns an error with the seeds of the run if the given one is not one of them.
    pub fn seed(&self, given: Option<u64>) -> Result<u64> {
        let seeds = self.result["seeds"].as_array();
        let seeds: Vec<u64> = seeds
            .into_iter()
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        let shown = self.path.display();
        match given {
            Some(seed) if seeds.contains(&seed) => Ok(seed),
            Some(seed) => bail!("{shown}: the run has no seed {seed}: give one of {seeds:?}"),
            None => seeds
                .first()
                .copied()
                .with_context(|| format!("{shown}/result.json: the file names no seeds")),
        }
    }

    /// Loads the distilled student of a seed, without adapters and teacher.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if its weights are missing or damaged, or if a loss or
    /// the strategy has added layers to the student.
    pub fn student(&self, seed: u64, device: &Device) -> Result<Model> {
        let folder = self
            .path
            .join(format!("seed-{seed}"))
            .join(Role::Distilled.name());
        let record = Record::read(&folder.join(RECORD))?;
        // A training in stages has records of its stages, and its weights after all of them.
        ensure!(
            record.finished || folder.join(JOURNAL).is_file(),
            "{}: the training is not finished: continue the run with --resume",
            folder.display()
        );
        record.check(&folder, vec![WEIGHTS.into()])?;
        let file = folder.join(WEIGHTS);
        let origin = Provenance::of(&WeightsFile::read(&file)?).with_context(|| {
            format!(
                "{}: the file has no record of its classes and inputs: an earlier version of this \
                 program has written it; run the recipe again",
                file.display()
            )
        })?;

        let model = &self.recipe.student.model;
        let task = Task {
            input: origin.input.clone(),
            classes: origin.classes.len(),
        };
        let registry = &self.recipe.registry;
        let network = registry.build(model, &task, 0_u64, &Device::flex())?;
        let network = weights::load(network, &model.to_string(), &file).with_context(|| {
            format!(
                "{}: the distilled student is not a plain {model}, to which its loss or its strategy \
                 has added layers, and only a plain network can be exported",
                self.path.display()
            )
        })?;
        let network = network.valid().to_device(device);
        let mut description = ModelDescription::new(
            &network,
            architecture(model)?,
            origin.input.clone(),
            origin.classes.clone(),
            origin.normalization.clone(),
        );
        describe_files(&mut description, &origin, &self.recipe.data.source)?;
        description.data = Some(serde_json::to_value(&origin.data)?);
        Ok(Model::new(network, description, device))
    }

    /// Loads the data of the run, split as in the run.
    ///
    /// # Errors
    ///
    /// Returns an error if the data cannot be loaded.
    pub fn data(&self) -> Result<Data> {
        Data::load(&self.recipe.data, &self.recipe.registry)
    }
}

fn architecture(model: &ModelRecipe) -> Result<ArchitectureDescription> {
    let options = match serde_json::to_value(&model.options)? {
        Value::Object(options) => options,
        _ => Map::new(),
    };
    let name = model.name.clone();
    Ok(ArchitectureDescription { name, options })
}

/// Returns the text of a file, if it exists.
fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("{}", path.display())),
    }
}
