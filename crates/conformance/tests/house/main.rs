//! The structure of the workspace, read from its sources.

mod circles;

use circles::circles;
use std::fs;
use std::path::Path;

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
        "Files that need each other in a circle:\n{found}"
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
