//! `burn-distill run` of recipes without a trained teacher.

use crate::common::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

/// Few samples, a small network and few epochs.
const SMALL: [&str; 4] = [
    "data.samples=96",
    "student.model=convnet-4-6",
    "student.training.epochs=2",
    "student.training.batch_size=32",
];

fn arguments(name: &str, out: &Path, changes: &[&str]) -> Vec<String> {
    let changes = [&SMALL[..], changes].concat();
    arguments_of(&recipe(&format!("strategy/{name}")), out, &changes)
}

fn run(name: &str, out: &Path, changes: &[&str], more: &[&str]) -> Output {
    let arguments = arguments(name, out, changes);
    program(&more_than(&arguments, more)).output().unwrap()
}

fn members(result: &Value) -> Vec<(&str, &Value)> {
    let members = result["members"].as_array().into_iter().flatten();
    members
        .map(|member| (member["name"].as_str().unwrap(), member))
        .collect()
}

/// Run a recipe, and check that it leaves these networks beside the student.
fn check(name: &str, changes: &[&str], expected: &[&str]) {
    let out = tempfile::tempdir().unwrap();

    let output = run(name, out.path(), changes, &[]);

    assert_success(&output);
    let result = result(out.path());
    assert_eq!(result.get("teacher"), None, "{name}");
    let members = members(&result);
    let names: Vec<_> = members.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected, "{name}");
    let students = ["baseline", "distilled"].map(|network| (network, &result[network]));
    for (network, metrics) in students.into_iter().chain(members) {
        let accuracy = metrics["accuracy"]["mean"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy), "{name}: {network}");
        assert_eq!(metrics.get("agreement"), None, "{name}: {network}");
        assert!(metrics["bytes"].as_u64().unwrap() > 0, "{name}: {network}");
    }
    // The deployed network is one like the baseline.
    let [alone, distilled] =
        ["baseline", "distilled"].map(|network| &result[network]["parameters"]);
    assert_eq!(alone, distilled, "{name}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(!table.contains("agreement"), "{table}");
    for network in expected {
        assert!(table.contains(network), "{table}");
    }
}

#[test]
fn peers_teach_each_other() {
    check("mutual", &[], &["peer 2", "ensemble"]);
    check(
        "mutual",
        &[
            "strategy.peers=['mlp-8', 'convnet-4']",
            "strategy.order=sequential",
        ],
        &["peer 2", "peer 3", "ensemble"],
    );
    check(
        "mutual",
        &["strategy.target=others"],
        &["peer 2", "ensemble"],
    );
    check(
        "adversarial-features",
        &["strategy.peers=['convnet-4-6', 'convnet-6-4']"],
        &["peer 2", "peer 3", "ensemble"],
    );
    check(
        "mutual-heterogeneous",
        &[
            "student.model=convnet-4-6",
            "strategy.peers=['convnet-5-8']",
        ],
        &["peer 2", "ensemble"],
    );
    check(
        "codistillation",
        &["strategy.burn_in=2", "strategy.period=1"],
        &["peer 2", "ensemble"],
    );
}

#[test]
fn students_learn_from_an_ensemble() {
    for target in ["min-logit", "general"] {
        let target = format!("strategy.target={target}");
        check(
            "collaborative",
            &[&target],
            &["peer 2", "peer 3", "ensemble"],
        );
    }
    check("native-ensemble", &["strategy.branches=2"], &["ensemble"]);
    check(
        "native-ensemble",
        &[
            "loss=[{ kind = 'hard' }, { kind = 'kd' }]",
            "strategy={ kind = 'one' }",
        ],
        &["ensemble"],
    );
    check(
        "group-leader",
        &["strategy.peers=2"],
        &["peer 1", "peer 2", "ensemble"],
    );
}

#[test]
fn a_student_learns_from_itself() {
    check("tf-kd", &[], &[]);
    check("tf-kd-virtual", &[], &[]);
    check("cs-kd", &[], &[]);
    check("ps-kd", &[], &[]);
    check("dlb", &[], &[]);
    check("sd-dropout", &[], &[]);
    let few = "data.labels_per_class=2";
    check("mean-teacher", &[few], &["average"]);
    check(
        "mean-teacher",
        &[few, "loss=[{ kind = 'hard' }, { kind = 'kd' }]", PLAIN],
        &["average"],
    );
    check(
        "born-again",
        &["strategy.generations=2", "strategy.labels=true"],
        &["generation 1", "ensemble"],
    );
}

