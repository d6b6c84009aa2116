//! `burn-distill run` where a network becomes NaN or infinite.

use crate::common::*;
use burn::module::{Module, ModuleMapper, Param};
use burn::store::ModuleRecord;
use burn::tensor::{Device, Tensor};
use burn_distill::architecture::NetworkConfig;
use burn_distill::strategy::WeightsFile;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Checks that a run of the seed 0 failed because that network diverged, that nothing looks like a
/// result, and returns the error.
fn assert_diverged(out: &Path, output: &Output, network: &str, title: &str) -> String {
    assert_seed_diverged(0, out, output, network, title)
}

fn assert_seed_diverged(
    seed: u64,
    out: &Path,
    output: &Output,
    network: &str,
    title: &str,
) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let error = stderr.lines().find(|line| line.starts_with("error: "));
    let error = error.unwrap_or_default().to_string();
    assert!(error.contains(&format!("seed {seed}, {title}")), "{stderr}");
    assert!(output.stdout.is_empty(), "there is no table");

    let result = result(out);
    assert_eq!(result["status"], "diverged", "{result}");
    assert_eq!(result["diverged"]["network"], network, "{result}");
    assert_eq!(result["diverged"]["seed"], seed);
    let text = fs::read_to_string(out.join("result.json")).unwrap();
    assert!(!text.contains("accuracy"), "{text}");
    assert_finite(out);
    error
}

/// Checks that no history below a folder has a value that is NaN or infinite.
fn assert_finite(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_finite(&path);
        } else if path.ends_with("history.csv") {
            let text = fs::read_to_string(&path).unwrap();
            let broken = [",NaN", ",inf", ",-inf"]
                .iter()
                .any(|value| text.contains(value));
            assert!(!broken, "{}: {text}", path.display());
        }
    }
}

/// A training that does not last, but for the normalized steps of Adam.
const HIGH: [&str; 2] = [
    "learning_rate={ base = 1000 }",
    "optimizer={ kind = 'sgd' }",
];

/// A training on which the weight of a loss tells, unlike on the normalized steps of Adam.
const PLAIN: [&str; 2] = [
    "student.training.learning_rate={ base = 0.5 }",
    "student.training.optimizer={ kind = 'sgd' }",
];

#[test]
fn the_network_that_diverged_is_named_and_there_is_no_result() {
    let teacher = HIGH.map(|change| format!("teacher.training.{change}"));
    let student = HIGH.map(|change| format!("student.training.{change}"));
    let weight = [&PLAIN[..], &["loss.1.weight=1e9"]].concat();
    for (changes, network, title) in [
        (
            teacher.iter().map(String::as_str).collect(),
            "teacher",
            "the teacher diverged in epoch ",
        ),
        (
            student.iter().map(String::as_str).collect(),
            "baseline",
            "the student (baseline) diverged in epoch ",
        ),
        (
            weight,
            "distilled",
            "the distilled student diverged in epoch ",
        ),
    ] {
        let out = tempfile::tempdir().unwrap();
        let changes = [&SHORT[..], &changes].concat();

        let output = run(out.path(), &changes, &["--progress", "none"]);

        let error = assert_diverged(out.path(), &output, network, title);
        let only = String::from_utf8_lossy(&output.stderr);
        assert!(only.lines().count() <= 3, "{only}");
        assert!(
            result(out.path())["diverged"]["epoch"].as_u64() >= Some(1),
            "{error}"
        );

        // The students of a teacher that diverged were not begun.
        let distilled = out.path().join("seed-0/distilled");
        assert_eq!(distilled.exists(), network == "distilled");
        assert!(!distilled.join("model.bpk").exists());
    }
}

#[test]
fn a_diverged_run_reports_the_same_when_it_is_resumed() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SHORT[..], &PLAIN, &["loss.1.weight=1e9"]].concat();
    let title = "the distilled student diverged in epoch ";
    let first = run(out.path(), &changes, &[]);
    let first = assert_diverged(out.path(), &first, "distilled", title);

    for _ in 0..2 {
        let resumed = run(out.path(), &changes, &["--resume"]);

        let resumed = assert_diverged(out.path(), &resumed, "distilled", title);
        assert_eq!(resumed, first);
    }
}

