//! `burn-distill run` of every recipe of the examples that needs no download, cut short.

use crate::common::*;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// All files under a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// One seed, few samples, and an epoch of each training, or as many as a route has anchors.
fn cut_short(recipe: &Table) -> Vec<String> {
    let anchors = recipe.get("route").map(|route| route["anchors"].clone());
    let epochs = anchors.map_or(1, |anchors| anchors.as_integer().unwrap());
    let mut changes = vec![
        "seeds=[0]".to_string(),
        "data.samples=200".to_string(),
        "student.training.batch_size=64".to_string(),
        format!("student.training.epochs={epochs}"),
    ];
    if recipe.contains_key("teacher") {
        changes.push(format!("teacher.training.epochs={epochs}"));
    }
    let stages = recipe.get("stage").and_then(Value::as_array);
    let stages = stages.into_iter().flatten().enumerate();
    changes.extend(stages.map(|(index, stage)| {
        let whole = stage.get("training").is_some();
        let key = if whole { "training.epochs" } else { "epochs" };
        format!("stage.{index}.{key}=1")
    }));
    let strategy = recipe.get("strategy").and_then(Value::as_table);
    for key in ["epochs", "generations", "pseudo_batches"] {
        if strategy.is_some_and(|strategy| strategy.contains_key(key)) {
            changes.push(format!("strategy.{key}=1"));
        }
    }
    changes
}

#[test]
fn every_recipe_of_digits_runs() {
    let mut count = 0;
    for path in files(recipe("quickstart").parent().unwrap()) {
        let table: Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        if table["data"]["name"].as_str() != Some("digits") {
            continue;
        }
        let out = tempfile::tempdir().unwrap();
        let changes = cut_short(&table);
        let changes: Vec<_> = changes.iter().map(String::as_str).collect();
        let arguments = arguments_of(&path, out.path(), &changes);

        let output = program(&more_than(&arguments, &[])).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", path.display());
        let result = result(out.path());
        for network in ["baseline", "distilled"] {
            let accuracy = result[network]["accuracy"]["mean"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&accuracy), "{}", path.display());
        }
        count += 1;
    }
    assert!(count > 50, "{count}");
}