#[test]
fn generations_are_distilled_from_the_one_before() {
    for variant in ["cwtm", "dkpp"] {
        let variant =
            format!("strategy={{ kind = 'ban', generations = 2, variant = '{variant}' }}");
        check("born-again", &[&variant], &["generation 1", "ensemble"]);
    }
}

/// Mean teacher without options of its terms.
const PLAIN: &str = "strategy={ kind = 'ema', decay = 0.9 }";

#[test]
fn a_network_with_exits_is_reported_exit_by_exit() {
    let three = "student.model=convnet-4-4-6";
    let exits = ["exit 1", "exit 2", "ensemble"];
    check("byot", &[three], &exits);
    check("byot", &[three, "strategy.variant=later"], &exits);
    check(
        "byot",
        &["loss=[{ kind = 'hard' }, { kind = 'kd' }]"],
        &["exit 1", "ensemble"],
    );
}

#[test]
fn a_student_learns_without_labels_first() {
    check(
        "dino",
        &["data.labels_per_class=2", "strategy.epochs=1"],
        &[],
    );
    // From crops of two sizes.
    check(
        "dino",
        &[
            "data.labels_per_class=2",
            "data.augmentation={}",
            "strategy={ kind = 'dino', epochs = 1, local_crops = 2, local_size = 4, \
             weight_decay = { kind = 'cosine', from = 0.04, to = 0.4, epochs = 1 }, \
             head = { d_output = 16, d_hidden = 16, d_bottleneck = 8 } }",
        ],
        &[],
    );
}

#[test]
fn a_run_warns_of_a_ramp_that_is_longer_than_it_is() {
    let out = tempfile::tempdir().unwrap();

    let strategy = "strategy={ kind = 'one', branches = 2 }";
    let output = run("native-ensemble", out.path(), &[strategy], &[]);

    assert_success(&output);
    let message = String::from_utf8(output.stderr).unwrap();
    let warning = "warning: in 2 epochs the weight of the ensemble term only rises to 0.01 of";
    assert!(message.contains(warning), "{message}");
}

#[test]
fn a_student_without_a_teacher_equals_the_baseline() {
    let out = tempfile::tempdir().unwrap();

    let changes = ["strategy.weight=0", "student.training.epochs=12"];
    assert_success(&run("mutual", out.path(), &changes, &[]));

    // Same initial weights, same samples, the same number of steps.
    let result = result(out.path());
    assert_eq!(
        result["distilled"]["accuracy"],
        result["baseline"]["accuracy"]
    );
    let peer = &result["members"][0];
    assert_ne!(peer["accuracy"], result["baseline"]["accuracy"]);
}

#[test]
fn a_deployed_student_can_be_a_teacher() {
    let [ensemble, offline] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    assert_success(&run("native-ensemble", ensemble.path(), &[], &[]));

    let weights = ensemble.path().join("seed-0/distilled/model.bpk");
    let weights = format!("teacher.weights={}", weights.display());
    let same = ["teacher.model=convnet-4-6", "data.test=0.25"];
    let changes = [&SHORT[..], &same, &[&weights]].concat();
    assert_success(&crate::common::run(offline.path(), &changes, &[]));

    let [ensemble, offline] = [ensemble, offline].map(|out| result(out.path()));
    assert_eq!(
        offline["teacher"]["accuracy"],
        ensemble["distilled"]["accuracy"]
    );
}

#[test]
fn each_generation_is_distilled_from_the_one_before_it() {
    let out = tempfile::tempdir().unwrap();
    let changes = ["strategy.generations=2", "student.training.epochs=3"];
    assert_success(&run("born-again", out.path(), &changes, &[]));

    for [teacher, student] in [["baseline", "generation-1"], ["generation-1", "distilled"]] {
        let said = history(out.path(), teacher, "valid", "Accuracy");
        let distilled = history(out.path(), student, "valid", "Teacher Accuracy");
        assert_eq!(distilled, vec![said[2]; 3], "{student}");
    }
}

#[test]
fn the_baseline_is_the_teacher_of_a_student_of_its_model() {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run("tf-kd", out.path(), &[], &[]));

    let said = history(out.path(), "baseline", "valid", "Accuracy");
    let distilled = history(out.path(), "distilled", "valid", "Teacher Accuracy");
    assert_eq!(distilled, vec![said[1]; 2]);
}

