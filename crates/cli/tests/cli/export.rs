//! Export of the student of a run, and the commands that use it.

use crate::common::*;
use burn_distill::interchange::{ModelDescription, load};
use burn_distill::strategy::WeightsFile;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

/// A run of the quickstart with two seeds, for all tests.
fn finished() -> &'static Path {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    let run = RUN.get_or_init(|| {
        let out = tempfile::tempdir().unwrap();
        let changes = [&SHORT[1..], &["seeds=[0,3]", "student.model=convnet-4-8"]].concat();
        assert_success(&run(out.path(), &changes, &[]));
        out
    });
    run.path()
}

fn command(name: &str, folder: &Path, more: &[&str]) -> Output {
    let folder = folder.display().to_string();
    let arguments = [&[name, folder.as_str()], more].concat();
    program(&arguments).output().expect("the program starts")
}

fn exported(run: &Path, out: &Path, more: &[&str]) -> PathBuf {
    let model = out.join("model");
    let target = model.display().to_string();
    let arguments = [&["--out", target.as_str()], more].concat();
    assert_success(&command("export", run, &arguments));
    model
}

fn refusal(output: &Output) -> String {
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.starts_with("error: "), "{stderr}");
    stderr
}

fn stdout(output: &Output) -> String {
    assert_success(output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn copied(run: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &target),
                false => drop(fs::copy(entry.path(), target).unwrap()),
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(run, folder.path());
    folder
}

#[test]
fn the_exported_student_is_that_of_the_run_in_every_format() {
    let run = finished();
    for (format, file) in [
        ("burnpack", "model.bpk"),
        ("safetensors", "model.safetensors"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let model = exported(run, out.path(), &["--format", format, "--seed", "3"]);

        let inspected = stdout(&command("inspect", &model, &[]));
        assert!(
            inspected.contains("fits convnet-4-8 for 10 classes"),
            "{inspected}"
        );
        let loaded = load(&model, &burn::tensor::Device::flex()).unwrap();
        let ours = WeightsFile::new(burn::module::Module::into_record(loaded.network)).unwrap();
        let of_run = WeightsFile::read(run.join("seed-3/distilled/model.bpk")).unwrap();
        assert_eq!(ours.checksum(), of_run.checksum(), "{format}");
        let description = loaded.description;
        assert_eq!(description.weights.file, file);
        assert_eq!(description.architecture.name, "convnet-4-8");
        assert_eq!(description.classes.len(), 10);
        assert!(description.normalization.is_some());
        assert_eq!(description.data.unwrap()["name"], "digits");
    }
}

#[test]
fn the_card_has_the_results_of_the_run_and_its_recipe() {
    let run = finished();
    let out = tempfile::tempdir().unwrap();
    let model = exported(run, out.path(), &[]);

    let card = fs::read_to_string(model.join("README.md")).unwrap();
    let result = result(run);
    let accuracy = &result["distilled"]["accuracy"];
    let percent = |value: &Value| format!("{:.2}", 100.0 * value.as_f64().unwrap());
    let results = format!(
        "{} ± {} | {} |",
        percent(&accuracy["mean"]),
        percent(&accuracy["std"]),
        percent(&accuracy["per_seed"][0])
    );
    let recipe = fs::read_to_string(run.join("recipe.toml")).unwrap();
    let sha256 = ModelDescription::read(&model).unwrap().weights.sha256;
    for part in [
        results.as_str(),
        recipe.trim(),
        sha256.as_str(),
        "| Teacher | `mlp-32` |",
        "| Losses | cross-entropy (weight 0.1), soft-target (weight 0.9) |",
        "labeled for the student |",
        "| Seed | 0, of the seeds [0,3] |",
        "smoke test",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
}

#[test]
fn the_evaluation_of_a_model_is_that_of_its_run() {
    let run = finished();
    let out = tempfile::tempdir().unwrap();
    let model = exported(run, out.path(), &["--seed", "3"]);
    let of_run = result(run);
    let expected = of_run["distilled"]["accuracy"]["per_seed"][1]
        .as_f64()
        .unwrap();

    for (folder, more) in [(model.as_path(), &[][..]), (run, &["--seed", "3"])] {
        let output = command("eval", folder, &[more, &["--json"]].concat());
        let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(found["accuracy"].as_f64().unwrap(), expected);
        assert_eq!(found["samples"], of_run["samples"][2]);
        assert_eq!(found["classes"].as_array().unwrap().len(), 10);
    }
    let table = stdout(&command("eval", &model, &[]));
    let accuracy = format!("{:.2} %", 100.0 * expected);
    assert!(
        table.contains(&accuracy) && table.contains("recall %"),
        "{table}"
    );
}

#[test]
fn a_model_is_not_evaluated_on_samples_it_was_trained_on() {
    let run = finished();
    let out = tempfile::tempdir().unwrap();
    let model = exported(run, out.path(), &[]);
    let other = out.path().join("other.toml");
    let recipe = fs::read_to_string(recipe("quickstart")).unwrap();
    fs::write(
        &other,
        recipe.replace("test = 0.3", "test = 0.3\nsplit_seed = 1"),
    )
    .unwrap();
    let other = other.display().to_string();

    let message = refusal(&command("eval", &model, &["--data", other.as_str()]));
    assert!(message.contains("of these test samples"), "{message}");
    assert!(message.contains("`data.split_seed = 0`"), "{message}");
    let message = refusal(&command("eval", &model, &["--data", "digit"]));
    assert!(message.contains("did you mean `digits`?"), "{message}");
    let photos = out.path().display().to_string();
    let message = refusal(&command("eval", &model, &["--data", photos.as_str()]));
    assert!(message.contains("has this path as `folder`"), "{message}");
}

#[test]
fn images_are_classified_by_an_exported_model_and_by_a_run() {
    let run = finished();
    let out = tempfile::tempdir().unwrap();
    let model = exported(run, out.path(), &[]);
    let digits = burn_distill::data::digits();
    let files: Vec<_> = (0..2)
        .map(|id| {
            let pixels = digits
                .pixels(id)
                .iter()
                .map(|&pixel| (u32::from(pixel) * 255 / 16) as u8);
            let image = image::GrayImage::from_raw(8, 8, pixels.collect()).unwrap();
            let path = out.path().join(format!("a,{id}.png"));
            image.save(&path).unwrap();
            path.display().to_string()
        })
        .collect();
    let files: Vec<_> = files.iter().map(String::as_str).collect();

    let predicted = |folder: &Path, format: &str| {
        let more = [&files[..], &["--top", "2", "--format", format]].concat();
        stdout(&command("predict", folder, &more))
    };
    let lines = predicted(&model, "jsonl");
    assert_eq!(predicted(run, "jsonl"), lines);
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    for (line, file) in lines.iter().zip(&files) {
        assert_eq!(line["file"], json!(file));
        let classes = line["classes"].as_array().unwrap();
        assert_eq!(classes.len(), 2);
        assert!(classes[0]["probability"].as_f64() >= classes[1]["probability"].as_f64());
    }
    let table = predicted(&model, "table");
    let first = lines[0]["classes"][0]["class"].as_str().unwrap();
    assert!(
        table.contains("probability %") && table.contains(first),
        "{table}"
    );
    let csv = predicted(&model, "csv");
    let rows: Vec<_> = csv.lines().collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0], "file,row,rank,class,probability");
    assert!(
        rows[1].starts_with(&format!("\"{}\",,1,{first},", files[0])),
        "{csv}"
    );
}

#[test]
fn files_that_are_no_images_are_refused_by_their_names() {
    let out = tempfile::tempdir().unwrap();
    let model = exported(finished(), out.path(), &[]);
    for (name, contents) in [("empty.png", &b""[..]), ("text.png", b"text")] {
        let file = out.path().join(name);
        fs::write(&file, contents).unwrap();
        let file = file.display().to_string();
        let message = refusal(&command("predict", &model, &[&file]));
        assert!(message.contains(name), "{message}");
    }
    let message = refusal(&command("predict", &model, &["no.png"]));
    assert!(message.contains("no.png"), "{message}");
    let folder = out.path().display().to_string();
    let message = refusal(&command("predict", &model, &[&folder]));
    assert!(message.contains("give the files in it"), "{message}");

    // The others are classified all the same.
    let good = out.path().join("good.png");
    image::GrayImage::new(8, 8).save(&good).unwrap();
    let good = good.display().to_string();
    let empty = out.path().join("empty.png").display().to_string();
    let files = [&empty, &good, "no.png"].map(|file: &str| file);
    let output = command(
        "predict",
        &model,
        &[&files[..], &["--format", "csv"]].concat(),
    );
    assert!(!output.status.success());
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(lines.contains("good.png,,1,"), "{lines}");
    assert!(!lines.contains("empty.png"), "{lines}");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("2 of 3 files are not classified"),
        "{errors}"
    );
    assert!(
        errors.contains("empty.png") && errors.contains("no.png"),
        "{errors}"
    );
}

