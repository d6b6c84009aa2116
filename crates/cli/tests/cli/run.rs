//! `burn-distill run`: results, refusals, and going on after a kill.

use crate::common::*;
use std::path::Path;
use std::process::Stdio;

#[test]
fn a_run_leaves_its_result_and_prints_a_table() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SHORT[1..], &["seeds=[3, 5]"]].concat();

    let output = run(out.path(), &changes, &[]);

    assert_success(&output);
    let table = String::from_utf8(output.stdout).unwrap();
    for word in [
        "teacher",
        "student (baseline)",
        "distilled",
        "accuracy %",
        "latency ms",
        "mlp-8",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let result = result(out.path());
    for network in ["teacher", "baseline", "distilled"] {
        let network = &result[network];
        let accuracy = &network["accuracy"];
        let mean = accuracy["mean"].as_f64().unwrap();
        assert!((0.2..=1.0).contains(&mean), "{mean}");
        assert_eq!(accuracy["per_seed"].as_array().unwrap().len(), 2);
        assert!(accuracy["std"].as_f64().unwrap() >= 0.0);
        for number in ["parameters", "bytes", "latency_ms", "agreement"] {
            assert!(network[number].as_f64().unwrap() > 0.0, "{number}");
        }
    }
    assert_eq!(result["teacher"]["agreement"], 1.0);
    assert_eq!(result["distilled"]["parameters"], 8 * 65 + 10 * 9);
    assert_eq!(result["seeds"], serde_json::json!([3, 5]));
    assert_eq!(result["labels"], 30);
    assert_eq!(result["device"], "flex");
    assert_eq!(result["recipe"]["student"]["training"]["epochs"], 3);
}

#[test]
fn accuracies_of_embeddings_are_columns_and_numbers_of_each_network() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SHORT[..], &["evaluation={ knn = 5, probe = true }"]].concat();

    let output = run(out.path(), &changes, &[]);

    assert_success(&output);
    let table = String::from_utf8(output.stdout).unwrap();
    for words in [
        "k-NN %",
        "probe %",
        "Distillation changes, on the student's embeddings, the k-NN accuracy by ",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let result = result(out.path());
    for network in ["teacher", "baseline", "distilled"] {
        for measured in ["knn_accuracy", "probe_accuracy"] {
            let mean = result[network][measured]["mean"].as_f64().unwrap();
            assert!((0.3..=1.0).contains(&mean), "{network}, {measured}: {mean}");
        }
    }
}

#[test]
fn the_seed_decides_everything() {
    let outs = [(), ()].map(|()| tempfile::tempdir().unwrap());
    for out in &outs {
        assert_success(&run(out.path(), &SHORT, &["--seed", "7"]));
    }

    let [a, b] = outs.map(|out| result(out.path()));

    assert_eq!(a["seeds"], serde_json::json!([7]));
    for network in ["teacher", "baseline", "distilled"] {
        assert_eq!(a[network]["accuracy"], b[network]["accuracy"]);
        assert_eq!(a[network]["agreement"], b[network]["agreement"]);
    }
}

#[test]
fn a_killed_run_goes_on_to_the_same_result() {
    let [whole, killed] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let changes = [&SHORT[..4], &["student.training.epochs=60"]].concat();
    assert_success(&run(whole.path(), &changes, &[]));

    let arguments = run_arguments(killed.path(), &changes);
    let arguments = more_than(&arguments, &[]);
    let mut child = program(&arguments).stderr(Stdio::null()).spawn().unwrap();
    let training = killed.path().join("seed-0/distilled");
    wait_until("a checkpoint", || {
        checkpointed_epoch(&training).is_some_and(|epoch| epoch > 2)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!killed.path().join("result.json").exists());
    let epoch = checkpointed_epoch(&training).unwrap();
    assert!(epoch < 60, "killed too late to show anything");

    assert_success(&run(killed.path(), &changes, &["--resume"]));

    let [whole, killed] = [whole, killed].map(|out| result(out.path()));
    for network in ["teacher", "baseline", "distilled"] {
        assert_eq!(
            whole[network]["accuracy"], killed[network]["accuracy"],
            "{network}"
        );
        assert_eq!(
            whole[network]["agreement"], killed[network]["agreement"],
            "{network}"
        );
    }
}

#[test]
fn a_teacher_in_training_mode_teaches_otherwise_and_is_measured_alike() {
    let result = |mode: &str| {
        let out = tempfile::tempdir().unwrap();
        let changes = ["teacher.model=convnet-4-8", "teacher.training_mode=true"];
        let changes = match mode {
            "training" => &changes[..],
            _ => &changes[..1],
        };
        assert_success(&run(out.path(), &[&SHORT[..], changes].concat(), &[]));
        let weights = out.path().join("seed-0/distilled/model.bpk");
        (result(out.path()), std::fs::read(weights).unwrap())
    };
    let [(plain, evaluating), (other, training)] = ["evaluation", "training"].map(result);

    assert_eq!(plain["teacher"]["accuracy"], other["teacher"]["accuracy"]);
    assert_ne!(evaluating, training);
}

#[test]
fn a_teacher_may_be_loaded() {
    let [first, second] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    assert_success(&run(first.path(), &SHORT, &[]));

    let weights = first.path().join("seed-0/teacher/model.bpk");
    let weights = format!("teacher.weights={}", weights.display());
    let changes = [&SHORT[..], &[&weights]].concat();
    assert_success(&run(second.path(), &changes, &[]));

    assert!(!second.path().join("seed-0/teacher").exists());
    let [first, second] = [first, second].map(|out| result(out.path()));
    assert_eq!(first["teacher"]["accuracy"], second["teacher"]["accuracy"]);
    assert_eq!(
        first["distilled"]["accuracy"],
        second["distilled"]["accuracy"]
    );
}

#[test]
fn the_accuracy_on_the_left_out_class_is_reported() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SHORT[..], &["data.without_class=3"]].concat();

    assert_success(&run(out.path(), &changes, &[]));

    let result = result(out.path());
    assert_eq!(result["baseline"]["class_accuracy"]["3"]["mean"], 0.0);
    assert!(
        result["teacher"]["class_accuracy"]["3"]["mean"]
            .as_f64()
            .unwrap()
            > 0.5
    );
    assert_eq!(result["labels"], 27);
}

