//! `burn-distill run` of students with quantized weights.

use crate::common::*;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill::architecture::UniformGrid;
use burn_distill::core::WeightsFile;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Few samples, small networks and few epochs.
const SMALL: [&str; 6] = [
    "data.samples=96",
    "teacher.model=convnet-8",
    "teacher.training.epochs=2",
    "student.model=convnet-4-6",
    "student.training.epochs=2",
    "student.training.batch_size=32",
];

fn run(name: &str, out: &Path, changes: &[&str], more: &[&str]) -> Output {
    let arguments = arguments_of(&recipe(&format!("strategy/{name}")), out, changes);
    program(&more_than(&arguments, more)).output().unwrap()
}

fn run_small(name: &str, out: &Path, changes: &[&str]) -> Output {
    run(name, out, &[&SMALL[..], changes].concat(), &[])
}

/// A student of a strategy without a teacher.
fn run_strategy(name: &str, out: &Path, changes: &[&str]) -> Output {
    let changes = [&SMALL[..1], &SMALL[3..], changes].concat();
    run(name, out, &changes, &[])
}

fn weights(file: &Path) -> BTreeMap<String, TensorData> {
    let file = WeightsFile::read(file).unwrap();
    let tensors = file.tensors();
    tensors
        .map(|(path, data)| (path.to_string(), data))
        .collect()
}

/// Returns whether quantizing kernels and vectors by 2 bits in buckets of 8 changes nothing.
fn is_on_grid(data: &TensorData) -> bool {
    let values: Vec<f32> = data.iter().collect();
    let shape = [values.len()];
    let tensor = Tensor::<1>::from_data(TensorData::new(values.clone(), shape), &Device::flex());
    let again: Vec<f32> = UniformGrid::new(2, 8)
        .quantize(tensor)
        .into_data()
        .iter()
        .collect();
    let mut pairs = again.iter().zip(&values);
    pairs.all(|(a, b)| (a - b).abs() < 1e-6)
}

/// Weights of linear layers are quantized in another layout than that of the file.
const ON_GRID: [&str; 4] = [
    "layer.0.conv.weight",
    "layer.0.bn.gamma",
    "layer.1.conv.weight",
    "fc.bias",
];

/// Returns the models in the checkpoint of a training.
fn checkpointed(training: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(training.join("checkpoint")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let models = files.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("model") && name.ends_with(".bpk")
    });
    let models: Vec<_> = models.collect();
    assert!(!models.is_empty(), "{}", training.display());
    models
}

const TWO_BITS: &str = "student.quantization={ bits = 2, bucket_size = 8 }";

#[track_caller]
fn assert_on_grid(file: &Path) {
    let weights = weights(file);
    for path in ON_GRID {
        assert!(is_on_grid(&weights[path]), "{path} of {}", file.display());
    }
    assert!(!weights.keys().any(|path| path.contains("learned")));
}

fn accuracy(result: &Value) -> f64 {
    result["accuracy"]["mean"].as_f64().unwrap()
}

