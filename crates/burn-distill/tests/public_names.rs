//! The facade re-exports all crates, so that a program may import several of them with a glob: a
//! public name must be in one crate only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 8] = [
    "core",
    "response",
    "feature",
    "relation",
    "architecture",
    "data",
    "strategy",
    "burn-distill",
];

/// Functions that several crates have, and that are called by the path of the crate:
/// `response::catalog()`.
const IN_EVERY_CRATE: [&str; 2] = ["catalog", "losses"];

const KINDS: [&str; 8] = [
    "struct", "enum", "trait", "fn", "const fn", "type", "const", "static",
];

/// Returns the file of a module, given that of its parent.
fn module(parent: &Path, name: &str) -> PathBuf {
    let stem = parent.file_stem().unwrap();
    let folder = parent.parent().unwrap();
    let folder = match stem == "lib" || stem == "mod" {
        true => folder.to_path_buf(),
        false => folder.join(stem),
    };
    let file = folder.join(format!("{name}.rs"));
    match file.exists() {
        true => file,
        false => folder.join(name).join("mod.rs"),
    }
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Returns the public names of a file, and those of its public modules.
fn public_names(file: &Path) -> Vec<String> {
    let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut names = Vec::new();
    for statement in source.split(['\n', ';']) {
        let Some(item) = statement.strip_prefix("pub ") else {
            continue;
        };
        if let Some(path) = item.strip_prefix("use ") {
            match path.split_once("::") {
                Some((name, "*")) => names.extend(public_names(&module(file, name))),
                Some((name, items)) if !name.starts_with("burn") => {
                    let items = items.trim_matches(['{', '}']).split(',');
                    names.extend(items.map(|item| item.trim().to_string()));
                }
                // A re-export of another crate.
                _ => (),
            }
        } else if let Some(name) = item.strip_prefix("mod ").filter(|m| !m.contains('{')) {
            names.extend(public_names(&module(file, name)));
        } else if let Some(rest) = KINDS
            .iter()
            .find_map(|kind| item.strip_prefix(kind)?.strip_prefix(' '))
        {
            names.push(first_word(rest).to_string());
        }
    }
    names
}

#[test]
fn no_two_crates_have_a_public_item_of_one_name() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut owners: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for owner in CRATES {
        let names = public_names(&crates.join(owner).join("src/lib.rs"));
        assert!(!names.is_empty(), "{owner} has no public item");
        // An item of a public module may be at the root as well.
        for name in names.into_iter().collect::<BTreeSet<_>>() {
            owners.entry(name).or_default().push(owner);
        }
    }

    for known in [
        "Knowledge",
        "SoftTargetLoss",
        "ProjectedSequences",
        "masked_mean",
    ] {
        assert!(owners.contains_key(known), "`{known}` was not found");
    }
    owners.retain(|name, owners| owners.len() > 1 && !IN_EVERY_CRATE.contains(&name.as_str()));
    assert!(owners.is_empty(), "names with several meanings: {owners:?}");
}
