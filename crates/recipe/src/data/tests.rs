use crate::input::InputShape;
use crate::read::{self, tests::error};
use crate::{Recipe, Registry};
use burn_distill::data::Samples;
use image::GrayImage;
use std::fs;
use std::path::Path;

const RECIPE: &str = "
    name = 'test'
    teacher = { model = 'mlp-16', training = { epochs = 1 } }
    student = { model = 'mlp-8', training = { epochs = 1 } }
    loss = [{ kind = 'kd' }]
    [data]
";

/// Creates a folder of images of two classes.
fn photos(folder: &Path) {
    for (class, level) in [("cats", 10), ("dogs", 200)] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..4 {
            let image = GrayImage::from_pixel(4, 6, image::Luma([level + number]));
            image
                .save(folder.join(format!("{class}/{number}.png")))
                .unwrap();
        }
    }
}

/// Reads a recipe with these keys of the data from a file in a folder.
fn recipe(folder: &Path, data: &str, overridden: &[&str]) -> anyhow::Result<Recipe> {
    let path = folder.join("recipe.toml");
    fs::write(&path, format!("{RECIPE}{data}")).unwrap();
    let overridden: Vec<_> = overridden.iter().map(|text| text.to_string()).collect();
    read::read(&path, &overridden, &Registry::standard())
}

fn refused(data: &str) -> String {
    error(&format!("{RECIPE}{data}"), &[])
}

#[test]
fn a_folder_gives_inputs_classes_and_samples() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    let recipe = recipe(folder.path(), "folder = 'photos'\nresize = [3, 2]", &[]).unwrap();

    let spec = recipe.spec().unwrap();
    assert_eq!(spec.task.input, InputShape::Image([1, 3, 2]));
    assert_eq!((spec.task.classes, spec.samples), (2, 8));
    assert_eq!(
        (recipe.data.source.name(), recipe.data.source.key()),
        ("photos", "folder")
    );
    let data = recipe.data.load(&recipe.registry).unwrap();
    assert_eq!(data.train.classes(), ["cats", "dogs"]);
    assert_eq!(data.train.labels(), [0, 0, 0, 0, 1, 1, 1, 1]);
    // 10, 11, 12, 13, 200, …, 203.
    let measured = data.train.measured().unwrap().unwrap();
    let normalized = data.train.normalized_by(&measured);
    let constants = normalized.normalization().unwrap();
    assert!(
        (constants.mean[0] - 106.5 / 255.0).abs() < 1e-6,
        "{constants:?}"
    );
    assert_eq!(normalized.measured().unwrap(), None);
}

#[test]
fn a_recipe_with_a_folder_is_written_as_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    photos(&root.join("photos"));
    photos(&root.join("more"));
    let data = "folder = 'photos/'\ntest_folder = 'more'\nresize = 8\ncrop = [8, 4]\n\
                broken = 'skip'\nnormalization = { mean = [0.5], std = [0.25] }\n\
                augmentation = { flip = true }\nlabels_per_class = 2";
    let original = recipe(&root, data, &["data.split_seed=3"]).unwrap();

    let text = toml::to_string(&original).unwrap();
    let table: toml::Table = text.parse().unwrap();
    // Absolute, so that the run can be resumed from another folder.
    assert_eq!(
        table["data"]["folder"].as_str(),
        root.join("photos").to_str()
    );
    assert_eq!(
        table["data"]["test_folder"].as_str(),
        root.join("more").to_str()
    );
    assert_eq!(table["data"]["memory_mib"].as_integer(), Some(1024));
    assert_eq!(
        Recipe::from_table(table.clone(), &Registry::standard()).unwrap(),
        original
    );
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("copy.toml"), &text).unwrap();
    let copy = read::read(&other.path().join("copy.toml"), &[], &Registry::standard());
    assert_eq!(copy.unwrap(), original);

    let changed = recipe(&root, data, &["data.split_seed=3", "data.resize=9"]).unwrap();
    assert_ne!(changed, original);
    assert_eq!(
        serde_json::to_value(&original.data).unwrap()["broken"],
        "skip"
    );
}