#[test]
fn the_saved_student_is_quantized_and_the_checkpoint_is_not() {
    let out = tempfile::tempdir().unwrap();
    let output = run_small("quantized", out.path(), &[TWO_BITS]);
    assert_success(&output);

    for role in ["baseline", "distilled"] {
        let folder = out.path().join("seed-0").join(role);
        assert_on_grid(&folder.join("model.bpk"));
        let models = checkpointed(&folder);
        for model in models {
            let weights = weights(&model);
            assert!(
                !is_on_grid(&weights["student.layer.1.conv.weight"]),
                "{role}"
            );
        }
    }
    let teacher = weights(&out.path().join("seed-0/teacher/model.bpk"));
    assert!(!is_on_grid(&teacher["layer.0.conv.weight"]));

    // 36 + 216 weights of kernels, 4 · 5 of vectors, 60 + 10 of the classifier, 2 bits each; two
    // numbers for each bucket; running statistics.
    let result = result(out.path());
    let buckets = (5 + 1 + 1) + (27 + 1 + 1) + (8 + 2);
    let bits = (9 + 1 + 1) + (54 + 2 + 2) + (15 + 3);
    let packed = bits + 8 * buckets + 4 * (2 * 4 + 2 * 6);
    for network in ["baseline", "distilled"] {
        assert_eq!(result[network]["packed_bytes"], packed, "{network}");
    }
    assert_eq!(result["teacher"].get("packed_bytes"), None);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("packed bytes"), "{table}");

    // The file holds the network that was measured.
    let folder = out.path().display().to_string();
    let evaluated = program(&["eval", &folder, "--json"]).output().unwrap();
    assert_success(&evaluated);
    let evaluated: Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    assert_eq!(
        evaluated["accuracy"].as_f64().unwrap(),
        accuracy(&result["distilled"])
    );

    // After the training, 16 bits change next to nothing, and one bit does.
    let rounded = |bits: &str| {
        let output = program(&["eval", &folder, "--bits", bits, "--json"]).output();
        let output = output.unwrap();
        assert_success(&output);
        let rounded: Value = serde_json::from_slice(&output.stdout).unwrap();
        rounded["negative_log_likelihood"].as_f64().unwrap()
    };
    let whole = evaluated["negative_log_likelihood"].as_f64().unwrap();
    assert!((rounded("16") - whole).abs() < 1e-3);
    assert!((rounded("1") - whole).abs() > 1e-3);
    let refused = program(&["eval", &folder, "--bits", "0"]).output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(
        message.contains("--bits: `bits` should be from 1 to 16"),
        "{message}"
    );

    let model = out.path().join("exported");
    let target = model.display().to_string();
    let exported = program(&["export", &folder, "--out", &target]).output();
    assert_success(&exported.unwrap());
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    let row = format!("| Quantization | weights of 2 bits, trained quantized: {packed} bytes");
    assert!(card.contains(&row), "{card}");
    assert_on_grid(&model.join("model.bpk"));
}

#[test]
fn a_finished_run_with_learned_steps_is_read_again_and_exported() {
    let out = tempfile::tempdir().unwrap();
    let learned = "student.quantization={ kind = 'learned-step', bits = 3 }";
    let changes = [&SMALL[..], &["teacher.model=convnet-4-6", learned]].concat();
    assert_success(&run("learned-step", out.path(), &changes, &[]));
    let first = result(out.path());
    fs::remove_file(out.path().join("result.json")).unwrap();

    assert_success(&run("learned-step", out.path(), &changes, &["--resume"]));

    let again = result(out.path());
    for network in ["baseline", "distilled"] {
        for key in ["accuracy", "packed_bytes", "bytes", "parameters"] {
            assert_eq!(again[network][key], first[network][key], "{network} {key}");
        }
    }
    let file = out.path().join("seed-0/distilled/model.bpk");
    let weights = weights(&file);
    assert!(!weights.keys().any(|path| path.contains("learned")));
    // Whole multiples of one step, from −4 to 3.
    let kernel: Vec<f32> = weights["layer.1.conv.weight"].iter().collect();
    let mut levels: Vec<_> = kernel.iter().map(|value| value.to_bits()).collect();
    levels.sort();
    levels.dedup();
    assert!(levels.len() <= 8 + 1, "{} levels", levels.len());
    let vector: Vec<f32> = weights["layer.1.bn.gamma"].iter().collect();
    assert!(vector.iter().any(|value| *value != vector[0]));

    // Its weights are stored in 8 bits as they are.
    let model = out.path().join("small").display().to_string();
    let run = out.path().display().to_string();
    let exported = program(&["export", &run, "--quantize", "q8", "--out", &model]).output();
    assert_success(&exported.unwrap());
    let loaded = burn_distill::interchange::load(&model, &Device::flex()).unwrap();
    for (path, data) in burn_distill::core::tensors(&loaded.network) {
        data.assert_approx_eq::<f32>(&weights[&path], Tolerance::absolute(1e-6));
    }
}

#[test]
fn levels_are_learned_for_the_weights_of_the_teacher() {
    let out = tempfile::tempdir().unwrap();
    let levels = "student.quantization={ kind = 'learned-levels', bits = 2 }";
    let changes = ["teacher.model=convnet-4-6", levels];
    assert_success(&run_small("learned-levels", out.path(), &changes));

    let folder = out.path().join("seed-0");
    let kernel = "layer.1.conv.weight";
    let teacher = weights(&folder.join("teacher/model.bpk"));
    for checkpoint in checkpointed(&folder.join("distilled")) {
        let weights = weights(&checkpoint);
        assert_eq!(weights[&format!("student.{kernel}")], teacher[kernel]);
        // Levels that have moved.
        let levels: Vec<f32> = weights["student.learned.0"].iter().collect();
        assert_eq!(levels.len(), 4);
        assert!((levels[1] - 1.0 / 3.0).abs() > 1e-6, "{levels:?}");
    }
    let deployed = weights(&folder.join("distilled/model.bpk"));
    // Fewer weights than a bucket has.
    let mut values: Vec<f32> = deployed[kernel].iter().collect();
    values.sort_by(f32::total_cmp);
    values.dedup();
    assert!(values.len() <= 4, "{values:?}");
}