#[test]
fn an_exported_model_teaches_with_its_origin() {
    let out = tempfile::tempdir().unwrap();
    for (format, file) in [
        ("burnpack", "model.bpk"),
        ("safetensors", "model.safetensors"),
    ] {
        let folder = out.path().join(format);
        let more = ["--format", format, "--out", folder.to_str().unwrap()];
        assert_success(&command("export", finished(), &more));
        let weights = format!("teacher.weights={}", folder.join(file).display());
        let changes = [
            &["seeds=[0]", "teacher.model=convnet-4-8"][..],
            &[weights.as_str(), "student.training.epochs=1"],
        ]
        .concat();
        let same = run(&out.path().join(format!("run-{format}")), &changes, &[]);
        assert_success(&same);
        let warnings = String::from_utf8_lossy(&same.stderr).into_owned();
        assert!(!warnings.contains("no record of the origin"), "{warnings}");

        let changes = [&changes[..], &["data.split_seed=7"]].concat();
        let error = refusal(&run(&out.path().join("other"), &changes, &[]));
        assert!(error.contains("of the test samples of this run"), "{error}");
    }
}

#[test]
fn a_student_with_a_view_is_exported_with_it() {
    let out = tempfile::tempdir().unwrap();
    let view = "student.model={ name = 'mlp-8', view = { crop = [0, 0, 8, 4], pool = [4, 2] } }";
    assert_success(&run(
        &out.path().join("run"),
        &[&SHORT[..], &[view]].concat(),
        &[],
    ));
    let model = exported(&out.path().join("run"), out.path(), &[]);

    let evaluated = stdout(&command("eval", &model, &["--json"]));
    let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
    let accuracy = &result(&out.path().join("run"))["distilled"]["accuracy"]["mean"];
    assert_eq!(evaluated["accuracy"], *accuracy);
    // Programs load it without a registry.
    let loaded = load(&model, &burn::tensor::Device::flex()).unwrap();
    let mut pixels = vec![0; 64];
    let left = loaded.classify(&pixels).unwrap()[0].probability;
    pixels[7] = 255;
    assert_eq!(loaded.classify(&pixels).unwrap()[0].probability, left);
    pixels[0] = 255;
    assert_ne!(loaded.classify(&pixels).unwrap()[0].probability, left);
}