#[test]
fn a_network_that_diverged_on_the_validation_samples_only_has_no_result() {
    // One step, after a loss that is large but finite.
    let changes = [
        "data.samples=200",
        "seeds=[0]",
        "teacher.model=mlp-32",
        "teacher.training.epochs=1",
        "student.model=mlp-32-32-32",
        "student.training.batch_size=512",
        "student.training.epochs=1",
        "student.training.learning_rate.base=100",
        "student.training.optimizer={ kind = 'sgd' }",
        "loss.0.weight=1e9",
        "loss.1.weight=1e9",
    ];
    let out = tempfile::tempdir().unwrap();
    let title = "the distilled student diverged in epoch 1";

    let output = run(out.path(), &changes, &["--progress", "lines"]);

    assert_diverged(out.path(), &output, "distilled", title);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let line = stderr
        .lines()
        .find(|line| line.contains("distilled  epoch"));
    let line = line.expect(&stderr);
    assert!(line.contains("  validation: loss is not finite"), "{line}");
    assert!(!out.path().join("seed-0/distilled/model.bpk").exists());
    let resumed = run(out.path(), &changes, &["--resume"]);
    assert_diverged(out.path(), &resumed, "distilled", title);
}

#[test]
fn no_line_shows_an_accuracy_of_a_network_that_diverged() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SHORT[..], &PLAIN, &["loss.1.weight=1e9"]].concat();

    let output = run(out.path(), &changes, &["--progress", "lines"]);

    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut lines = stderr.lines();
    let line = lines
        .find(|line| line.contains("distilled  epoch ") && line.contains("loss is not finite"));
    let line = line.unwrap_or_else(|| panic!("{stderr}"));
    assert!(
        !line.contains("accuracy") && !line.contains("NaN"),
        "{line}"
    );
}

/// Changes of a recipe of a strategy after which the baseline is trained as before, but no other
/// network.
const STRATEGIES: [(&str, &[&str]); 15] = [
    ("mutual", &[BOTH]),
    ("mutual", &[BOTH, "strategy.order=sequential"]),
    ("adversarial-features", &[BOTH]),
    ("collaborative", &[BOTH]),
    ("codistillation", &[BOTH]),
    ("native-ensemble", &[BOTH, "strategy={ kind = 'one' }"]),
    ("byot", &[BOTH]),
    ("sd-dropout", &["loss=[{ kind = 'hard', weight = 1e9 }]"]),
    ("dlb", &[BOTH]),
    ("tf-kd", &[BOTH]),
    (
        "tf-kd-virtual",
        &["loss=[{ kind = 'hard', weight = 1e9 }, { kind = 'virtual-teacher' }]"],
    ),
    (
        "group-leader",
        // The peers diverge at this rate, but not the normalized student.
        &[
            "student.training.learning_rate={ base = 100 }",
            "strategy={ kind = 'okddip', peers = ['mlp-512-512-512', 'mlp-512-512-512'], \
             tap = 'hidden.3' }",
        ],
    ),
    ("ps-kd", &[BOTH]),
    (
        "mean-teacher",
        &[
            BOTH,
            "strategy={ kind = 'ema', decay = 0.9 }",
            "data.labels_per_class=2",
        ],
    ),
    ("cs-kd", &[BOTH]),
];

const BOTH: &str = "loss=[{ kind = 'hard', weight = 1e9 }, { kind = 'kd' }]";

const SMALL: [&str; 4] = [
    "data.samples=96",
    "student.model=convnet-4-6",
    "student.training.epochs=2",
    "student.training.batch_size=32",
];

#[test]
fn every_strategy_that_diverges_is_reported() {
    for (name, changes) in STRATEGIES {
        let out = tempfile::tempdir().unwrap();
        let changes = [&SMALL[..], &PLAIN, changes].concat();
        let arguments = arguments_of(&recipe(&format!("strategy/{name}")), out.path(), &changes);

        let output = program(&more_than(&arguments, &[])).output().unwrap();

        assert_diverged(out.path(), &output, "distilled", "the distilled student");
    }
}

