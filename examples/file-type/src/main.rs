//! Distill magika into a small network, on the files of a disk, without labels.

use burn::module::Module;
use burn::prelude::*;
use burn_distill::core::Network;
use clap::Parser;
use file_type::files::{self, Limits, Purpose};
use file_type::teacher::{Recorded, tokens};
use file_type::{Outcome, Settings, distill, magika};
use serde::Deserialize;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Distill magika into a small network, on the files of a disk, without labels.
#[derive(Parser)]
struct Arguments {
    /// Folder with magika's model.onnx and config.min.json
    model: PathBuf,
    /// Folders with files of any types
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Largest number of files
    #[arg(long, default_value_t = 16_000)]
    files: usize,
    /// Largest number of files with the same ending
    #[arg(long, default_value_t = 800)]
    per_ending: usize,
    /// Number of epochs
    #[arg(long, default_value_t = 15)]
    epochs: usize,
    /// Seed of the weights and of the order of the files
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder of the results
    #[arg(long, default_value = "runs/file-type")]
    out: PathBuf,
}

/// Names of the classes in magika's configuration.
#[derive(Deserialize)]
struct Magika {
    target_labels_space: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let config = read(&arguments.model.join("config.min.json"))?;
    let names = serde_json::from_str::<Magika>(&config)?.target_labels_space;
    let model = arguments.model.join("model.onnx");
    let network = magika::load(&model, &names)?;

    let limits = Limits {
        files: arguments.files,
        per_ending: arguments.per_ending,
    };
    let files = files::collect(&arguments.folders, limits);
    let [train, valid, unseen] = [Purpose::Train, Purpose::Valid, Purpose::Unseen].map(|purpose| {
        let files = files.iter().filter(|file| file.purpose == purpose);
        files.count()
    });
    println!("files: {train} for training, {valid} for validation, {unseen} unseen");

    let start = Instant::now();
    let recorded = Recorded::of(&network, &files);
    println!(
        "teacher: {} in {:.0?}",
        rate(files.len(), start),
        start.elapsed()
    );

    let settings = Settings {
        folder: arguments.out,
        width: 112,
        epochs: arguments.epochs,
        base_lr: 3e-3,
        temperature: 2.0,
        seed: arguments.seed,
    };
    let start = Instant::now();
    let outcome = distill(&files, recorded, &settings, &Device::default())?;
    println!("training: {:.0?}", start.elapsed());

    let some: Vec<_> = files
        .iter()
        .take(256)
        .map(|file| file.tokens.clone())
        .collect();
    let start = Instant::now();
    let device = Device::default();
    let _ = outcome
        .student
        .forward(tokens(&some, &device))
        .rows()
        .logits
        .into_data();
    println!("student: {}", rate(some.len(), start));
    report(&outcome, fs::metadata(&model)?.len(), &names);
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn rate(files: usize, start: Instant) -> String {
    let rate = files as f64 / start.elapsed().as_secs_f64();
    format!("{rate:.0} files per second")
}

/// Prints the sizes, the agreement, and the classes with the most unseen files.
fn report(outcome: &Outcome, bytes_of_teacher: u64, names: &[String]) {
    println!(
        "{}: {} parameters, {} bytes, {:.1} % of the {bytes_of_teacher} of the teacher",
        outcome.file.display(),
        outcome.student.num_params(),
        outcome.bytes,
        100.0 * outcome.bytes as f64 / bytes_of_teacher as f64,
    );
    let mut classes: Vec<_> = names.iter().map(|name| (name, 0, 0, 0)).collect();
    outcome
        .teacher
        .iter()
        .for_each(|class| classes[*class].1 += 1);
    for (file, predicted) in outcome.unseen.iter().zip(&outcome.predicted) {
        let class = outcome.teacher[*file];
        classes[class].2 += 1;
        classes[class].3 += usize::from(class == *predicted);
    }
    classes.retain(|(_, files, ..)| *files > 0);
    classes.sort_by_key(|(_, files, ..)| usize::MAX - files);
    println!(
        "{:<16} {:>6} {:>7} {:>7}",
        "class", "files", "unseen", "agreed"
    );
    for (name, files, unseen, agreed) in &classes {
        println!("{name:<16} {files:>6} {unseen:>7} {agreed:>7}");
    }
    let largest = classes.iter().map(|(_, _, unseen, _)| *unseen).max();
    println!(
        "agreement: {:.2} % of {} unseen files of {} classes ({:.1} % for the most frequent class)",
        100.0 * outcome.agreement(),
        outcome.unseen.len(),
        classes
            .iter()
            .filter(|(_, _, unseen, _)| *unseen > 0)
            .count(),
        100.0 * largest.unwrap_or(0) as f64 / outcome.unseen.len() as f64,
    );
}