#[test]
fn students_of_stages_routes_and_tasks_are_exported_and_evaluated() {
    for (name, changes) in [
        (
            "strategy/two-stage-hints",
            &["stage.0.epochs=1", "stage.1.epochs=1"][..],
        ),
        (
            "strategy/route-constrained",
            &["teacher.training.epochs=4", "student.training.epochs=4"],
        ),
        ("lifelong/lwf", &["student.training.epochs=1"]),
        (
            "lifelong/icarl",
            &["student.training.epochs=1", "strategy.exemplars=20"],
        ),
    ] {
        let out = tempfile::tempdir().unwrap();
        let run = out.path().join("run");
        let changes = [changes, &["seeds=[0]", "data.samples=200"]].concat();
        let arguments = arguments_of(&recipe(name), &run, &changes);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        assert_success(&program(&arguments).output().unwrap());
        let model = exported(&run, out.path(), &[]);

        for folder in [&run, &model] {
            let evaluated = stdout(&command("eval", folder, &["--json"]));
            let evaluated: Value = serde_json::from_str(&evaluated).unwrap();
            let accuracy = &result(&run)["distilled"]["accuracy"]["mean"];
            assert_eq!(evaluated["accuracy"], *accuracy, "{name}");
        }
    }
}

#[test]
fn runs_without_a_student_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model").display().to_string();
    let refused = |run: &Path, more: &[&str]| {
        let arguments = [&["--out", target.as_str()], more].concat();
        let message = refusal(&command("export", run, &arguments));
        assert!(!Path::new(&target).exists(), "{message}");
        message
    };

    let message = refused(&folder.path().join("no-run"), &[]);
    assert!(
        message.contains("no run, since there is no `recipe.toml`"),
        "{message}"
    );
    let message = refused(finished(), &["--seed", "7"]);
    assert!(
        message.contains("the run has no seed 7: give one of [0, 3]"),
        "{message}"
    );

    let run = copied(finished());
    let result = run.path().join("result.json");
    let text = fs::read_to_string(&result).unwrap();
    fs::write(&result, "{").unwrap();
    assert!(refused(run.path(), &[]).contains("the file is damaged"));
    fs::write(
        &result,
        r#"{ "status": "diverged", "message": "the loss became NaN" }"#,
    )
    .unwrap();
    let message = refused(run.path(), &[]);
    assert!(message.contains("the run has diverged"), "{message}");
    assert!(message.contains("the loss became NaN"), "{message}");
    fs::remove_file(&result).unwrap();
    assert!(refused(run.path(), &[]).contains("the run is not finished"));

    fs::write(&result, text).unwrap();
    let weights = run.path().join("seed-0/distilled/model.bpk");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let message = refused(run.path(), &[]);
    assert!(message.contains("the file is damaged"), "{message}");
    fs::remove_file(&weights).unwrap();
    assert!(refused(run.path(), &[]).contains("the weights of this finished training are missing"));
}

