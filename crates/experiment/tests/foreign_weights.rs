//! Teachers whose weights another program has written.

mod common;

use burn_distill::core::WeightsFile;
use burn_distill::data::{ImageData, ImageDataset, Normalization};
use burn_distill::interchange::Checkpoint;
use burn_distill_experiment::{Data, check_given_weights};
use burn_distill_recipe::{AnyDataset, Recipe, Registry, parse};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const TRAINING: &str = "training = { epochs = 1, batch_size = 16 }";

/// A file that PyTorch or safetensors has written, with a `convnet-2-3` for images of 1 × 4 × 4
/// pixels and three classes.
fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interchange/tests/fixtures");
    folder.join(name).canonicalize().unwrap()
}

/// A registry with images of these classes.
fn registry(classes: &'static [&'static str]) -> Registry {
    Registry::standard().with_dataset("squares", move |_| {
        let pixels = (0..96 * 16).map(|place| (place * 37 % 251) as u8).collect();
        let data = ImageDataset::new(ImageData {
            name: "squares".into(),
            shape: [1, 4, 4],
            pixels,
            labels: (0..96).map(|sample| sample % classes.len()).collect(),
            classes: classes.iter().map(|name| name.to_string()).collect(),
            normalization: Normalization {
                mean: vec![0.5],
                std: vec![0.5],
            },
            max_value: 255,
        });
        Ok(AnyDataset::from(data?))
    })
}

fn recipe(teacher: &str, student: &str) -> String {
    format!(
        "name = 'squares'\ndata = {{ name = 'squares' }}\n\
         teacher = {{ model = 'convnet-2-3', {teacher}, {TRAINING} }}\n\
         student = {{ model = 'convnet-2', {student} {TRAINING} }}\nloss = [{{ kind = 'kd' }}]"
    )
}

fn weights(name: &str) -> String {
    format!("weights = '{}'", fixture(name).display())
}

const CLASSES: &[&str] = &["red", "green", "blue"];

/// Returns the recipe of a text with its data.
fn read(text: &str, classes: &'static [&'static str]) -> (Recipe, Data) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recipe.toml");
    fs::write(&file, text).unwrap();
    let recipe = parse(&file, &[], &registry(classes)).unwrap();
    let data = Data::load(&recipe.data, &recipe.registry).unwrap();
    (recipe, data)
}

fn warnings(teacher: &str, classes: &'static [&'static str]) -> Result<Vec<String>, String> {
    let (recipe, data) = read(&recipe(teacher, ""), classes);
    check_given_weights(&recipe, &data).map_err(|error| format!("{error:#}"))
}

#[test]
fn a_recipe_runs_with_a_teacher_from_every_format() {
    let accuracy = |name: &str| {
        let folder = tempfile::tempdir().unwrap();
        let text = recipe(&weights(name), "");
        let result = common::run(folder.path(), &text, &registry(CLASSES)).unwrap();
        let teacher = result.teacher.unwrap();
        assert!(result.distilled.agreement.is_some());
        serde_json::to_string(&teacher.accuracy).unwrap()
    };

    let expected = accuracy("plain.safetensors");
    for name in ["plain.pth", "nested_legacy.pth"] {
        assert_eq!(accuracy(name), expected, "{name}");
    }
}

#[test]
fn a_file_without_origin_and_tensors_beside_the_network_are_warned_of() {
    let [origin] = &warnings(&weights("plain.pth"), CLASSES).unwrap()[..] else {
        panic!("one warning");
    };
    assert!(origin.starts_with("teacher.weights: "), "{origin}");
    assert!(origin.contains("no record of the origin"), "{origin}");

    let all = warnings(&weights("nested.pth"), CLASSES).unwrap();
    let beside = "of this file, the tensors under `state_dict.module` are used, and others are not: \
                  `optimizer` (8)";
    assert!(all[1].ends_with(beside), "{all:?}");
}

