//! `-v`, `-vv` and `-vvv`: each shows more, and only the last one every iteration.

use crate::common::*;

fn said(flags: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let output = run(out.path(), &SHORT, flags);
    assert_success(&output);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn v_shows_the_parts_of_a_run_and_the_start_and_end_of_each_training() {
    let plain = said(&[]);
    assert!(!plain.contains("info: "), "{plain}");

    let said = said(&["-v"]);

    for part in [
        "info: data: digits, images of 1x8x8, 10 classes; ",
        "the student has 30 labels",
        "info: teacher: mlp-32, 2 410 parameters",
        "info: student: mlp-8, 610 parameters",
        "info: loss of the student: cross-entropy, weight 0.1",
        "info: loss of the student: soft-target, temperature 4.0, weight 0.9",
        "info: seed 0 teacher starts with epoch 1 of 4",
        "info: seed 0 teacher ends after epoch 4 of 4",
        "info: seed 0 baseline starts",
        "info: seed 0 distilled ends after epoch 3 of 3",
        "info: weights, checkpoints and history.csv of each training: ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        said.contains("epoch 1/4"),
        "the lines are still there: {said}"
    );
    assert!(!said.contains("debug: "), "{said}");
    assert!(said.lines().count() < 60, "{said}");
}

#[test]
fn vv_shows_every_epoch_and_vvv_every_iteration() {
    let twice = said(&["-vv"]);

    let of_epoch = |epoch: &str| {
        let lines = twice.lines().filter(|line| line.contains(epoch));
        lines.count()
    };
    for epoch in ["seed 0 teacher  epoch 2/4", "seed 0 distilled  epoch 3/3"] {
        assert_eq!(of_epoch(epoch), 2, "training and validation: {twice}");
    }
    assert!(
        twice.contains("debug: ") && twice.contains("training: loss "),
        "{twice}"
    );
    assert!(!twice.contains("Iteration"), "{twice}");
    // 10 epochs, two lines each, and what -v says.
    assert!(twice.lines().count() < 80, "{twice}");

    let thrice = said(&["-vvv"]);
    assert!(
        thrice.lines().count() > 2 * twice.lines().count(),
        "{thrice}"
    );
}

#[test]
fn v_is_independent_of_the_display() {
    let said = said(&["-vv", "--progress", "none"]);

    assert!(said.contains("debug: seed 0 teacher  epoch 1/4"), "{said}");
    assert!(said.contains("info: seed 0 baseline ends"), "{said}");
}
