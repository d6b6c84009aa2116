//! Running the program and reading what it leaves.

use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_burn-distill");

/// The quickstart, cut short: small networks, one seed, few epochs.
pub const SHORT: [&str; 5] = [
    "seeds=[0]",
    "teacher.model=mlp-32",
    "teacher.training.epochs=4",
    "student.model=mlp-8",
    "student.training.epochs=3",
];

/// The quickstart, cut short, with a loss that adds layers to the student.
pub const EXTENDED: [&str; 7] = [
    "seeds=[0]",
    "data.samples=64",
    "teacher.model=convnet-4",
    "teacher.training.epochs=1",
    "student.model=convnet-4-6",
    "student.training.epochs=1",
    "loss=[{ kind = 'sim-kd' }]",
];

/// A finished run whose loss has added layers to the student.
pub fn extended_student() -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    assert_success(&run(out.path(), &EXTENDED, &[]));
    out
}

pub fn recipe(name: &str) -> PathBuf {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/recipes");
    recipes.join(name).with_extension("toml")
}

pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    // Whatever the tests run on, the program runs on what it is told.
    command.env_remove("BURN_DEVICE").args(arguments);
    command
}

/// The arguments of a run of the quickstart with changes, into a folder.
pub fn run_arguments(out: &Path, changes: &[&str]) -> Vec<String> {
    arguments_of(&recipe("quickstart"), out, changes)
}

/// The arguments of a run of a recipe with changes, into a folder.
pub fn arguments_of(recipe: &Path, out: &Path, changes: &[&str]) -> Vec<String> {
    let mut arguments = vec!["run".to_string(), recipe.display().to_string()];
    arguments.extend(["--out".into(), out.display().to_string()]);
    for change in changes {
        arguments.extend(["--set".into(), change.to_string()]);
    }
    arguments
}

pub fn run(out: &Path, changes: &[&str], more: &[&str]) -> Output {
    let arguments = run_arguments(out, changes);
    let output = program(more_than(&arguments, more).as_slice()).output();
    output.expect("the program starts")
}

pub fn more_than<'a>(arguments: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let arguments = arguments.iter().map(String::as_str);
    arguments.chain(more.iter().copied()).collect()
}

pub fn assert_success(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

pub fn result(out: &Path) -> Value {
    let text = fs::read_to_string(out.join("result.json")).expect("a result is written");
    serde_json::from_str(&text).expect("it is JSON")
}

/// The last finished epoch of a training, once there is one.
pub fn checkpointed_epoch(training: &Path) -> Option<u64> {
    let text = fs::read_to_string(training.join("checkpoint/checkpoint.json")).ok()?;
    serde_json::from_str::<Value>(&text).ok()?["epoch"].as_u64()
}

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "waited too long for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The output of a program that ends within a time. One that hangs is killed, and the test fails.
pub fn ended(mut child: Child, limit: Duration, what: &str) -> Output {
    // A full pipe would make it wait for its reader.
    let pipes = [
        child.stdout.take().map(read_all),
        child.stderr.take().map(read_all),
    ];
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            panic!("it hangs: {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let [stdout, stderr] = pipes.map(|pipe| pipe.map_or(Vec::new(), |pipe| pipe.join().unwrap()));
    Output {
        status,
        stdout,
        stderr,
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).unwrap();
        text
    })
}

/// The values of a metric in each epoch of a training.
pub fn history(out: &Path, training: &str, split: &str, metric: &str) -> Vec<f64> {
    let file = out.join("seed-0").join(training).join("history.csv");
    let text = fs::read_to_string(file).unwrap();
    let rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let values = rows.filter(|row| row[1..3] == [split, metric]);
    values.map(|row| row[3].parse().unwrap()).collect()
}