#[test]
fn students_of_every_kind_of_strategy_are_quantized() {
    let model = |out: &Path| out.join("seed-0/distilled/model.bpk");
    for (name, changes) in [
        ("mutual", &[][..]),
        ("cs-kd", &[]),
        ("dlb", &[]),
        ("sd-dropout", &[]),
        ("tf-kd", &[]),
        ("mean-teacher", &["data.labels_per_class=2"]),
        ("born-again", &["strategy.generations=2"]),
        ("byot", &[]),
    ] {
        let out = tempfile::tempdir().unwrap();
        let changes = [changes, &[TWO_BITS]].concat();
        assert_success(&run_strategy(name, out.path(), &changes));
        assert_on_grid(&model(out.path()));
        let result = result(out.path());
        assert!(result["distilled"]["packed_bytes"].is_u64(), "{name}");
        let members = fs::read_dir(out.path().join("seed-0/distilled")).unwrap();
        for file in members.map(|entry| entry.unwrap().path()) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("peer") || name.starts_with("average") {
                assert_on_grid(&file);
            }
        }
    }
    for changes in [
        // Stages and routes.
        vec!["two-stage-hints", "stage.0.epochs=1", "stage.1.epochs=1"],
        vec![
            "route-constrained",
            "teacher.training.epochs=4",
            "student.training.epochs=4",
        ],
        // A loss that extends the student, one with several views, and one that is clipped.
        vec!["quantized", "loss=[{ kind = 'sim-kd' }]"],
        vec![
            "quantized",
            "loss=[{ kind = 'hard' }, { kind = 'kd', weight = 0.1, clip = 0.5 }]",
        ],
        vec!["quantized", "teacher.others=[{ model = 'mlp-16' }]"],
        // An assistant that is smaller than the student, which it teaches unquantized.
        vec![
            "quantized",
            "strategy={ kind = 'assistants', assistants = [{ model = 'mlp-2' }] }",
        ],
    ] {
        let out = tempfile::tempdir().unwrap();
        let [name, changes @ ..] = changes.as_slice() else {
            unreachable!("a recipe has a name");
        };
        let changes = [changes, &[TWO_BITS]].concat();
        assert_success(&run_small(name, out.path(), &changes));
        let weights = weights(&model(out.path()));
        // A loss may have put the student under a name.
        let paths = ["layer.1.conv.weight", "student.layer.1.conv.weight"];
        let kernel = paths.into_iter().find_map(|path| weights.get(path));
        assert!(is_on_grid(kernel.unwrap()), "{name} {changes:?}");
    }
}

#[test]
fn a_quantization_that_does_not_fit_is_refused_before_anything_is_trained() {
    let refusal = |output: Output| {
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    for (change, expected) in [
        (
            "student.quantization={ bits = 0 }",
            "`student.quantization.bits` should be from 1 to 16, but is 0",
        ),
        (
            "student.quantization={ kind = 'learned-step', bits = 1 }",
            "`student.quantization.bits` should be from 2 to 16, but is 1",
        ),
        (
            "student.quantization={ except = ['lay'] }",
            "student.quantization: The network has no part `lay` to leave in full precision",
        ),
        (
            "student.quantization={ bit = 2 }",
            "unknown key `student.quantization.bit`, did you mean `bits`?",
        ),
        (
            "student.quantization={ kind = 'uniforms' }",
            "(did you mean `uniform`?)",
        ),
    ] {
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("run");
        let message = refusal(run_small("quantized", &out, &[change]));
        assert!(message.contains(expected), "{message}");
        assert!(!out.exists(), "nothing has begun");
    }
    for name in ["native-ensemble", "dino"] {
        let out = tempfile::tempdir().unwrap();
        let message = refusal(run_strategy(name, out.path(), &[TWO_BITS]));
        assert!(
            message.contains("does not train a quantized student"),
            "{message}"
        );
    }
}