#[test]
fn the_classes_of_a_teacher_are_those_of_the_data_by_name() {
    let named = |names: &str| format!("{}, classes = {names}", weights("plain.pth"));
    let of_teacher = |teacher: &str, classes: &'static [&'static str]| {
        let folder = tempfile::tempdir().unwrap();
        let text = recipe(teacher, "");
        let result = common::run(folder.path(), &text, &registry(classes)).unwrap();
        serde_json::to_string(&result.teacher.unwrap().accuracy).unwrap()
    };

    // The data has them in another order, which the names undo.
    let plain = of_teacher(&weights("plain.pth"), CLASSES);
    let same = of_teacher(&named("['red', 'green', 'blue']"), CLASSES);
    assert_eq!(same, plain);
    // A teacher that knows more classes.
    of_teacher(&named("['blue', 'white', 'red']"), &["red", "blue"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "red\ngreen\nblue\n").unwrap();
    assert_eq!(
        of_teacher(&named(&format!("'{}'", file.path().display())), CLASSES),
        plain
    );

    let error = warnings(&named("['red', 'green', 'grey']"), CLASSES).unwrap_err();
    assert!(
        error.contains("has no logit for 1 of the 3 classes of the data: `blue`"),
        "{error}"
    );
    // Two names for a network of three logits.
    let error = warnings(&named("['red', 'blue']"), &["red", "blue"]).unwrap_err();
    assert!(
        error.contains("its last layer is for 3 classes, not for 2"),
        "{error}"
    );
}

#[test]
fn weights_that_do_not_fit_are_refused_with_what_to_do() {
    let error = warnings(&weights("plain.pth"), &["red", "green"]).unwrap_err();
    assert!(error.starts_with("teacher.weights: "), "{error}");
    for text in [
        "plain.pth: does not hold the weights of a convnet-2-3 for 2 classes: 10 of 12 tensors fit",
        "`fc.weight` [3, 3] instead of [2, 3]",
        "give the names of its classes in their order as `classes`",
    ] {
        assert!(error.contains(text), "{text}: {error}");
    }
    let keys = format!("{}, keys = {{ 'bn' = 'norm' }}", weights("plain.pth"));
    let error = warnings(&keys, CLASSES).unwrap_err();
    for text in [
        "8 missing: `layer.0.bn.weight`",
        "8 unexpected: `layer.0.bn",
        "burn-distill inspect",
    ] {
        assert!(error.contains(text), "{text}: {error}");
    }
    let error = warnings(&weights("expected.json"), CLASSES).unwrap_err();
    assert!(error.contains("it is a JSON file"), "{error}");
}

#[test]
fn parts_of_the_student_come_from_the_teacher_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let parts = "from_teacher = ['layer.0'], frozen = ['layer.0'],";
    let text = recipe(&weights("plain.safetensors"), parts);
    common::run(folder.path(), &text, &registry(CLASSES)).unwrap();

    let tensors = |role: &str| {
        let path = folder.path().join(format!("run/seed-0/{role}/model.bpk"));
        let file = WeightsFile::read(path).unwrap();
        let tensors = file.into_tensors().into_iter();
        let tensors =
            tensors.map(|tensor| (tensor.name.clone(), tensor.to_bytes().unwrap().to_vec()));
        tensors.collect::<BTreeMap<_, _>>()
    };
    let (baseline, distilled) = (tensors("baseline"), tensors("distilled"));
    let checkpoint = Checkpoint::open(fixture("plain.safetensors"));
    let checkpoint = checkpoint.unwrap();
    for (ours, theirs) in [
        ("conv.weight", "conv.weight"),
        ("bn.gamma", "bn.weight"),
        ("bn.beta", "bn.bias"),
        ("bn.running_mean", "bn.running_mean"),
        ("bn.running_var", "bn.running_var"),
    ] {
        let given = checkpoint
            .get(&format!("layer.0.{theirs}"))
            .unwrap()
            .read()
            .unwrap();
        let name = format!("layer.0.{ours}");
        assert_eq!(distilled[&name], given.as_bytes(), "{name}");
        assert_ne!(baseline[&name], given.as_bytes(), "{name}");
    }
    assert_ne!(distilled["fc.weight"], baseline["fc.weight"]);
}

#[test]
fn parts_that_the_networks_lack_are_refused_before_the_run() {
    for (parts, expected) in [
        (
            "frozen = ['stem'],",
            "student.frozen: the student has no part `stem`",
        ),
        (
            "from_teacher = ['fc'],",
            "student.from_teacher: `fc.weight` is of shape [3, 3] in the teacher, but of [2, 3]",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let text = recipe(&weights("plain.pth"), parts);
        let error = common::run(folder.path(), &text, &registry(CLASSES))
            .err()
            .unwrap();
        let error = format!("{error:#}");
        assert!(error.starts_with(expected), "{error}");
        assert!(!folder.path().join("run").exists());
    }
}