#[test]
fn a_virtual_teacher_is_not_trained() {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run("tf-kd-virtual", out.path(), &[], &[]));

    let file = out.path().join("seed-0/distilled/history.csv");
    let text = fs::read_to_string(file).unwrap();
    assert!(!text.contains("Teacher"), "{text}");
    let term = |name: &str| history(out.path(), "distilled", "train", &format!("Loss @ {name}"));
    let (hard, distilled) = (term("cross-entropy"), term("virtual-teacher"));
    let loss = history(out.path(), "distilled", "train", "Loss");
    for epoch in 0..2 {
        assert!(distilled[epoch] > 1e-4);
        let sum = 0.9 * hard[epoch] + 0.1 * distilled[epoch];
        assert!((loss[epoch] - sum).abs() < 1e-4, "{loss:?}");
    }
}

#[test]
fn a_training_without_a_batch_is_refused_before_any() {
    let own = "stage=[{ name = 'a', loss = [{ kind = 'hard' }], training = { epochs = 1, \
               batch_size = 97, drop_last = true } }]";
    for (name, key, changes) in [
        (
            "tf-kd",
            "student.training",
            [
                "student.training.drop_last=true",
                "student.training.batch_size=97",
            ],
        ),
        (
            "two-stage-hints",
            "teacher.training",
            [
                "teacher.training.drop_last=true",
                "teacher.training.batch_size=97",
            ],
        ),
        ("two-stage-hints", "stage.0.training", [own, "seeds=[0]"]),
    ] {
        let out = tempfile::tempdir().unwrap();
        let out = out.path().join("run");
        let output = run(name, &out, &changes, &[]);

        assert!(!output.status.success());
        let message = String::from_utf8(output.stderr).unwrap();
        let expected = format!(
            "`{key}.drop_last` leaves no batch: there are 96 training samples, and \
             `{key}.batch_size` is 97"
        );
        assert!(message.contains(&expected), "{message}");
        assert!(!out.exists(), "nothing has begun");
    }
}

#[test]
fn another_sample_of_the_class_is_used_in_training_only() {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run("cs-kd", out.path(), &[], &[]));

    let term = |split| history(out.path(), "distilled", split, "Loss @ soft-target");
    assert_eq!(term("train").len(), 2);
    assert!(term("train").iter().all(|&loss| loss > 1e-3));
    assert!(term("valid").is_empty(), "a validation has no pairs");
}

#[test]
fn the_history_has_no_term_of_copies_before_the_burn_in() {
    for (burn_in, expected) in [
        ("strategy.burn_in=1000000", vec!["cross-entropy"]),
        (
            "strategy.burn_in=0",
            vec!["cross-entropy", "soft-cross-entropy"],
        ),
    ] {
        let out = tempfile::tempdir().unwrap();
        assert_success(&run("codistillation", out.path(), &[burn_in], &[]));

        let file = out.path().join("seed-0/distilled/history.csv");
        let text = fs::read_to_string(file).unwrap();
        assert!(!text.contains("NaN"), "{text}");
        let terms = text
            .lines()
            .filter_map(|line| line.split(',').nth(2)?.strip_prefix("Loss @ peer 1 "));
        let terms: BTreeSet<_> = terms.collect();
        assert_eq!(terms, BTreeSet::from_iter(expected), "{burn_in}");
    }
}

#[test]
fn metrics_of_a_memory_are_those_of_its_samples() {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run("ps-kd", out.path(), &[], &[]));

    for metric in ["Teacher Accuracy", "Agreement"] {
        let values = |split| history(out.path(), "distilled", split, metric);
        assert_eq!(
            values("train").len(),
            1,
            "{metric}: from the second epoch on"
        );
        assert!(values("valid").is_empty(), "{metric}");
    }
    let accuracy = history(out.path(), "distilled", "valid", "Accuracy");
    assert_eq!(accuracy.len(), 2);
}

