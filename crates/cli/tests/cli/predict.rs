//! `burn-distill predict` and `eval` on other samples than images: rows of tables, arrays, and the
//! bytes of files.

use crate::common::*;
use burn_distill::interchange::ModelDescription;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use tempfile::TempDir;

fn command(arguments: &[&str]) -> Output {
    program(arguments).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    assert_success(output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refusal(arguments: &[&str]) -> String {
    let output = command(arguments);
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.starts_with("error: "), "{stderr}");
    stderr
}

fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// Runs a recipe and exports its student. Returns the folders of the run and of the model.
fn exported(recipe: &Path, folder: &Path, changes: &[&str]) -> [String; 2] {
    let [run, model] = ["run", "model"].map(|name| folder.join(name));
    let arguments = arguments_of(recipe, &run, changes);
    assert_success(&command(&more_than(&arguments, &[])));
    let [run, model] = [run, model].map(shown);
    assert_success(&command(&["export", &run, "--out", &model]));
    [run, model]
}

/// Returns the objects that `predict` prints for files.
fn predicted(model: &str, files: &[&str]) -> Vec<Value> {
    let arguments = [&["predict", model, "--format", "jsonl"], files].concat();
    let lines = stdout(&command(&arguments));
    let lines = lines.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("lines are JSON")
}

fn best(line: &Value) -> &str {
    line["classes"][0]["class"].as_str().unwrap()
}

/// Checks that the exported model and the run have the test accuracy of the run.
fn assert_evaluated([run, model]: &[String; 2], recipe: &str) {
    let expected = &result(Path::new(run))["distilled"]["accuracy"]["per_seed"][0];
    for arguments in [
        &["eval", model, "--data", recipe, "--json"][..],
        &["eval", run, "--json"],
    ] {
        let found: Value = serde_json::from_str(&stdout(&command(arguments))).unwrap();
        assert_eq!(&found["accuracy"], expected, "{arguments:?}");
    }
}

/// A student of the penguins, for all tests: its run and its exported model.
fn penguins() -> &'static (TempDir, [String; 2]) {
    static STUDENT: OnceLock<(TempDir, [String; 2])> = OnceLock::new();
    STUDENT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let changes = [
            "seeds=[0]",
            "teacher.model=mlp-16",
            "data.labels_per_class=20",
        ];
        let exported = exported(&own_data("penguins.toml"), folder.path(), &changes);
        (folder, exported)
    })
}

fn own_data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/own-data")
        .join(name)
}

#[test]
fn rows_of_a_table_are_classified_with_and_without_their_label() {
    let (_, [run, model]) = penguins();
    let csv = fs::read_to_string(own_data("penguins.csv")).unwrap();
    let rows: Vec<_> = csv
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let (labeled, unlabeled) = (
        folder.path().join("labeled.csv"),
        folder.path().join("new.csv"),
    );
    fs::write(&labeled, &csv).unwrap();
    // Without species and year, and in another order.
    let without: Vec<_> = rows
        .iter()
        .map(|row| {
            row[1..7]
                .iter()
                .rev()
                .copied()
                .collect::<Vec<_>>()
                .join(",")
        })
        .collect();
    fs::write(&unlabeled, without.join("\n")).unwrap();
    let [labeled, unlabeled] = [labeled, unlabeled].map(shown);

    let lines = predicted(model, &[&labeled]);
    assert_eq!(lines.len(), rows.len() - 1);
    assert_eq!(lines[2]["file"], json!(labeled));
    assert_eq!(lines[2]["row"], 3);
    let correct = lines
        .iter()
        .zip(&rows[1..])
        .filter(|(line, row)| best(line) == row[0]);
    let correct = correct.count() as f64 / lines.len() as f64;
    assert!(correct > 0.9, "{correct}");

    let classes = |lines: Vec<Value>| lines.into_iter().map(|line| line["classes"].clone());
    let classes = |lines| classes(lines).collect::<Vec<_>>();
    let expected = classes(lines);
    assert_eq!(classes(predicted(model, &[&unlabeled])), expected);
    assert_eq!(classes(predicted(run, &[&unlabeled])), expected);

    let first = expected[0][0]["class"].as_str().unwrap();
    let csv = stdout(&command(&[
        "predict", model, &unlabeled, "--top", "1", "--format", "csv",
    ]));
    assert_eq!(csv.lines().count(), rows.len());
    assert!(
        csv.starts_with("file,row,rank,class,probability\n"),
        "{csv}"
    );
    assert!(
        csv.contains(&format!("\n{unlabeled},1,1,{first},")),
        "{csv}"
    );
    let table = stdout(&command(&["predict", model, &unlabeled, "--top", "1"]));
    assert!(table.contains(&format!("{unlabeled}:344")), "{table}");
}