#[test]
fn a_student_that_its_loss_has_extended_is_refused() {
    let out = extended_student();

    let message = refusal(&command("export", out.path(), &["--out", "model"]));
    assert!(message.contains("is not a plain convnet-4-6"), "{message}");
    assert!(
        message.contains("only a plain network can be exported"),
        "{message}"
    );
}

#[test]
fn a_folder_is_never_replaced_unless_it_is_asked_for() {
    let run = finished();
    let out = tempfile::tempdir().unwrap();
    let model = exported(run, out.path(), &[]);
    let target = model.display().to_string();

    let message = refusal(&command("export", run, &["--out", &target]));
    assert!(
        message.contains("exists already: name another folder"),
        "{message}"
    );
    exported(run, out.path(), &["--force", "--format", "safetensors"]);
    assert!(model.join("model.safetensors").exists());
    assert!(!model.join("model.bpk").exists());
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);

    let message = refusal(&command(
        "export",
        run,
        &["--out", &target, "--seed", "0", "--normalize"],
    ));
    assert!(
        message.contains("only an ONNX file can normalize images itself"),
        "{message}"
    );
}

#[test]
fn folders_that_hold_no_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["predict", "eval"] {
        let more: &[&str] = if name == "predict" { &["a.png"] } else { &[] };
        let message = refusal(&command(name, folder.path(), more));
        assert!(
            message.contains("neither an exported model nor a run"),
            "{message}"
        );
    }
    let out = tempfile::tempdir().unwrap();
    let model = exported(finished(), out.path(), &[]);
    let message = refusal(&command("eval", &model, &["--seed", "0"]));
    assert!(
        message.contains("an exported model is of one seed"),
        "{message}"
    );
    fs::write(model.join("model.json"), "{}").unwrap();
    let message = refusal(&command("eval", &model, &[]));
    assert!(
        message.contains("not the description of a model"),
        "{message}"
    );
}

