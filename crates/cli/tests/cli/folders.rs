//! The folder of a run is that of one process.

use crate::common::*;
use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

const TINY: &str = "name = 'tiny'\n\
    data = { name = 'digits', samples = 64 }\n\
    teacher = { model = 'mlp-4', training = { epochs = 1 } }\n\
    student = { model = 'mlp-4', training = { epochs = 1 } }\n\
    loss = [{ kind = 'soft-target' }]\n";

#[test]
fn runs_that_start_at_once_have_a_folder_each() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("recipe.toml"), TINY).unwrap();

    let starts: Vec<_> = (1..=8)
        .map(|seed| {
            program(&["run", "recipe.toml", "--progress", "none"])
                .args(["--seed", &seed.to_string()])
                .current_dir(folder.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for start in starts {
        assert_success(&ended(start, Duration::from_secs(300), "a tiny run"));
    }

    let mut seeds = BTreeSet::new();
    for number in 1..=8 {
        let name = match number {
            1 => "tiny".to_string(),
            number => format!("tiny-{number}"),
        };
        let run = folder.path().join("runs").join(name);
        let result = result(&run);
        let recipe: toml::Table = fs::read_to_string(run.join("recipe.toml"))
            .unwrap()
            .parse()
            .unwrap();
        let seed = result["seeds"][0].as_u64().unwrap();
        assert_eq!(recipe["seeds"][0].as_integer(), Some(seed as i64));
        assert_eq!(result["recipe"]["seeds"][0].as_u64(), Some(seed));
        seeds.insert(seed);
    }
    assert_eq!(seeds, (1..=8).collect());
}

#[test]
fn a_run_that_is_running_is_neither_resumed_nor_started_again() {
    let out = tempfile::tempdir().unwrap();
    let changes = [&SHORT[..2], &["teacher.training.epochs=100000"]].concat();
    let arguments = run_arguments(out.path(), &changes);
    let mut running = program(&more_than(&arguments, &[]))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let training = out.path().join("seed-0/teacher");
    wait_until("a checkpoint", || checkpointed_epoch(&training).is_some());
    let files = || -> BTreeSet<_> {
        let entries = fs::read_dir(out.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    let before = (files(), fs::read(out.path().join("recipe.toml")).unwrap());

    for more in [&["--resume"][..], &[]] {
        let refused = run(out.path(), &changes, more);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{error}");
        let holder = format!("is in use by process {} on ", running.id());
        assert!(error.contains(&holder) && error.contains(" ago"), "{error}");
    }
    let after = (files(), fs::read(out.path().join("recipe.toml")).unwrap());
    assert_eq!(before, after);
    assert!(running.try_wait().unwrap().is_none(), "it continues");

    // A crash releases the folder.
    running.kill().unwrap();
    running.wait().unwrap();
    let epoch = checkpointed_epoch(&training);
    let mut resumed = program(&more_than(&arguments, &["--resume", "--progress", "none"]))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("another epoch", || checkpointed_epoch(&training) > epoch);
    resumed.kill().unwrap();
    resumed.wait().unwrap();
}
