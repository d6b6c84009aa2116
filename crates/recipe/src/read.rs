use super::check::check;
use super::fault::Fault;
use super::numbers::check_finite;
use super::typed::typed;
use super::{Recipe, names, overrides, paths, renamed, strategy};
use crate::registry::Registry;
use crate::text::tidy;
use anyhow::{Context, Result, anyhow, ensure};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// The size of the largest recipe, in bytes.
const LARGEST: u64 = 1 << 20;

/// Read a recipe, change it as the command line says, and check it.
///
/// Paths in a recipe are relative to the folder of its file, those of changes to the current one. Its
/// names are those of the registry.
///
/// # Errors
///
/// Returns an error that names the file, the line where it can, and the key.
pub fn read(path: &Path, overridden: &[String], registry: &Registry) -> Result<Recipe> {
    let file = path.display();
    let text = text_of(path).with_context(|| file.to_string())?;
    let tidied = |error: anyhow::Error| anyhow!(tidy(&format!("{error:#}")));
    // Before anything is changed, so that an error in the file is not taken for one of a change.
    let original = table_of(&text).and_then(|mut table| {
        renamed::rename_keys(&mut table);
        strategy::refuse_tables(&table)?;
        let understood = understood(&mut table, registry);
        understood.map_err(|fault| in_line(fault, &text))?;
        Ok(table)
    });
    let mut table = original.map_err(tidied).with_context(|| file.to_string())?;
    paths::make_absolute(&mut table, path.parent().unwrap_or(Path::new("")));
    for assignment in overridden {
        overrides::apply(&mut table, assignment).map_err(tidied)?;
    }
    renamed::rename_keys(&mut table);
    // Those that are still relative are of the changes.
    paths::make_absolute(&mut table, Path::new(""));
    strategy::refuse_tables(&table).context("after the changes of --set")?;
    let recipe = understood(&mut table, registry).map_err(anyhow::Error::from);
    let mut recipe = recipe
        .map_err(tidied)
        .context("after the changes of --set")?;

    strategy::check_numbers(&recipe)
        .and_then(|()| strategy::write_out(&mut recipe))
        .and_then(|()| check(&recipe))
        .map_err(tidied)
        .with_context(|| file.to_string())?;
    Ok(recipe)
}

/// The text of a file that is no larger than a recipe.
fn text_of(path: &Path) -> Result<String> {
    let size = fs::metadata(path)?.len();
    ensure!(
        size <= LARGEST,
        "the file has {size} bytes, but a recipe has at most {LARGEST}: is it one?"
    );
    Ok(fs::read_to_string(path)?)
}

/// The table of a text, or where it is no TOML.
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

/// The line and the column of a place in a text, both counted from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// Returns the recipe that a table describes, with the names that the registry has for what it names.
fn understood(table: &mut Table, registry: &Registry) -> Result<Recipe, Fault> {
    check_finite(&Value::Table(table.clone()), "")?;
    // Types first: their errors are the more basic ones.
    typed::<Recipe>(table)?;
    names::resolve(table, registry)?;
    let recipe = typed(table)?;
    Ok(Recipe {
        registry: registry.clone(),
        ..recipe
    })
}

/// The fault with the line of the file where the parser sees it, if it does.
fn in_line(fault: Fault, text: &str) -> anyhow::Error {
    let span = toml::from_str::<Recipe>(text)
        .err()
        .and_then(|error| error.span());
    match span {
        Some(span) if span.start > 0 => {
            let (line, _) = position(text, span.start);
            anyhow::Error::from(fault).context(format!("line {line}"))
        }
        // The types are right: it is about a name.
        _ => match names::line(text, &fault.key) {
            Some(line) => anyhow::Error::from(fault).context(format!("line {line}")),
            None => fault.into(),
        },
    }
}

#[cfg(test)]
pub mod tests;
