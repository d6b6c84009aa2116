//! A short run of the program: every method is trained, and the teacher learns the shapes.

use std::process::Command;

#[test]
fn all_methods_are_trained_and_the_teacher_learns() {
    let folder = tempfile::tempdir().unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_segmentation"));
    let output = { program }
        .args(["20", "1"])
        .current_dir(folder.path())
        .output()
        .unwrap();

    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|out| String::from_utf8_lossy(out));
    assert!(output.status.success(), "{stderr}");
    let iou = |name: &str| -> f64 {
        let line = stdout.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name}: {stdout}"));
        let rest = line[name.len()..].trim();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    // Predicting the background everywhere gives less than 25.
    assert!(iou("teacher") > 28.0, "{stdout}");
    for name in ["baseline", "CWD", "SKD", "MGD"] {
        let iou = iou(&format!("student, {name}"));
        assert!((1.0..100.0).contains(&iou), "{stdout}");
    }
}
