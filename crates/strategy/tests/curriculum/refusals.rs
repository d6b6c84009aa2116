use crate::common::digits::*;
use burn_distill_core::tensors;
use burn_distill_strategy::{Curriculum, CurriculumError};
use std::fs;

/// Returns a curriculum with one finished stage.
fn with_hints(folder: &std::path::Path) -> Curriculum {
    let mut curriculum = quiet(folder);
    let model = distiller(new_student(), &teacher(), hints());
    curriculum.run(stage("hints", 1), model, loaders()).unwrap();
    curriculum
}

fn error<T>(result: Result<T, CurriculumError>) -> String {
    result.err().unwrap().to_string()
}

#[test]
fn another_order_or_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    with_hints(folder.path());

    let model = || distiller(new_student(), &teacher(), hints());
    let mut renamed = quiet(folder.path());
    let renamed = error(renamed.run(stage("at", 1), model(), loaders()));
    assert!(
        renamed.contains("stage number 1 was started as `hints` of 1 epochs, but is now `at`"),
        "{renamed}"
    );

    let mut curriculum = with_hints(folder.path());
    let twice = error(curriculum.run(stage("hints", 1), model(), loaders()));
    assert!(twice.contains("cannot be named `hints`"), "{twice}");
}

#[test]
fn the_error_about_a_missing_artifact_names_its_stage() {
    let folder = tempfile::tempdir().unwrap();
    let curriculum = with_hints(folder.path());
    fs::remove_file(folder.path().join("hints/student.bpk")).unwrap();

    let error = error(curriculum.load("student", &new_student()));

    assert!(
        error.contains("hints/student.bpk: the artifact `student` of the stage `hints` is missing"),
        "{error}"
    );
}

#[test]
fn the_error_about_an_artifact_that_does_not_fit_names_the_expected_shape() {
    let folder = tempfile::tempdir().unwrap();
    let curriculum = with_hints(folder.path());

    let wider = Net::new(4, 1);
    let before = tensors(&wider);
    let error = error(curriculum.load("student", &wider));

    for part in [
        "hints/student.bpk: the artifact `student` of the stage `hints` does not fit this module",
        "classifier.weight: shape mismatch, expected",
        "[4, 10]",
        "[3, 10]",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(tensors(&wider), before);
}

#[test]
fn the_error_about_a_damaged_artifact_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let curriculum = with_hints(folder.path());
    fs::write(folder.path().join("hints/student.bpk"), "short").unwrap();

    let error = error(curriculum.load("student", &new_student()));
    assert!(
        error.contains("hints/student.bpk: the artifact `student`"),
        "{error}"
    );
}

#[test]
fn the_error_about_an_unknown_artifact_suggests_the_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let empty = error(quiet(folder.path()).load("student", &new_student()));
    assert_eq!(
        empty,
        "no stage so far has saved an artifact `student`, or any other artifact"
    );

    let misspelled = error(with_hints(folder.path()).load("studnet", &new_student()));
    assert!(
        misspelled.contains("did you mean `student`?"),
        "{misspelled}"
    );

    // Finished by an earlier run, but not reached in this one.
    assert!(!quiet(folder.path()).has("student"));
}

#[test]
fn a_stage_that_is_not_in_the_journal_starts_anew() {
    let [fresh, stale] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    // The files in the folder belong to another student.
    let other = distiller(Net::new(3, 7), &teacher(), hints());
    let mut curriculum = quiet(stale.path());
    curriculum.run(stage("hints", 1), other, loaders()).unwrap();
    fs::remove_file(stale.path().join("curriculum.json")).unwrap();

    let [fresh, stale] = [fresh, stale].map(|folder| {
        let student = with_hints(folder.path()).load("student", &new_student());
        tensors(&student.unwrap())
    });
    assert_eq!(stale, fresh);
}