/// Kill a run of a recipe once that training is some epochs old, go on with it, and compare with a
/// run that was not killed. Then load the result.
fn check_resume(name: &str, training: &str, changes: &[&str]) {
    let [whole_run, killed_run] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    assert_success(&run(name, whole_run.path(), changes, &[]));

    let arguments = arguments(name, killed_run.path(), changes);
    let mut child = program(&more_than(&arguments, &[]))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let training = killed_run.path().join("seed-0").join(training);
    wait_until("a checkpoint", || {
        checkpointed_epoch(&training).is_some_and(|epoch| epoch > 2)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed_run.path().join("result.json").exists(), "too late");

    // The second time, all of it is done.
    for _ in 0..2 {
        assert_success(&run(name, killed_run.path(), changes, &["--resume"]));

        let [whole, killed] = [&whole_run, &killed_run].map(|out| result(out.path()));
        for network in ["baseline", "distilled"] {
            let [whole, killed] = [&whole, &killed].map(|result| &result[network]["accuracy"]);
            assert_eq!(whole, killed, "{name}: {network}");
        }
        assert_eq!(members(&whole).len(), members(&killed).len(), "{name}");
        for ((member, whole), (_, killed)) in members(&whole).iter().zip(members(&killed)) {
            assert_eq!(whole["accuracy"], killed["accuracy"], "{name}: {member}");
        }
        let of_seed = |out: &tempfile::TempDir| out.path().join("seed-0");
        for entry in fs::read_dir(of_seed(&whole_run)).unwrap() {
            let training = entry.unwrap().file_name();
            let weights = |out| fs::read(of_seed(out).join(&training).join("model.bpk")).unwrap();
            let (whole, killed) = (weights(&whole_run), weights(&killed_run));
            assert!(whole == killed, "{name}: {training:?}");
        }
    }
}

#[test]
fn killed_peers_go_on_to_the_same_result() {
    let changes = [
        "student.training.epochs=30",
        "strategy.burn_in=20",
        "strategy.period=7",
    ];
    check_resume("codistillation", "distilled", &changes);
}

#[test]
fn a_student_killed_while_it_has_no_labels_goes_on_to_the_same_result() {
    let changes = ["strategy.epochs=20", "data.labels_per_class=2"];
    check_resume("dino", "pretrained", &changes);
}

#[test]
fn a_killed_memory_goes_on_to_the_same_result() {
    check_resume("dlb", "distilled", &["student.training.epochs=30"]);
}

/// A run of a chain of assistants, which are listed in the result.
fn check_chain(name: &str, changes: &[&str]) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let changes = [&["teacher.training.epochs=2", "data.samples=96"], changes].concat();
    let output = run(name, out.path(), &changes, &[]);

    assert_success(&output);
    let result = result(out.path());
    let members = members(&result);
    let names: Vec<_> = members.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["assistant 1", "assistant 2"], "{name}");
    for (member, metrics) in members {
        assert!(metrics["agreement"].as_f64().is_some(), "{member}");
    }
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("assistant 2"), "{table}");
    out
}

#[test]
fn assistants_learn_from_the_network_before_them_and_teach_the_next() {
    let out = check_chain("takd", &["student.training.epochs=3"]);

    for [teacher, student] in [
        ["teacher", "assistant-1"],
        ["assistant-1", "assistant-2"],
        ["assistant-2", "distilled"],
    ] {
        let said = history(out.path(), teacher, "valid", "Accuracy");
        let distilled = history(out.path(), student, "valid", "Teacher Accuracy");
        assert_eq!(distilled, vec![*said.last().unwrap(); 3], "{student}");
    }
}

#[test]
fn the_best_epochs_of_teacher_and_assistants_teach() {
    let changes = [
        "strategy.teaching_epoch=best",
        "teacher.training.epochs=6",
        "student.training.epochs=6",
        // So high that the accuracy goes up and down.
        "student.training.learning_rate={ base = 0.1 }",
    ];
    let out = check_chain("takd", &changes);

    for [teacher, student] in [["teacher", "assistant-1"], ["assistant-2", "distilled"]] {
        let said = history(out.path(), teacher, "valid", "Accuracy");
        let best = said.iter().copied().fold(0.0, f64::max);
        let distilled = history(out.path(), student, "valid", "Teacher Accuracy");
        assert_eq!(distilled, vec![best; 6], "{student}");
    }
}