#[test]
fn the_data_is_given_once() {
    let error = refused("name = 'digits'\nfolder = 'photos'");
    assert!(
        error.contains(
            "`data.folder`: the data is given by `name` already: keep one of them, and leave out \
             the other with its options"
        ),
        "{error}"
    );
    let error = refused("test = 0.5");
    assert!(
        error.contains(
            "`data`: no data is given: set one of `name` (a data set by its name), `folder` (a \
             folder of images)"
        ),
        "{error}"
    );
    // Also where another key belongs to a source.
    assert!(refused("resize = 8").contains("`data`: no data is given"));
}

#[test]
fn keys_that_do_not_belong_to_the_source_are_refused() {
    let error = refused("name = 'digits'\nresize = 8");
    assert!(
        error.contains(
            "`data.resize`: this is an option of `folder`, but the data is given by `name`: leave \
             it out"
        ),
        "{error}"
    );
    let error = refused("folder = 'photos'\nresiz = 8");
    assert!(
        error.contains("line 8: unknown key `data.resiz`, did you mean `resize`?"),
        "{error}"
    );
    let known = "the known ones are folder, test_folder, labels, classes, resize, crop, channels, \
                 broken, normalization, memory_mib, test, validation, split_seed, samples, \
                 labels_per_class, without_class, augmentation, workers";
    assert!(error.contains(known), "{error}");
    let error = refused("foldr = 'photos'");
    assert!(
        error.contains("unknown key `data.foldr`, did you mean `folder`?"),
        "{error}"
    );
    let error = refused("name = 'digits'\nworker = 8");
    assert!(
        error.contains("unknown key `data.worker`, did you mean `workers`?"),
        "{error}"
    );
}

#[test]
fn values_of_the_wrong_type_or_range_are_named() {
    for (key, message) in [
        (
            "folder = 3",
            "`data.folder` should be a path as text, but is 3",
        ),
        (
            "folder = ''",
            "`data.folder` should be the path of a folder, but is empty",
        ),
        ("name = 3", "`data.name` should be text, but is 3"),
        (
            "folder = 'x'\nresize = 'big'",
            "`data.resize` should be a whole number from 1, or a list of height and width, but is \
             the text \"big\"",
        ),
        (
            "folder = 'x'\nresize = 0",
            "`data.resize` should be from 1 to 16384, but is 0",
        ),
        (
            "folder = 'x'\nresize = 8\ncrop = [9, 8]",
            "`data.crop.0` should be from 1 to 8, but is 9",
        ),
        (
            "folder = 'x'\ncrop = 8",
            "`data.crop` should be a list, but is 8",
        ),
        (
            "folder = 'x'\nchannels = 2",
            "`data.channels` should be 1 (gray) or 3 (color), but is 2",
        ),
        (
            "folder = 'x'\nbroken = 'skp'",
            "`data.broken` should be one of refuse, skip (did you mean `skip`?)",
        ),
        (
            "folder = 'x'\nnormalization = { mean = [0.5] }",
            "`data.normalization.std` is missing",
        ),
        (
            "folder = 'x'\ntest = 'much'",
            "`data.test` should be a number",
        ),
        ("folder = 'not/there'", "data.folder: "),
        (
            "folder = 'not/there'",
            "not/there: there is no such folder.",
        ),
    ] {
        let error = refused(key);
        assert!(error.contains(message), "{key}: {error}");
    }
}

#[test]
fn an_image_that_is_broken_is_an_error_of_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    fs::write(folder.path().join("photos/cats/x.png"), "").unwrap();

    let error = recipe(folder.path(), "folder = 'photos'", &[]).unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.contains("data.folder: 1 of 9 images cannot be used: "),
        "{error}"
    );
    assert!(
        error.contains("photos/cats/x.png: the file is empty"),
        "{error}"
    );
    assert!(recipe(folder.path(), "folder = 'photos'\nbroken = 'skip'", &[]).is_ok());
}

#[test]
fn the_samples_are_read_once_for_all_uses_of_a_recipe() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    let recipe = recipe(folder.path(), "folder = 'photos'", &[]).unwrap();

    fs::remove_dir_all(folder.path().join("photos")).unwrap();
    assert_eq!(recipe.clone().spec().unwrap().samples, 8);
    assert_eq!(recipe.data.load(&recipe.registry).unwrap().train.len(), 8);
}
