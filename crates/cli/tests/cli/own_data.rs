//! `burn-distill run` on data of the user.

use crate::common::*;
use image::GrayImage;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes images of two classes, bright above and bright below, and returns their folder.
fn photos(root: &Path) -> PathBuf {
    let folder = root.join("photos");
    for class in ["above", "below"] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..60_u8 {
            let level = |y: u32| match (y < 20) == (class == "above") {
                true => 150 + number,
                false => number,
            };
            let image = GrayImage::from_fn(40, 40, |_, y| image::Luma([level(y)]));
            image
                .save(folder.join(class).join(format!("{number}.png")))
                .unwrap();
        }
    }
    folder
}

/// Returns the arguments of a run of the recipe that users edit, cut short.
fn arguments(out: &Path, folder: &Path, more: &[&str]) -> Vec<String> {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/own-data/photos.toml");
    let folder = format!("data.folder={}", folder.display());
    let short = [
        folder.as_str(),
        "teacher.model=mlp-16",
        "teacher.training.epochs=10",
        "student.model=mlp-8",
        "student.training.epochs=10",
    ];
    arguments_of(&recipe, out, &[&short, more].concat())
}

#[test]
fn the_recipe_of_a_folder_runs_and_is_resumed() {
    let root = tempfile::tempdir().unwrap();
    let (folder, out) = (photos(root.path()), root.path().join("run"));
    let arguments = arguments(&out, &folder, &[]);
    let output = program(&more_than(&arguments, &["-v"])).output().unwrap();
    assert_success(&output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("data: photos, images of 1x32x32, 2 classes;"),
        "{stderr}"
    );
    assert!(
        stderr.contains("training samples of each class: above 4"),
        "{stderr}"
    );
    let first = result(&out);
    assert!(
        first["distilled"]["accuracy"]["mean"].as_f64().unwrap() > 0.9,
        "{first}"
    );
    assert_eq!(first["classes"][1]["name"], "below");

    // The recipe of the run names the data.
    let place = out.display().to_string();
    let output = program(&["eval", place.as_str(), "--json"])
        .output()
        .unwrap();
    assert_success(&output);
    let evaluation: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        evaluation["accuracy"],
        first["distilled"]["accuracy"]["per_seed"][0]
    );

    // What is finished is loaded, also from another folder and with the written recipe.
    let written = out.join("recipe.toml").display().to_string();
    let resume = ["run", written.as_str(), "--out", place.as_str(), "--resume"];
    let mut resumed = program(&resume);
    assert_success(&resumed.current_dir(root.path()).output().unwrap());
    assert_eq!(
        result(&out)["distilled"]["accuracy"],
        first["distilled"]["accuracy"]
    );

    let other = photos(&root.path().join("copy"));
    let changed = arguments_for_resume(&arguments, &folder, &other);
    let output = program(&more_than(&changed, &["--resume"]))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr.contains("`data.folder` is "),
        "{stderr}"
    );
}

/// Returns the arguments with another folder.
fn arguments_for_resume(arguments: &[String], folder: &Path, other: &Path) -> Vec<String> {
    let [folder, other] = [folder, other].map(|path| path.display().to_string());
    arguments
        .iter()
        .map(|argument| argument.replace(&folder, &other))
        .collect()
}

#[test]
fn broken_images_and_few_images_of_a_class_are_reported() {
    let root = tempfile::tempdir().unwrap();
    let (folder, out) = (photos(root.path()), root.path().join("run"));
    fs::write(folder.join("above/broken.jpg"), "").unwrap();
    let refused = program(&more_than(&arguments(&out, &folder, &[]), &[]))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(
        stderr.contains("data.folder: 1 of 121 images cannot be used: "),
        "{stderr}"
    );
    assert!(
        stderr.contains("above/broken.jpg: the file is empty"),
        "{stderr}"
    );
    assert!(!out.exists());

    for number in 4..60 {
        fs::remove_file(folder.join(format!("below/{number}.png"))).unwrap();
    }
    let skip = arguments(&out, &folder, &["data.broken=skip"]);
    let output = program(&more_than(&skip, &[])).output().unwrap();
    assert_success(&output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("1 of 65 images are broken and skipped: "),
        "{stderr}"
    );
    assert!(
        stderr.contains("warning: photos: the classes have very different"),
        "{stderr}"
    );
}