#[test]
fn columns_and_values_that_do_not_fit_are_named() {
    let (_, [_, model]) = penguins();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.csv");
    let file = shown(&path);
    let header = "island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex";
    let row = "Torgersen,39.1,18.7,181,3750,male";
    for (text, expected) in [
        (
            format!("{}\n{row}", header.replace("body_mass_g", "mass_g")),
            "new.csv: line 1: expected the column `body_mass_g` (an input of the network), found the \
             columns `island`,",
        ),
        (
            format!("{header},id\n{row},7"),
            "new.csv: line 1, column `id`: expected only the columns `island`,",
        ),
        (
            format!("{header}\n{row}\n{}", row.replace("Torgersen", "Bouvet")),
            "new.csv: line 3, column `island`: expected one of the categories `Biscoe`, `Dream`, \
             `Torgersen`,",
        ),
        (
            format!("{header}\n{}", row.replace("181", "long")),
            "line 2, column `flipper_length_mm`: expected a number, found `long`",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let message = refusal(&["predict", model, &file]);
        assert!(message.contains(expected), "{message}");
    }

    fs::write(&path, format!("{header},id\n{row},7")).unwrap();
    let ignoring = command(&["predict", model, &file, "--ignore", "id"]);
    assert!(stdout(&ignoring).contains("new.csv:1"));
    let message = refusal(&["predict", model, &file, "--ignore", "island"]);
    assert!(
        message.contains("--ignore island: the model needs this column"),
        "{message}"
    );
    let message = refusal(&["predict", model, "new.npy"]);
    assert!(
        message.contains("new.npy: the model takes rows of a table"),
        "{message}"
    );
}

#[test]
fn a_model_of_a_table_is_evaluated_on_its_data_and_on_another_table() {
    let (_, exported) = penguins();
    assert_evaluated(exported, &shown(own_data("penguins.toml")));

    // Other rows have other means: they are encoded as the model does, not by their own.
    let folder = tempfile::tempdir().unwrap();
    let csv = fs::read_to_string(own_data("penguins.csv")).unwrap();
    let rows = csv.lines().enumerate().filter(|(line, _)| line % 3 != 1);
    let rows: Vec<_> = rows.map(|(_, row)| row).collect();
    fs::write(folder.path().join("penguins.csv"), rows.join("\n")).unwrap();
    // Only the data of a recipe is needed.
    let recipe = fs::read_to_string(own_data("penguins.toml")).unwrap();
    let mut recipe: toml::Table = recipe.parse().unwrap();
    recipe.retain(|key, _| key == "data");
    let other = folder.path().join("other.toml");
    fs::write(&other, recipe.to_string()).unwrap();

    let [_, model] = exported;
    let other = shown(other);
    let arguments = ["eval", model, "--data", &other, "--all", "--json"];
    let evaluation = stdout(&command(&arguments));
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    let lines = predicted(model, &[&shown(folder.path().join("penguins.csv"))]);
    let labels = rows[1..].iter().map(|row| row.split(',').next().unwrap());
    let correct = lines
        .iter()
        .zip(labels)
        .filter(|(line, label)| best(line) == *label);
    assert_eq!(evaluation["samples"], lines.len());
    assert_eq!(
        evaluation["accuracy"],
        correct.count() as f64 / lines.len() as f64
    );
    let own = shown(own_data("penguins.toml"));
    let message = refusal(&["eval", model, "--data", &own, "--all"]);
    assert!(
        message.contains("was trained on a part of penguins.csv"),
        "{message}"
    );
}

/// Writes an `.npy` file of little-endian elements.
fn npy(path: &Path, element: &str, shape: &str, content: &[u8]) {
    let header = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': ({shape})}}\n");
    let length = (header.len() as u16).to_le_bytes();
    let parts = [
        b"\x93NUMPY\x01\x00",
        &length[..],
        header.as_bytes(),
        content,
    ];
    fs::write(path, parts.concat()).unwrap();
}

/// Writes the recipe of a student that learns from a teacher of the same kind.
fn recipe_of(folder: &Path, data: &str, network: &str) -> PathBuf {
    let path = folder.join("recipe.toml");
    let training = "training = { epochs = 12, batch_size = 16, optimizer = { kind = 'adam-w' }, \
                    learning_rate = { base = 0.01 } }";
    let text = format!(
        "name = 'own'\nseeds = [0]\nloss = [{{ kind = 'soft-target' }}]\n\
         [data]\n{data}\n\
         [teacher]\nmodel = '{network}'\n{training}\n\
         [student]\nmodel = '{network}'\n{training}\n"
    );
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_rows_of_an_array_are_classified() {
    let folder = tempfile::tempdir().unwrap();
    let [x, y, new] = ["x.npy", "y.npy", "new.npy"].map(|name| folder.path().join(name));
    // Three features, the second of which gives the class.
    let values = (0..120).flat_map(|n: i32| [n % 7, if n % 2 == 0 { -4 } else { 4 }, n % 5]);
    let values: Vec<f32> = values.map(|value| value as f32 / 4.0).collect();
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    npy(&x, "<f4", "120,3", &bytes);
    npy(&new, "<f4", "20,3", &bytes[..240]);
    npy(
        &y,
        "|u1",
        "120,",
        &(0..120).map(|n| n % 2).collect::<Vec<u8>>(),
    );
    let keys = "arrays = 'x.npy'\nlabels = 'y.npy'\nclasses = ['even', 'odd']";
    let recipe = recipe_of(folder.path(), keys, "mlp-8");
    let exported = exported(&recipe, folder.path(), &[]);

    let new = shown(new);
    let lines = predicted(&exported[1], &[&new]);
    assert_eq!(lines.len(), 20);
    for (line, row) in lines.iter().zip(1..) {
        assert_eq!(line["row"], row);
        assert_eq!(best(line), if row % 2 == 1 { "even" } else { "odd" });
    }
    assert_evaluated(&exported, &shown(&recipe));
    npy(Path::new(&new), "<f4", "20,2", &bytes[..160]);
    let message = refusal(&["predict", &exported[1], &new]);
    assert!(
        message.contains("new.npy: the model takes vectors of 3 features, an array of the shape"),
        "{message}"
    );
}

#[test]
fn the_bytes_of_files_are_classified() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = BTreeMap::new();
    for (class, begin) in [("digits", b'0'), ("letters", b'a')] {
        let of_class = folder.path().join("files").join(class);
        fs::create_dir_all(&of_class).unwrap();
        for number in 0..40_u32 {
            let contents: Vec<_> = (0..4 + number)
                .map(|n| begin + ((n * 7 + number) % 10) as u8)
                .collect();
            let path = of_class.join(format!("{number}.npy"));
            fs::write(&path, contents).unwrap();
            files.insert(shown(path), class);
        }
    }
    let keys = "bytes = 'files'\nfirst = 8\nlast = 4\nstrip = true";
    let recipe = recipe_of(folder.path(), keys, "transformer-8-1-2");
    let exported = exported(&recipe, folder.path(), &[]);

    let description = ModelDescription::read(&exported[1]).unwrap();
    let window = description.window.unwrap();
    assert_eq!((window.first, window.last, window.strip), (8, 4, true));
    let paths: Vec<_> = files.keys().map(String::as_str).collect();
    let lines = predicted(&exported[1], &paths);
    assert_eq!(predicted(&exported[0], &paths), lines);
    assert_eq!(lines.len(), 80);
    for line in &lines {
        assert!(line.get("row").is_none());
        assert_eq!(best(line), files[line["file"].as_str().unwrap()], "{line}");
    }
    assert_evaluated(&exported, &shown(&recipe));
    let message = refusal(&["predict", &exported[1], paths[0], "--ignore", "id"]);
    assert!(
        message.contains("--ignore is for the columns of CSV files"),
        "{message}"
    );
}