#[test]
fn a_run_without_validation_samples_trains_on_all_others() {
    let out = tempfile::tempdir().unwrap();
    let stages = "stage=[{ name = 'a', epochs = 1, loss = [{ kind = 'soft-target' }] }]";
    let changes = [&SHORT[..], &["data.validation=0"]].concat();
    for (folder, more) in [("plain", None), ("stages", Some([stages, "loss=[]"]))] {
        let changes = [&changes[..], more.as_ref().map_or(&[], |more| &more[..])].concat();
        let folder = out.path().join(folder);
        let output = run(&folder, &changes, &["--progress", "lines"]);

        assert_success(&output);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("no validation samples"), "{text}");
        let result = result(&folder);
        assert_eq!(result["samples"], serde_json::json!([1258, 0, 539]));
        assert!(result["distilled"]["accuracy"]["mean"].is_number());
        assert!(result["stages"][0]["validation_accuracy"].is_null());
    }
}

#[test]
fn a_run_is_not_written_over() {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run(out.path(), &SHORT, &[]));
    let before = std::fs::read(out.path().join("result.json")).unwrap();

    let error = refused(&run(out.path(), &SHORT, &[]));

    assert!(error.contains("already holds a run"), "{error}");
    assert_eq!(
        std::fs::read(out.path().join("result.json")).unwrap(),
        before
    );
}

#[test]
fn wrong_values_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for (changes, more, message) in [
        (
            vec!["student.training.epoch=1"],
            vec![],
            "did you mean `epochs`?",
        ),
        (
            vec!["student.model=resnt20"],
            vec![],
            "did you mean `resnet20`?",
        ),
        (
            vec!["loss.0.kind=soft"],
            vec![],
            "the known ones are cross-entropy, soft-target",
        ),
        (
            vec!["data.labels_per_class=500"],
            vec![],
            "data.labels_per_class",
        ),
        (
            vec![],
            vec!["--device", "abacus"],
            "the known ones are flex, ndarray",
        ),
        (
            vec!["data.name=mnist"],
            vec!["--data-dir", "/nowhere"],
            "/nowhere",
        ),
        // Also where the data is not there to check the losses with.
        (
            vec!["data.name=mnist", "loss.0.kind=soft"],
            vec!["--data-dir", "/nowhere"],
            "there is no loss `soft`",
        ),
    ] {
        let output = run(&out, &changes, &more);
        let error = refused(&output);
        assert!(error.contains(message), "{error}");
    }
    assert!(!Path::new(&out).join("result.json").exists());
}

#[test]
fn layers_are_paired_by_their_similarity_on_a_real_batch() {
    let out = tempfile::tempdir().unwrap();
    let recipe = recipe("feature/pearson");

    let output = program(&["run", &recipe.display().to_string()])
        .args(["--out", &out.path().display().to_string()])
        .args(["--set", "teacher.training.epochs=1"])
        .args(["--set", "student.training.epochs=1"])
        .output()
        .unwrap();

    assert_success(&output);
    let said = String::from_utf8(output.stderr).unwrap();
    let (before, table) = said.split_once(", * where they are paired:").unwrap();
    assert!(
        before.ends_with("seed 0: similarity of the layers"),
        "{said}"
    );
    assert!(!table.contains("where they are paired"), "{said}");
    let rows = table.lines().filter(|line| line.contains('*')).count();
    assert_eq!(rows, 2, "{said}");
    assert!(!said.contains("Iteration"), "{said}");
}

/// The error message of a program that refuses.
fn refused(output: &std::process::Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    error
}
