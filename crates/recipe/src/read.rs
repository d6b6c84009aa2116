use super::check::{check, check_untrained};
use super::fault::Fault;
use super::numbers::check_finite;
use super::recipe::RecipeFile;
use super::strategy::StrategyRecipe;
use super::typed::{check_no_list_for_a_table, typed_by};
use super::{Recipe, names, overrides, paths, renamed, strategy, unlabeled};
use crate::data::DataRecipe;
use crate::registry::Registry;
use crate::text::tidy;
use anyhow::{Context, Result, anyhow, ensure};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// The size of the largest recipe, in bytes.
const LARGEST: u64 = 1 << 20;

/// Place of an error that appears only with the changes of the command line.
const AFTER: &str = "after the changes of --set";

/// Reads a recipe, applies the changes of the command line, and checks it, also with losses between
/// untrained networks.
///
/// Paths in a recipe are relative to the folder of its file, those of changes to the current
/// folder. Names are looked up in the registry.
///
/// # Errors
///
/// Returns an error that names the file, the line if it is known, and the key.
pub fn read(path: &Path, overridden: &[String], registry: &Registry) -> Result<Recipe> {
    let recipe = parse(path, overridden, registry)?;
    check_untrained(&recipe)
        .map_err(tidied)
        .with_context(|| place(path, overridden))?;
    Ok(recipe)
}

/// Returns the place of an error that may be in the file of a recipe or in one of its changes.
fn place(path: &Path, overridden: &[String]) -> String {
    match overridden {
        [] => path.display().to_string(),
        _ => format!("{}, {AFTER}", path.display()),
    }
}

/// Reads a recipe like [`read`], but builds no losses: a run checks those once, with its data.
///
/// # Errors
///
/// Returns an error that names the file, the line if it is known, and the key.
pub fn parse(path: &Path, overridden: &[String], registry: &Registry) -> Result<Recipe> {
    let file = path.display();
    let text = text_of(path).with_context(|| file.to_string())?;
    // Before any change, so that an error in the file is not taken for one of a change.
    let original = table_of(&text).and_then(|mut table| {
        renamed::rename_keys(&mut table);
        strategy::refuse_tables(&table)?;
        paths::make_absolute(&mut table, path.parent().unwrap_or(Path::new("")));
        let recipe = recipe_of_table(&table, registry).map_err(|fault| in_line(fault, &text))?;
        Ok((table, recipe))
    });
    let (table, mut recipe) = original.map_err(tidied).with_context(|| file.to_string())?;
    if !overridden.is_empty() {
        recipe = changed(table, overridden, registry)?;
    }

    unlabeled::resolve(&mut recipe)
        .and_then(|()| strategy::check_numbers(&recipe))
        .and_then(|()| strategy::write_out_terms(&mut recipe))
        .and_then(|()| check(&recipe))
        .map_err(tidied)
        .with_context(|| place(path, overridden))?;
    Ok(recipe)
}

/// Reads the data of a recipe, of which the rest may be missing.
///
/// # Errors
///
/// Returns an error that names the file, the line if it is known, and the key.
pub fn parse_data(path: &Path, registry: &Registry) -> Result<DataRecipe> {
    let file = path.display();
    let text = text_of(path).with_context(|| file.to_string())?;
    let mut table = table_of(&text).with_context(|| file.to_string())?;
    if table.keys().any(|key| key != "data") {
        return Ok(parse(path, &[], registry)?.data);
    }
    paths::make_absolute(&mut table, path.parent().unwrap_or(Path::new("")));
    let data = match table.remove("data") {
        Some(Value::Table(data)) => DataRecipe::read(data).map_err(|fault| fault.under("data")),
        Some(other) => Err(Fault::value("data", "a table", &other)),
        None => Err(Fault::missing("data", None)),
    };
    data.and_then(|data| names::resolve_data(data, registry))
        .map_err(|fault| tidied(in_line(fault, &text)))
        .with_context(|| file.to_string())
}

/// Returns the recipe of a table with the changes of the command line.
fn changed(mut table: Table, overridden: &[String], registry: &Registry) -> Result<Recipe> {
    for assignment in overridden {
        overrides::apply(&mut table, assignment).map_err(tidied)?;
    }
    renamed::rename_keys(&mut table);
    // Paths that are still relative are those of the changes.
    paths::make_absolute(&mut table, Path::new(""));
    strategy::refuse_tables(&table).context(AFTER)?;
    let recipe = recipe_of_table(&table, registry).map_err(anyhow::Error::from);
    recipe.map_err(tidied).context(AFTER)
}

fn tidied(error: anyhow::Error) -> anyhow::Error {
    anyhow!(tidy(&format!("{error:#}")))
}

/// Returns the text of a file, if it is small enough for a recipe.
fn text_of(path: &Path) -> Result<String> {
    let size = fs::metadata(path)?.len();
    ensure!(
        size <= LARGEST,
        "the file has {size} bytes, but a recipe has at most {LARGEST}: is this file a recipe?"
    );
    Ok(fs::read_to_string(path)?)
}

/// Returns the table of a text, or an error with the position at which it is not TOML.
fn table_of(text: &str) -> Result<Table> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let message = error.message().trim_end();
        match error.span() {
            Some(span) => {
                let (line, column) = position(text, span.start);
                anyhow!("line {line}, column {column}: {message}")
            }
            None => anyhow!("{message}"),
        }
    })
}

/// Returns the line and the column of a place in a text, both counted from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// Returns the recipe that a table describes, with all names resolved by the registry.
fn recipe_of_table(table: &Table, registry: &Registry) -> Result<Recipe, Fault> {
    check_finite(&Value::Table(table.clone()), "")?;
    let in_words = |error: toml::de::Error| error.message().to_string();
    let file: RecipeFile = typed_by(table, |table| table.clone().try_into().map_err(in_words))?;
    // Read separately: `typed_by` finds the key of an error by reading the table without each of
    // its keys, which works only for the first error.
    let read_data = |table| DataRecipe::read(table).map_err(|fault| fault.under("data"));
    let mut recipe = file.with_tables(registry, read_data, |table| {
        let strategy = typed_by(&table, |table| {
            StrategyRecipe::read(table.clone(), registry.strategies()).map_err(in_words)
        });
        strategy.map_err(|fault| fault.under("strategy"))
    })?;
    check_no_list_for_a_table(table, &recipe)?;
    names::resolve(&mut recipe)?;
    Ok(recipe)
}

/// Returns the error of a fault, with the line of the file, if it is found.
fn in_line(fault: Fault, text: &str) -> anyhow::Error {
    let span = toml::from_str::<RecipeFile>(text)
        .err()
        .and_then(|error| error.span());
    match span {
        Some(span) if span.start > 0 => {
            let (line, _) = position(text, span.start);
            anyhow::Error::from(fault).context(format!("line {line}"))
        }
        // The tables are valid: the fault is a name or an option of a strategy.
        _ => match names::line(text, &fault.key) {
            Some(line) => anyhow::Error::from(fault).context(format!("line {line}")),
            None => fault.into(),
        },
    }
}

#[cfg(test)]
pub mod tests;
