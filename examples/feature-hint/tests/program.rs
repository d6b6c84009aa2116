//! The program runs, and its student learns.

use std::process::Command;

#[test]
fn the_student_is_right_about_most_digits() {
    let folder = tempfile::tempdir().unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_feature-hint"));
    let output = { program }.current_dir(folder.path()).output().unwrap();

    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|out| String::from_utf8_lossy(out));
    assert!(output.status.success(), "{stderr}");
    let accuracy = stdout.split(' ').next().and_then(|text| text.parse().ok());
    assert!(
        accuracy.is_some_and(|accuracy: f64| accuracy > 90.0),
        "{stdout}"
    );
    let history = folder.path().join("runs/feature-hint/student/history.csv");
    let history = std::fs::read_to_string(history).unwrap();
    assert!(history.contains("Loss @ hint"), "{history}");
}