#[test]
fn a_pretraining_that_diverges_is_named() {
    let out = tempfile::tempdir().unwrap();
    let changes = [
        &SMALL[..],
        &PLAIN,
        &[
            "data.labels_per_class=2",
            "strategy={ kind = 'dino', epochs = 2, weight_decay = 1e6 }",
        ],
    ];
    let arguments = arguments_of(&recipe("strategy/dino"), out.path(), &changes.concat());

    let output = program(&more_than(&arguments, &[])).output().unwrap();

    let title = "the pretrained student diverged in epoch ";
    assert_diverged(out.path(), &output, "pretrained", title);
}

#[test]
fn a_second_teacher_that_diverges_is_named() {
    let out = tempfile::tempdir().unwrap();
    let [rate, optimizer] = HIGH;
    let second = format!(
        "teacher.others=[{{ model = 'mlp-8', training = {{ epochs = 2, {rate}, {optimizer} }} }}]"
    );

    let output = run(out.path(), &[&SHORT[..], &[&second]].concat(), &[]);

    assert_diverged(
        out.path(),
        &output,
        "teacher-2",
        "teacher 2 diverged in epoch ",
    );
    assert!(!out.path().join("seed-0/baseline").exists());
}

#[test]
fn an_anchor_of_a_route_at_which_the_student_diverges_is_named() {
    let out = tempfile::tempdir().unwrap();
    let changes = [
        &PLAIN[..],
        &[
            "data.samples=96",
            "teacher.model=mlp-32",
            "teacher.training.epochs=2",
            "student.model=mlp-8",
            "student.training.epochs=2",
            "route={ anchors = 2 }",
            BOTH,
        ],
    ];
    let file = recipe("strategy/route-constrained");
    let arguments = arguments_of(&file, out.path(), &changes.concat());

    let output = program(&more_than(&arguments, &[])).output().unwrap();

    let title = "the distilled student, stage `anchor-1` diverged in epoch ";
    assert_diverged(out.path(), &output, "distilled", title);
    assert_eq!(result(out.path())["diverged"]["stage"], "anchor-1");
}

#[test]
fn a_preparation_that_diverges_is_named() {
    let out = tempfile::tempdir().unwrap();
    // Large features, on which the paraphraser diverges, but finite predictions.
    let file = out.path().join("large.bpk");
    let model = NetworkConfig::by_name("convnet-4-8").unwrap();
    let network = model.init([1, 8, 8], 10, &Device::flex()).unwrap();
    let record: ModuleRecord = network.map(&mut Fill(100.0)).into_record();
    record.save(&file).unwrap();
    let weights = format!("teacher.weights={}", file.display());
    let changes = [
        &SMALL[..],
        &PLAIN,
        &["seeds=[0]", "teacher.model=convnet-4-8", &weights],
    ];
    let run_folder = out.path().join("run");
    let file = recipe("feature/factor-transfer");
    let arguments = arguments_of(&file, &run_folder, &changes.concat());

    let output = program(&more_than(&arguments, &[])).output().unwrap();

    let title = "paraphraser diverged in epoch ";
    assert_diverged(&run_folder, &output, "paraphraser", title);
    assert!(!run_folder.join("seed-0/distilled").exists());
}

#[test]
fn a_later_seed_that_diverges_leaves_no_result_of_the_others() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SHORT[1..], &["seeds=[0, 1]"]].concat();
    assert_success(&run(out.path(), &changes, &[]));
    let model = NetworkConfig::by_name("mlp-8").unwrap();
    let network = model.init([1, 8, 8], 10, &Device::flex()).unwrap();
    let huge: ModuleRecord = network.map(&mut Fill(3e38)).into_record();
    let file = out.path().join("seed-1/distilled/model.bpk");
    WeightsFile::new(huge).unwrap().write(&file).unwrap();
    // As if the training had left them.
    let record = file.with_file_name("training.json");
    fs::write(record, r#"{ "finished": true, "seconds": 1.0 }"#).unwrap();

    let output = run(out.path(), &changes, &["--resume"]);

    let title = "the distilled student: ";
    assert_seed_diverged(1, out.path(), &output, "distilled", title);
}

#[test]
fn a_generation_that_diverges_is_named() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SMALL[..], &PLAIN, &["strategy.generations=2", BOTH]].concat();
    let arguments = arguments_of(&recipe("strategy/born-again"), out.path(), &changes);

    let output = program(&more_than(&arguments, &[])).output().unwrap();

    assert_diverged(out.path(), &output, "generation-1", "generation 1 diverged");
}

