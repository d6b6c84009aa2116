//! The beginnings of doc lines.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that begin a clause without a noun that it belongs to.
const BARE: [&str; 6] = ["What", "That", "Those", "Whoever", "So many", "As many"];

/// Returns the doc lines that begin with a bare clause in the Rust files of some folders of a
/// workspace, each as `file:line: text`, with the path of the file in the workspace.
///
/// # Panics
///
/// Panics if the folders hold fewer than `at_least` files: in that case the search was in the wrong
/// place.
pub fn bare_clauses(workspace: &Path, folders: &[&str], at_least: usize) -> Vec<String> {
    let mut files = Vec::new();
    for folder in folders {
        rust_files(&workspace.join(folder), &mut files);
    }
    assert!(
        files.len() >= at_least,
        "only {} Rust files are found in {folders:?}",
        files.len()
    );
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let name = path.strip_prefix(workspace).unwrap().display();
        for (number, line) in (1..).zip(text.lines()) {
            if begins_with_a_bare_clause(line) {
                found.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    found
}

fn begins_with_a_bare_clause(line: &str) -> bool {
    let line = line.trim_start();
    let docs = ["///", "//!"];
    let Some(text) = docs.iter().find_map(|mark| line.strip_prefix(mark)) else {
        return false;
    };
    let text = text.trim_start();
    let mut rests = BARE.iter().filter_map(|words| text.strip_prefix(words));
    rests.any(|rest| rest.starts_with(' '))
}

/// Collects the Rust files of a folder and of those below it, build outputs excepted.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true if path.ends_with("target") => {}
            true => rust_files(&path, files),
            false if path.extension().is_some_and(|end| end == "rs") => files.push(path),
            false => {}
        }
    }
}
