//! Tests of the errors about every key of a recipe with every kind of wrong value.

mod messages;
mod networks;
mod numbers;

use super::fault::Place;
use super::loss::{Loss, LossContext};
use super::numbers::check_finite;
use anyhow::Result;
use toml::{Table, Value};

/// Words of Rust and of serde, which an error should not have.
const WORDS_OF_RUST: [&str; 19] = [
    "untagged",
    "struct ",
    "enum ",
    "assertion",
    "assert_shape",
    "usize",
    "u64",
    "u32",
    "i64",
    "f64",
    "invalid type",
    "invalid value",
    "invalid length",
    "left:",
    "dims [",
    "panicked",
    "unwrap()",
    "overflow",
    "out of bounds",
];

/// Fails if an error has words of Rust, or several lines.
fn assert_readable(error: &str, of: &str) {
    for word in WORDS_OF_RUST {
        assert!(!error.contains(word), "{of}: {word}: {error}");
    }
    assert!(!error.contains('\n'), "{of}: {error}");
    assert!(error.chars().count() < 4200, "{of}: {error}");
}

/// Builds a loss of these keys as the first of a recipe.
fn first_loss(keys: &str, context: &LossContext) -> Result<Loss> {
    let table: Table = keys.parse()?;
    check_finite(&Value::Table(table.clone()), "loss.0")?;
    Loss::new(&table, context).at("loss.0")
}

/// Returns the keys that an error about an unknown one lists.
fn known_keys(error: &str) -> Vec<String> {
    let (_, known) = error.split_once("the known ones are ").unwrap_or(("", ""));
    let known = known.split(", ").filter(|key| !key.is_empty());
    known.map(str::to_string).collect()
}