#[test]
fn a_stage_that_diverges_is_named() {
    let out = tempfile::tempdir().unwrap();
    let stages = "stage=[{ name = 'first', epochs = 1, loss = [{ kind = 'hard' }] }, \
                  { name = 'second', epochs = 3, loss = [{ kind = 'hard', weight = 1e9 }] }]";
    let changes = [
        &SHORT[..3],
        &PLAIN,
        &[
            "student.model=convnet-4-6",
            "student.training.epochs=1",
            stages,
        ],
    ];
    let changes = changes.concat();
    let changes: Vec<_> = ["loss=[]"].into_iter().chain(changes).collect();

    let output = run(out.path(), &changes, &[]);

    let title = "the distilled student, stage `second` diverged in epoch ";
    assert_diverged(out.path(), &output, "distilled", title);
    assert_eq!(result(out.path())["diverged"]["stage"], "second");
}

/// Every parameter is that value.
struct Fill(f32);

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.full_like(self.0))
    }
}

#[test]
fn a_teacher_whose_weights_or_predictions_are_not_finite_is_refused() {
    let model = NetworkConfig::by_name("mlp-32").unwrap();
    for value in [f32::NAN, f32::INFINITY, 3e38] {
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join("broken.bpk");
        let network = model.init([1, 8, 8], 10, &Device::flex()).unwrap();
        let record: ModuleRecord = network.map(&mut Fill(value)).into_record();
        record.save(&file).unwrap();
        let weights = format!("teacher.weights={}", file.display());
        let run_folder = out.path().join("run");

        let output = run(&run_folder, &[&SHORT[..], &[&weights]].concat(), &[]);

        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("broken.bpk"), "{stderr}");
        if value.is_finite() {
            let error = assert_diverged(&run_folder, &output, "teacher", "the teacher: ");
            let expected = "have logits that are NaN or infinite";
            assert!(error.contains(expected), "{error}");
        } else {
            let expected = "has values that are infinite or not a number";
            assert!(stderr.contains(expected), "{stderr}");
            assert_eq!(output.status.code(), Some(1));
            assert!(!run_folder.exists(), "it is found out before the run");
        }
        assert!(!run_folder.join("seed-0").exists(), "no student has begun");
    }
}

#[test]
fn a_network_or_member_with_predictions_that_are_not_finite_has_no_result() {
    let changes = [
        "data.samples=96",
        "student.model=mlp-8",
        "student.training.epochs=1",
    ];
    let out = tempfile::tempdir().unwrap();
    let arguments = arguments_of(&recipe("strategy/mutual"), out.path(), &changes);
    let arguments = more_than(&arguments, &[]);
    assert_success(&program(&arguments).output().unwrap());
    let seed = out.path().join("seed-0");
    let model = NetworkConfig::by_name("mlp-8").unwrap();
    let network = model.init([1, 8, 8], 10, &Device::flex()).unwrap();
    let huge: ModuleRecord = network.map(&mut Fill(3e38)).into_record();
    let huge = WeightsFile::new(huge).unwrap();
    let broken = out.path().join("broken.bpk");
    huge.write(&broken).unwrap();

    for (file, name, title) in [
        ("baseline/model.bpk", "baseline", "the student (baseline): "),
        (
            "distilled/model.bpk",
            "distilled",
            "the distilled student: ",
        ),
        ("distilled/peer-2.bpk", "peer 2", "peer 2: "),
    ] {
        let file = seed.join(file);
        let whole = fs::read(&file).unwrap();
        fs::copy(&broken, &file).unwrap();
        // As if the training had left them.
        let record = file.with_file_name("training.json");
        fs::write(record, r#"{ "finished": true, "seconds": 1.0 }"#).unwrap();

        let resumed = [&arguments[..], &["--resume"]].concat();
        let output = program(&resumed).output().unwrap();

        let error = assert_diverged(out.path(), &output, name, title);
        assert!(error.contains("NaN or infinite"), "{error}");
        fs::write(&file, whole).unwrap();
    }
}

#[test]
fn a_complete_result_has_the_status_complete() {
    let out = tempfile::tempdir().unwrap();

    assert_success(&run(out.path(), &SHORT, &[]));

    assert_eq!(result(out.path())["status"], Value::from("complete"));
}
