use crate::{Recipe, Registry, Task, read};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::WeightsFile;
use burn_distill::data::{ClassList, ImageFolderConfig, ImageResize, Samples};
use image::GrayImage;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const RECIPE: &str = "name = 'test'
[student]
model = 'mlp-8'
training = { epochs = 1 }
";

const KD: &str = "[[loss]]\nkind = 'kd'\n";

/// Creates a folder with images without labels, and a teacher of three classes beside it.
fn folder(record: Option<Value>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    for level in 0..8 {
        let image = GrayImage::from_pixel(4, 4, image::Luma([20 * level]));
        let name = format!("photos/{level}.png");
        image.save(folder.path().join(name)).unwrap();
    }
    let task = Task {
        input: crate::InputShape::Image([1, 4, 4]),
        classes: 3,
    };
    let network = Registry::standard().build(&"mlp-16".into(), &task, 0, &Device::flex());
    let mut file = WeightsFile::new(network.unwrap().into_record()).unwrap();
    if let Some(record) = record {
        file = file.with_metadata("provenance", record.to_string());
    }
    file.write(folder.path().join("teacher.bpk")).unwrap();
    folder
}

fn record() -> Value {
    json!({
        "classes": ["cat", "dog", "owl"],
        "normalization": { "mean": [0.1], "std": [0.3] },
        "preprocessing": { "crop": [4, 4], "channels": 1 },
    })
}

const TEACHER: &str = "[teacher]
model = 'mlp-16'
weights = 'teacher.bpk'
training = { epochs = 1 }
";

fn recipe(folder: &Path, data: &str, more: &str) -> anyhow::Result<Recipe> {
    let path = folder.join("recipe.toml");
    let data = format!("[data]\nfolder = 'photos'\nlabels = false\n{data}\n");
    fs::write(&path, [RECIPE, &data, more].concat()).unwrap();
    read(&path, &[], &Registry::standard())
}

fn refused(folder: &TempDir, data: &str, more: &str) -> String {
    let error = recipe(folder.path(), data, more).unwrap_err();
    format!("{error:#}")
}

fn with_teacher(more: &str) -> String {
    format!("{TEACHER}{more}")
}

#[test]
fn the_classes_and_the_preparation_of_images_are_those_of_the_teacher() {
    let folder = folder(Some(record()));
    let recipe = recipe(folder.path(), "", &with_teacher(KD)).unwrap();

    let spec = recipe.spec().unwrap();
    assert_eq!(spec.classes, ["cat", "dog", "owl"]);
    let data = recipe.data.load(&recipe.registry).unwrap();
    assert_eq!(data.train.normalization().unwrap().mean, [0.1]);
    assert_eq!(data.train.preprocessing().unwrap().crop, Some([4, 4]));
    assert!(
        data.train
            .ids()
            .iter()
            .all(|&id| !data.train.is_labeled(id))
    );

    // What is written names them, so that a run is read without its teacher.
    let written = toml::to_string(&recipe).unwrap();
    let again = Recipe::from_table(written.parse().unwrap(), &recipe.registry).unwrap();
    assert_eq!(again, recipe);
    assert_eq!(again.spec().unwrap().classes, ["cat", "dog", "owl"]);
}

#[test]
fn what_the_recipe_says_about_images_goes_first() {
    let folder = folder(Some(record()));
    let data = "classes = 3\nnormalization = { mean = [0.5], std = [0.5] }";
    let recipe = recipe(folder.path(), data, &with_teacher(KD)).unwrap();

    // The number is that of the teacher, whose names are better.
    assert_eq!(recipe.spec().unwrap().classes, ["cat", "dog", "owl"]);
    let images = recipe.data.load(&recipe.registry).unwrap().train;
    assert_eq!(images.normalization().unwrap().std, [0.5]);
    let two = refused(&folder, "classes = 2", &with_teacher(KD));
    assert!(
        two.contains("`data.classes` is 2, but the teacher has 3 classes: leave it out"),
        "{two}"
    );
}