#[test]
fn a_quantized_student_is_measured_before_and_after() {
    let out = tempfile::tempdir().unwrap();
    let model = exported(finished(), out.path(), &["--quantize", "q8"]);

    let card = fs::read_to_string(model.join("README.md")).unwrap();
    let note = card
        .lines()
        .find(|line| line.starts_with("Matrices and kernels are stored in 8 bits"));
    assert!(
        note.unwrap()
            .contains("on the validation samples instead of"),
        "{card}"
    );
    let output = command("eval", &model, &["--json"]);
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let expected = &result(finished())["distilled"]["accuracy"]["per_seed"][0];
    let difference = found["accuracy"].as_f64().unwrap() - expected.as_f64().unwrap();
    assert!(difference.abs() < 0.03, "{difference}");
}

#[cfg(not(feature = "export"))]
#[test]
fn onnx_needs_a_feature() {
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("model").display().to_string();
    let arguments = ["--format", "onnx", "--out", &target];
    let message = refusal(&command("export", finished(), &arguments));
    assert!(message.contains("--features export`"), "{message}");
}

#[cfg(feature = "export")]
#[test]
fn the_student_is_exported_to_onnx() {
    let out = tempfile::tempdir().unwrap();
    let model = exported(finished(), out.path(), &["--format", "onnx", "--normalize"]);

    let bytes = fs::read(model.join("model.onnx")).unwrap();
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    for text in [
        "images",
        "logits",
        "batch",
        "normalization.mean",
        "classifier.weight",
    ] {
        assert!(holds(text), "{text}");
    }
    let description = ModelDescription::read(&model).unwrap();
    assert!(description.weights.onnx.unwrap().normalizes);
    let message = refusal(&command("eval", &model, &[]));
    assert!(
        message.contains("an ONNX file, which is for other programs"),
        "{message}"
    );
}

/// The commands of the page "Deploy the student", in their order, in a folder with their files.
#[cfg(unix)]
#[test]
fn the_commands_of_the_book_work() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/deploy.md");
    let page = fs::read_to_string(page).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap().lines());
    let commands: Vec<_> = lines
        .filter_map(|line| line.strip_prefix("burn-distill "))
        .filter(|command| cfg!(feature = "export") || !command.contains("onnx"))
        .collect();
    assert!(commands.len() >= 5, "{commands:?}");
    let folder = tempfile::tempdir().unwrap();
    let run = copied(finished());
    fs::create_dir_all(folder.path().join("runs")).unwrap();
    fs::create_dir_all(folder.path().join("photos")).unwrap();
    std::os::unix::fs::symlink(run.path(), folder.path().join("runs/quickstart")).unwrap();
    fs::copy(recipe("quickstart"), folder.path().join("other.toml")).unwrap();
    for name in ["cat.png", "dog.png", "photos/cow.png"] {
        let image = image::RgbImage::from_pixel(20, 10, image::Rgb([200, 100, 50]));
        image.save(folder.path().join(name)).unwrap();
    }

    for command in commands {
        let mut shell = std::process::Command::new("sh");
        let shell = shell.current_dir(&folder).env_remove("BURN_DEVICE");
        let output = shell.arg("-c").arg(format!("{PROGRAM} {command}")).output();
        let output = output.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "burn-distill {command}: {stderr}");
    }
}
