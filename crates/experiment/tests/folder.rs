//! A run on a folder of images.

mod common;

use burn_distill::data::{DataSource, DatasetName, digits};
use burn_distill_experiment::Data;
use burn_distill_recipe::{Registry, parse};
use image::GrayImage;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Writes digits as PNG files, in folders of their classes.
fn write_digits(folder: &Path, ids: std::ops::Range<usize>) {
    let digits = digits();
    for id in ids {
        let class = folder.join(format!("digit-{}", digits.label(id)));
        fs::create_dir_all(&class).unwrap();
        let pixels = digits.pixels(id).iter().map(|level| level * 15).collect();
        let image = GrayImage::from_raw(8, 8, pixels).unwrap();
        image.save(class.join(format!("{id:05}.png"))).unwrap();
    }
}

fn recipe(data: &str) -> String {
    let training = "epochs = 12, batch_size = 32, optimizer = { kind = 'adam-w' }, \
                    learning_rate = { base = 0.01 }";
    format!(
        "name = 'photos'\ndata = {{ {data} }}\n\
         teacher = {{ model = 'mlp-64', training = {{ {training} }} }}\n\
         student = {{ model = 'mlp-16', training = {{ {training} }} }}\n\
         loss = [{{ kind = 'kd' }}]"
    )
}

#[test]
fn a_student_learns_from_a_folder_and_stores_how_its_images_are_prepared() {
    let folder = tempfile::tempdir().unwrap();
    write_digits(&folder.path().join("photos"), 0..900);
    let text = recipe("folder = 'photos', memory_mib = 0, workers = 2");
    let result = common::run(folder.path(), &text, &Registry::standard()).unwrap();

    for network in [
        result.teacher.as_ref().unwrap(),
        result.baseline.as_ref().unwrap(),
        &result.distilled,
    ] {
        let accuracy = network.accuracy.as_ref().unwrap().mean;
        assert!(accuracy > 0.8, "{accuracy}");
    }
    assert_eq!(result.info.samples.iter().sum::<usize>(), 900);
    let written = fs::read_to_string(folder.path().join("run/result.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["classes"][3]["name"], "digit-3");
    let of_class = written["classes"][3]["samples"].as_array().unwrap();
    let in_all = of_class
        .iter()
        .map(|count| count.as_u64().unwrap())
        .sum::<u64>();
    let all = digits();
    let threes = (0..900).filter(|&id| all.label(id) == 3).count();
    assert_eq!(in_all, threes as u64);

    let weights = folder.path().join("run/seed-0/distilled/model.bpk");
    let weights = burn_distill::strategy::WeightsFile::read(&weights).unwrap();
    let origin: Value = serde_json::from_str(weights.metadata("provenance").unwrap()).unwrap();
    assert_eq!(origin["classes"][9], "digit-9");
    assert_eq!(origin["preprocessing"]["channels"], 1);
    // Of the digits in 255 levels, as far as they are in the training part.
    let digits = DatasetName::Digits
        .load(&DataSource::default())
        .unwrap()
        .train;
    let expected = digits.normalization().mean[0] * 16.0 * 15.0 / 255.0;
    let mean = origin["normalization"]["mean"][0].as_f64().unwrap() as f32;
    assert!((mean - expected).abs() < 0.01, "{mean}, {expected}");
}

#[test]
fn test_images_of_their_own_are_the_test_set() {
    let folder = tempfile::tempdir().unwrap();
    let load = |data: &str| {
        let file = folder.path().join("recipe.toml");
        fs::write(&file, recipe(data)).unwrap();
        let recipe = parse(&file, &[], &Registry::standard()).unwrap();
        Data::load(&recipe.data, &recipe.registry).unwrap()
    };
    for (part, ids) in [("train", 0..200), ("val", 200..230), ("test", 300..350)] {
        write_digits(&folder.path().join("photos").join(part), ids);
    }

    assert_eq!(load("folder = 'photos'").sizes(), [200, 30, 50]);
    let elsewhere = "folder = 'photos/train', test_folder = 'photos/test', validation = 0.2";
    assert_eq!(load(elsewhere).sizes(), [160, 40, 50]);
    assert_eq!(
        load("folder = 'photos/train', test = 0.5, validation = 0.2").sizes(),
        [80, 20, 100]
    );
    let few = load("folder = 'photos', labels_per_class = 2");
    assert_eq!(few.labels(0).unwrap(), 20);
}

#[test]
fn a_file_that_is_gone_ends_the_run_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    write_digits(&folder.path().join("photos"), 0..120);
    let file = folder.path().join("recipe.toml");
    fs::write(
        &file,
        recipe("folder = 'photos', memory_mib = 0, validation = 0.2"),
    )
    .unwrap();
    let recipe = parse(&file, &[], &Registry::standard()).unwrap();
    let data = Data::load(&recipe.data, &recipe.registry).unwrap();
    let notices = burn_distill_recipe::Notices::default();
    assert!(burn_distill_experiment::check(&recipe, &data, &notices).is_ok());

    fs::remove_dir_all(folder.path().join("photos")).unwrap();
    let error = burn_distill_experiment::check(&recipe, &data, &notices)
        .err()
        .unwrap();
    assert!(format!("{error:#}").contains(".png: "), "{error:#}");
}