#[test]
fn the_last_layer_of_a_teacher_that_does_not_name_its_classes_counts_them() {
    let folder = folder(None);
    let classes = |recipe: Recipe| recipe.spec().unwrap().classes;
    let found = recipe(folder.path(), "", &with_teacher(KD)).unwrap();
    assert_eq!(classes(found), ["0", "1", "2"]);

    let named = format!("{TEACHER}classes = ['a', 'b', 'c']\n{KD}");
    let named = recipe(folder.path(), "", &named).unwrap();
    assert_eq!(classes(named), ["a", "b", "c"]);
}

#[test]
fn classes_that_are_not_found_in_the_file_of_the_teacher_are_asked_for() {
    let folder = folder(None);
    // Weights of another network.
    let other = TEACHER.replace("mlp-16", "mlp-17");
    let error = refused(&folder, "", &format!("{other}{KD}"));
    assert!(
        error
            .contains("`data.classes` is missing: the data has no labels (`data.labels` is false)"),
        "{error}"
    );
    assert!(
        error.ends_with("or the names as `teacher.classes`"),
        "{error}"
    );

    let counted = recipe(folder.path(), "classes = 3", &with_teacher(KD)).unwrap();
    assert_eq!(counted.spec().unwrap().classes, ["0", "1", "2"]);
}

#[test]
fn only_a_given_teacher_teaches_without_labels() {
    let folder = folder(Some(record()));
    let without = |more: &str| refused(&folder, "", &format!("{more}\n{KD}"));

    let none = without("");
    assert!(
        none.contains("`teacher` is missing: the data has no labels"),
        "{none}"
    );
    let untrained = without("[teacher]\nmodel = 'mlp-16'\ntraining = { epochs = 1 }");
    assert!(
        untrained.contains("`teacher.weights` is missing: the data has no labels"),
        "{untrained}"
    );
    let strategy = without("[strategy]\nkind = 'mutual'");
    assert!(
        strategy.contains("but the strategy `mutual` (DML) needs labels: leave out [strategy]"),
        "{strategy}"
    );
    let missing = without(&TEACHER.replace("teacher.bpk", "nowhere.bpk"));
    assert!(
        missing.contains("`teacher.weights`: the file ") && missing.contains("is not found"),
        "{missing}"
    );
}

#[test]
fn losses_and_keys_that_need_labels_are_refused() {
    let folder = folder(Some(record()));
    for (kind, shown) in [
        ("ce", "`cross-entropy` (CE)"),
        ("dkd", "`decoupled` (DKD)"),
        ("lsr", "`label-smoothing` (LSR)"),
    ] {
        let losses = format!("{KD}[[loss]]\nkind = '{kind}'\n");
        let error = refused(&folder, "", &with_teacher(&losses));
        let expected = format!("the loss {shown} needs labels, but the data has none");
        assert!(
            error.contains(&expected) && error.contains("loss.1"),
            "{error}"
        );
    }
    let stage = "[[stage]]\nname = 'first'\nepochs = 1\n[[stage.loss]]\nkind = 'ce'\n";
    let error = refused(&folder, "", &with_teacher(stage));
    assert!(error.contains("stage.0.loss.0"), "{error}");
    for key in ["labels_per_class", "without_class"] {
        let error = refused(&folder, &format!("{key} = 1"), &with_teacher(KD));
        assert!(
            error.contains(&format!("`data.{key}` selects samples by their labels")),
            "{error}"
        );
    }
}

#[test]
fn labeled_folders_are_unchanged() {
    let config = ImageFolderConfig {
        resize: Some(ImageResize::Shorter(4)),
        ..ImageFolderConfig::new("photos")
    };
    let written = toml::to_string(&config).unwrap();
    assert!(
        !written.contains("labels") && !written.contains("classes"),
        "{written}"
    );
    let unlabeled = ImageFolderConfig {
        labels: false,
        classes: Some(ClassList::Count(3)),
        ..config
    };
    let written = toml::to_string(&unlabeled).unwrap();
    assert!(
        written.contains("labels = false\nclasses = 3\n"),
        "{written}"
    );
    assert_eq!(
        toml::from_str::<ImageFolderConfig>(&written).unwrap(),
        unlabeled
    );
}
