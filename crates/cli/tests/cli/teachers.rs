//! Several teachers at once.

use crate::common::*;
use std::fs;

#[test]
fn every_teacher_is_trained_once_and_teaches() {
    let others = "teacher.others=[{ model = 'mlp-16' }, { model = 'mlp-32' }]";
    let losses = "loss=[{ kind = 'kd' }, { kind = 'modality-graph' }, { kind = 'logits-graph' }]";
    let changes = [&SHORT[..], &[others, losses]].concat();
    let folder = tempfile::tempdir().unwrap();
    assert_success(&run(folder.path(), &changes, &[]));

    let expected = result(folder.path());
    assert_eq!(expected["others"].as_array().unwrap().len(), 2);
    // Of one model, but from another seed.
    let agreement = |network: &serde_json::Value| network["agreement"].as_f64().unwrap();
    assert_eq!(agreement(&expected["teacher"]), 1.0);
    assert!(agreement(&expected["others"][1]) < 1.0);

    let weights = folder.path().join("seed-0/teacher-3/model.bpk");
    let before = fs::metadata(&weights).unwrap().modified().unwrap();
    fs::remove_dir_all(folder.path().join("seed-0/distilled")).unwrap();
    let output = run(folder.path(), &changes, &["--resume"]);
    assert_success(&output);

    assert_eq!(fs::metadata(&weights).unwrap().modified().unwrap(), before);
    let resumed = result(folder.path());
    assert_eq!(
        resumed["distilled"]["accuracy"],
        expected["distilled"]["accuracy"]
    );
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("teacher 2") && table.contains("teacher 3"),
        "{table}"
    );
}

#[test]
fn a_loss_is_of_one_teacher_or_of_a_random_one() {
    let others = "teacher.others=[{ model = 'mlp-16' }]";
    let losses = "loss=[{ kind = 'kd', of_teacher = 'random' }, \
                  { kind = 'hint', name = 'hidden', of_teacher = 'mlp-16' }]";
    let changes = [&SHORT[..], &[others, losses]].concat();
    let folder = tempfile::tempdir().unwrap();
    assert_success(&run(folder.path(), &changes, &[]));
    let expected = result(folder.path());

    fs::remove_dir_all(folder.path().join("seed-0/distilled")).unwrap();
    assert_success(&run(folder.path(), &changes, &["--resume"]));
    assert_eq!(
        result(folder.path())["distilled"]["accuracy"],
        expected["distilled"]["accuracy"]
    );

    let other = tempfile::tempdir().unwrap();
    let losses = "loss=[{ kind = 'kd', of_teacher = 2 }]";
    let changes = [&SHORT[..], &[others, losses]].concat();
    let output = run(other.path(), &changes, &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("`loss.0.of_teacher` should be a number from 0 to 1 (there are 2 teachers)"),
        "{error}"
    );
}

#[test]
fn teachers_of_other_architectures_and_from_files_teach_together() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first");
    assert_success(&run(&first, &SHORT, &[]));
    let weights = first.join("seed-0/teacher/model.bpk");

    let others = format!(
        "teacher.others=[{{ model = 'mlp-32', weights = '{}' }}, \
         {{ model = 'vit-16-1-2', training = {{ epochs = 1 }} }}]",
        weights.display()
    );
    let losses = "loss=[{ kind = 'cross-entropy' }, { kind = 'entropy-weighted' }, \
                  { kind = 'confidence-aware' }, { kind = 'adaptive-ensemble' }, \
                  { kind = 'relational-distance' }, \
                  { kind = 'confidence-feature' }, \
                  { kind = 'adaptive-feature', teachers = ['layer1', 'hidden.1', 'pool'] }]";
    let changes = [
        "seeds=[0]",
        "teacher.model=convnet-4-8",
        "teacher.training.epochs=1",
        "student.model=mlp-8",
        "student.training.epochs=2",
        &others,
        losses,
    ];
    let second = folder.path().join("second");
    assert_success(&run(&second, &changes, &[]));

    let (first, second) = (result(&first), result(&second));
    assert_eq!(second["others"].as_array().unwrap().len(), 2);
    assert_eq!(
        second["others"][0]["accuracy"],
        first["teacher"]["accuracy"]
    );
    assert!(second["distilled"]["accuracy"].is_object());
}

#[test]
fn a_student_learns_the_classes_of_teachers_that_know_different_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = recipe("response/amalgamated-teachers");
    let run = |out: &str, changes: &[&str], more: &[&str]| {
        let arguments = arguments_of(&path, &folder.path().join(out), changes);
        let output = program(more_than(&arguments, more).as_slice()).output();
        output.expect("the program starts")
    };
    let output = run("all", &["seeds=[0]"], &[]);
    assert_success(&output);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("and its losses use no labels."), "{table}");
    let found = result(&folder.path().join("all"));
    let accuracy = |network: &serde_json::Value| network["accuracy"]["mean"].as_f64().unwrap();
    for teacher in [&found["teacher"], &found["others"][0]] {
        assert!((0.35..=0.6).contains(&accuracy(teacher)), "{teacher}");
        // From teachers alone, more than either of them knows.
        assert!(
            accuracy(&found["distilled"]) > accuracy(teacher) + 0.05,
            "{found}"
        );
    }

    // The teacher is loaded with the classes that it knows.
    fs::remove_dir_all(folder.path().join("all/seed-0/distilled")).unwrap();
    assert_success(&run("all", &["seeds=[0]"], &["--resume"]));
    let resumed = result(&folder.path().join("all"));
    assert_eq!(
        accuracy(&resumed["distilled"]),
        accuracy(&found["distilled"])
    );

    for (change, message) in [
        (
            "teacher.only_classes=['0', '1']",
            "no teacher knows the class `2`, so that the student would never predict it",
        ),
        (
            "teacher.only_classes=['zero']",
            "`teacher.only_classes`: the data has no class `zero`",
        ),
    ] {
        let output = run("refused", &[change], &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(message), "{error}");
    }

    // The file of the teacher records the classes that it was trained on.
    let weights = folder.path().join("all/seed-0/teacher/model.bpk");
    let weights = format!("teacher.weights={}", weights.display());
    let others = "teacher.only_classes=['0', '1', '2', '3', '4', '5']";
    let output = run("refused", &[&weights, others], &[]);
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = "these weights were trained on the classes `0`, `1`, `2`, `3`, `4` only";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_distilled_student_is_the_teacher_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let distil = |name: &str, teacher: &str| {
        let out = folder.path().join(name);
        let changes = [teacher, "student.training.epochs=1", "seeds=[0]"];
        let arguments = arguments_of(&recipe(name), &out, &changes);
        let output = program(more_than(&arguments, &[]).as_slice()).output();
        assert_success(&output.expect("the program starts"));
        (result(&out), out.join("seed-0/distilled/model.bpk"))
    };

    let teacher = "teacher.training.epochs=1";
    let (auxiliary, weights) = distil("relation/information-flow-auxiliary", teacher);
    let teacher = format!("teacher.weights={}", weights.display());
    let (student, _) = distil("relation/information-flow", &teacher);

    assert_eq!(
        student["teacher"]["accuracy"],
        auxiliary["distilled"]["accuracy"]
    );
}
