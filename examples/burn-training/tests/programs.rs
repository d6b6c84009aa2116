//! Both programs run, and their difference is small.

use std::path::Path;
use std::process::Command;

fn source(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(str::to_string).collect()
}

/// Returns the number of lines of two programs outside a longest common subsequence.
fn difference(one: &[String], other: &[String]) -> usize {
    let mut common = vec![0; other.len() + 1];
    for line in one {
        let mut diagonal = 0;
        for (place, candidate) in other.iter().enumerate() {
            let above = common[place + 1];
            common[place + 1] = match line == candidate {
                true => diagonal + 1,
                false => above.max(common[place]),
            };
            diagonal = above;
        }
    }
    one.len() + other.len() - 2 * common[other.len()]
}

#[test]
fn a_distilled_program_differs_by_at_most_25_lines() {
    let lines = difference(&source("plain.rs"), &source("distilled.rs"));

    assert!((1..=25).contains(&lines), "{lines} lines");
}

#[test]
fn a_student_learns_from_the_teacher_that_the_plain_program_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let run = |program: &str, arguments: [&str; 2]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
    };

    run(env!("CARGO_BIN_EXE_plain"), ["runs/teacher", "32"]);
    run(env!("CARGO_BIN_EXE_distilled"), ["runs/student", "4"]);

    assert!(folder.path().join("runs/student/model.bpk").exists());
}
