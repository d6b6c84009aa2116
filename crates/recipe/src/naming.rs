//! Names of files and places of a recipe.

use burn_distill::core::{ConfigError, check};

/// The longest name of a folder, in bytes: file systems go to 255, and numbers follow the name.
const LONGEST_NAME: usize = 200;

/// Checks what names a folder.
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

/// Where a loss stands in its table.
pub fn loss_place(index: usize) -> String {
    format!("loss.{index}")
}