#[test]
fn the_teacher_and_all_assistants_guide_a_student() {
    let out = check_chain("dgkd", &["student.training.epochs=2"]);

    // The first assistant has one guide, the student two that are kept of three.
    for training in ["assistant-1", "assistant-2", "distilled"] {
        let values = history(out.path(), training, "train", "Loss @ soft-target");
        assert_eq!(values.len(), 2, "{training}");
        let loss = history(out.path(), training, "train", "Loss");
        for (value, loss) in values.iter().zip(loss) {
            assert!(
                (value - loss).abs() < 1e-6 * loss,
                "{training}: {value} {loss}"
            );
        }
    }
    check_chain(
        "dgkd",
        &[
            "student.training.epochs=1",
            "loss=[{ kind = 'label-smoothing' }, { kind = 'attention-transfer', weight = 10 }]",
        ],
    );
}

#[test]
fn killed_chains_go_on_to_the_same_result() {
    let changes = ["teacher.training.epochs=2", "student.training.epochs=20"];
    check_resume("takd", "assistant-2", &changes);
    let best = [&changes[..], &["strategy.teaching_epoch=best"]].concat();
    check_resume("dgkd", "assistant-1", &best);
    check_resume("dgkd", "distilled", &changes);
}

#[test]
fn a_student_learns_to_deceive_a_discriminator() {
    let out = tempfile::tempdir().unwrap();
    let changes = ["teacher.training.epochs=2", "data.labels_per_class=4"];
    let output = run("adversarial-logits", out.path(), &changes, &[]);

    assert_success(&output);
    for term in [
        "cross-entropy",
        "logit-matching",
        "adversarial",
        "discriminator",
    ] {
        let values = history(out.path(), "distilled", "train", &format!("Loss @ {term}"));
        assert!(
            values.len() == 2 && values.iter().all(|value| value.is_finite()),
            "{term}"
        );
    }
    // The deployed network is one like the baseline.
    let result = result(out.path());
    let [alone, distilled] = ["baseline", "distilled"].map(|of| &result[of]["parameters"]);
    assert_eq!(alone, distilled);
}

#[test]
fn labels_and_teacher_have_separate_momenta() {
    let out = tempfile::tempdir().unwrap();
    let short = [
        "teacher.training.epochs=2",
        "student.training.learning_rate.base=0.01",
    ];
    assert_success(&run("dot", out.path(), &short, &[]));
    for term in ["cross-entropy", "soft-target"] {
        let values = history(out.path(), "distilled", "train", &format!("Loss @ {term}"));
        assert!(
            values.len() == 2 && values.iter().all(|value| value.is_finite()),
            "{term}"
        );
    }

    for (change, expected) in [
        (
            "student.training.optimizer={ kind = 'adam' }",
            "`student.training.optimizer` should be `{ kind = \"sgd\" }`",
        ),
        (
            "strategy.delta=0.1",
            "`strategy.delta` should be from 0, at most the momentum, 0.9",
        ),
        (
            "loss=[{ kind = 'kd' }]",
            "there are 0 of the labels and 1 of the teacher",
        ),
    ] {
        let out = tempfile::tempdir().unwrap();
        let output = run("dot", out.path(), &[change], &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(expected),
            "{change}: {stderr}"
        );
    }
}

#[test]
fn killed_velocities_go_on_to_the_same_result() {
    let changes = ["teacher.training.epochs=2", "student.training.epochs=30"];
    check_resume("dot", "distilled", &changes);
}

#[test]
fn a_killed_game_goes_on_to_the_same_result() {
    let changes = ["teacher.training.epochs=2", "student.training.epochs=30"];
    check_resume("adversarial-logits", "distilled", &changes);
}

#[test]
fn a_game_is_refused_with_what_it_cannot_have() {
    let out = tempfile::tempdir().unwrap();
    for (change, expected) in [
        ("route={ anchors = 1 }", "[route] is for plain distillation"),
        (
            "loss=[{ kind = 'kd', views = 2 }]",
            "`loss.0.views` is for plain distillation",
        ),
        (
            "loss=[{ kind = 'hard' }, { kind = 'kd', clip = true }]",
            "`loss.1.clip` is for plain",
        ),
        (
            "strategy.game.learning_rate=0",
            "`strategy.game.learning_rate` should be above 0",
        ),
    ] {
        let output = run("adversarial-logits", out.path(), &[change], &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(expected),
            "{change}: {stderr}"
        );
    }
}

#[test]
fn killed_generations_go_on_to_the_same_result() {
    let changes = ["student.training.epochs=20", "strategy.generations=3"];
    check_resume("born-again", "generation-2", &changes);
}
