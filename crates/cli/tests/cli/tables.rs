//! `burn-distill run` on a table of the user.

use crate::common::*;
use std::fs;
use std::path::{Path, PathBuf};

fn penguins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/own-data/penguins.toml")
}

#[test]
fn the_recipe_of_a_table_runs_and_is_resumed() {
    let out = tempfile::tempdir().unwrap();
    let arguments = arguments_of(&penguins(), out.path(), &["seeds=[0]"]);
    let output = program(&more_than(&arguments, &["--verbose"]));
    let output = { output }.output().unwrap();
    assert_success(&output);
    // Four numbers, each with a feature where it is missing, three islands, and two sexes or none.
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("data: penguins.csv, vectors of 14 features, 3 classes;"),
        "{stderr}"
    );
    let first = result(out.path());
    assert_eq!(first["labels"], 15);
    assert_eq!(first["classes"][1]["name"], "Chinstrap");
    let accuracy = |network: &str| first[network]["accuracy"]["mean"].as_f64().unwrap();
    assert!(accuracy("teacher") > 0.95, "{first}");
    assert!(accuracy("distilled") > 0.8, "{first}");

    // What is finished is loaded, and the rest trained again.
    let distilled = out.path().join("seed-0/distilled");
    fs::remove_dir_all(&distilled).unwrap();
    fs::remove_file(out.path().join("result.json")).unwrap();
    let resumed = program(&more_than(&arguments, &["--resume"]))
        .output()
        .unwrap();
    assert_success(&resumed);
    let second = result(out.path());
    assert_eq!(
        second["distilled"]["accuracy"],
        first["distilled"]["accuracy"]
    );
}

#[test]
fn a_fault_of_a_table_is_named_with_its_key_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("penguins.csv");
    let text = fs::read_to_string(penguins().with_extension("csv")).unwrap();
    fs::write(&csv, text.replacen("39.1", "39.1 mm", 1)).unwrap();
    let set = format!("data.csv={}", csv.display());
    let recipe = penguins().display().to_string();
    let numeric = "data.numeric=[\"bill_length_mm\"]";
    let output = program(&["run", &recipe, "--set", &set, "--set", numeric])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        stderr.contains("data.csv: ")
            && stderr
                .contains("line 2, column `bill_length_mm`: expected a number, found `39.1 mm`"),
        "{stderr}"
    );
}
