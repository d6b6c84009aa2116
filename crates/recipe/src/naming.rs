//! Names of files, places of a recipe and names in a registry.

use burn_distill::core::{CatalogEntry, ConfigError, check};

/// The longest name of a folder, in bytes: file systems go to 255, and numbers follow the name.
const LONGEST_NAME: usize = 200;

/// Checks the name of a folder.
pub fn check_name(name: &str) -> Result<(), ConfigError> {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    check::ensure(
        name.chars().all(plain)
            && name.starts_with(char::is_alphanumeric)
            // Some systems leave it out.
            && !name.ends_with('.')
            && name.len() <= LONGEST_NAME,
        "name",
        format_args!(
            "of up to {LONGEST_NAME} letters, digits, `-`, `_` and `.`, the first a letter or digit \
             and the last no `.`, as it names files"
        ),
        format_args!("`{name}`"),
    )
}

/// Returns the place of a loss in the table that it belongs to.
pub fn loss_place(index: usize) -> String {
    format!("loss.{index}")
}

/// Returns the name of an entry for an error, with the usual abbreviation: "`decoupled` (DKD)".
pub fn quoted(entry: &CatalogEntry) -> String {
    match entry.abbreviation {
        "" => format!("`{}`", entry.name),
        abbreviation => format!("`{}` ({abbreviation})", entry.name),
    }
}

/// Checks the names of an entry that a program adds to a registry, given the singular and the
/// plural of what it adds.
///
/// # Panics
///
/// Panics if one of the names is empty, is given twice, or is taken.
pub fn assert_names(
    what: &str,
    plural: &str,
    entry: &CatalogEntry,
    is_taken: impl Fn(&str) -> bool,
) {
    let names = [&[entry.name], entry.aliases].concat();
    for (index, name) in names.iter().enumerate() {
        assert!(
            !name.trim().is_empty(),
            "A {what} is added with an empty name or alias (its names are {names:?}): give it a name, or \
             leave out the alias."
        );
        assert!(
            !names[..index].contains(name),
            "The {what} `{}` is added with the name `{name}` twice: leave one out.",
            entry.name
        );
        assert!(
            !is_taken(name),
            "There are two {plural} named `{name}`: give one of them another name."
        );
    }
}
