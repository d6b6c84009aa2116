//! Checks of the sources of the workspace: dependencies between files, and words of the docs.

mod circles;
mod words;

use circles::circles;
use std::fs;
use std::path::Path;
use words::bare_clauses;

#[test]
fn no_files_of_a_crate_need_each_other() {
    let crates = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut found = String::new();
    for entry in fs::read_dir(crates).unwrap() {
        let sources = entry.unwrap().path().join("src");
        for circle in circles(&sources) {
            let (files, uses) = (circle.files.join(", "), circle.uses.join("\n    "));
            found += &format!("{}: {files}\n    {uses}\n", sources.display());
        }
    }
    assert!(
        found.is_empty(),
        "Files that depend on each other in a circle:\n{found}"
    );
}

#[test]
fn a_circle_is_found_through_names_that_are_passed_on() {
    let sources = tempfile::tempdir().unwrap();
    for (name, text) in [
        (
            "lib.rs",
            "mod a;\nmod b;\nmod c;\npub use a::*;\npub use b::B;\n",
        ),
        ("a.rs", "use super::B;\npub struct A(B);\n"),
        ("b.rs", "use crate::A;\npub struct B(Box<A>);\n"),
        ("c.rs", "use super::{A, B};\npub(super) struct C(A, B);\n"),
    ] {
        fs::write(sources.path().join(name), text).unwrap();
    }

    let circles = circles(sources.path());

    let files: Vec<_> = circles
        .iter()
        .map(|circle| circle.files.join(" "))
        .collect();
    assert_eq!(files, ["a b"]);
    assert_eq!(circles[0].uses, ["a uses B of b", "b uses A of a"]);
}

#[test]
fn no_doc_line_begins_with_a_bare_clause() {
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let workspace = workspace.canonicalize().unwrap();
    let folders = ["crates", "examples", "benches", "fuzz"];
    let found = bare_clauses(&workspace, &folders, 500);
    assert!(
        found.is_empty(),
        "{} doc lines begin with a bare clause. Begin the docs of a type or field with a noun, those of a \
         function with a verb in the third person:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn a_bare_clause_is_found_in_any_kind_of_doc_line() {
    let sources = tempfile::tempdir().unwrap();
    fs::create_dir(sources.path().join("below")).unwrap();
    fs::write(
        sources.path().join("below/a.rs"),
        [
            "//! What a file is about.",
            "/// Whatever is allowed.",
            "    /// As many as there are.",
            "// That is a comment, not a doc.",
            "/// A noun: What comes later is allowed.",
            "///   Those.",
            "///So many things.",
        ]
        .join("\n"),
    )
    .unwrap();
    fs::write(
        sources.path().join("below/a.md"),
        "/// What is no Rust file.\n",
    )
    .unwrap();

    let found = bare_clauses(sources.path(), &["below"], 1);

    assert_eq!(
        found,
        [
            "below/a.rs:1: //! What a file is about.",
            "below/a.rs:3: /// As many as there are.",
            "below/a.rs:7: ///So many things."
        ]
    );
}
