//! The model card of an exported student.

use super::finished::FinishedRun;
use burn_distill::interchange::{ModelDescription, ModelFormat};
use burn_distill_recipe::without_folders;
use serde_json::Value;
use std::fmt::Write as _;

/// Data sets that only show that a recipe runs.
const SMOKE_TESTS: [&str; 1] = ["digits"];

/// Largest number of classes that are named in the text.
const NAMED_CLASSES: usize = 20;

/// Returns the model card of the student of a seed, in Markdown, with notes on the export.
pub fn card(run: &FinishedRun, seed: u64, model: &ModelDescription, notes: &[String]) -> String {
    let recipe = run.recipe();
    let name = recipe.student.model.to_string();
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };

    line(format!("# {}: {name}\n", recipe.name));
    if !recipe.about.is_empty() {
        line(format!("{}\n", recipe.about));
    }
    line(format!(
        "A `{name}` for {}, with {} parameters and {} classes: {}.\n",
        model.input,
        model.parameters,
        model.classes.len(),
        classes(model)
    ));

    line("## Distillation\n".into());
    line("| | |\n| --- | --- |".into());
    let teachers = recipe.teachers();
    let teachers: Vec<_> = teachers
        .iter()
        .map(|teacher| format!("`{}`", teacher.name()))
        .collect();
    let teachers = match teachers.is_empty() {
        true => "no separate teacher".into(),
        false => teachers.join(", "),
    };
    line(format!("| Teacher | {teachers} |"));
    line(format!("| Strategy | {} |", recipe.strategy.name()));
    line(format!("| Losses | {} |", losses(run)));
    if let Some(words) = quantization(run) {
        line(format!("| Quantization | {words} |"));
    }
    line(format!("| Data | {} |", recipe.data.source.name()));
    let (samples, labels) = (&run.result()["samples"][0], &run.result()["labels"]);
    line(match recipe.strategy.options().without_data() {
        Some(_) => "| Training samples | none for the student |".into(),
        None => {
            format!("| Training samples | {samples}, of which {labels} labeled for the student |")
        }
    });
    let seeds = &run.result()["seeds"];
    line(format!("| Seed | {seed}, of the seeds {seeds} |\n"));

    line("## Results\n".into());
    line(results(run, seed));
    if SMOKE_TESTS.contains(&recipe.data.source.name()) {
        line(
            "The data is a smoke test: a few hundred images of 8 × 8 pixels show that a recipe runs. \
             No claim about a method rests on these numbers.\n"
                .into(),
        );
    }

    line("## Limits\n".into());
    line(format!(
        "The network assigns one of the {} classes above to each input. {}\n",
        model.classes.len(),
        match is_measured(run) {
            true =>
                "Its accuracy was measured on data like its training data; on other data, measure it \
                 again: `burn-distill eval`.",
            false =>
                "Its accuracy is not known, since its data has no labels: measure it on labeled data \
                 with `burn-distill eval`.",
        }
    ));

    line("## Files\n".into());
    line(files(model));
    for note in notes {
        line(format!("{note}\n"));
    }
    line(format!(
        "Made by burn-distill {}, of a run of version {} with burn {} on {}.\n",
        env!("CARGO_PKG_VERSION"),
        word(&run.result()["version"]),
        word(&run.result()["burn"]),
        word(&run.result()["device"]),
    ));
    line("## Recipe\n".into());
    // The reader has other folders, and those of the author are not for everybody.
    let recipe = without_folders(run.text());
    line(format!("```toml\n{}\n```", recipe.trim_end()));
    text
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

fn classes(model: &ModelDescription) -> String {
    let shown = model.classes.iter().take(NAMED_CLASSES);
    let shown: Vec<_> = shown.map(String::as_str).collect();
    match model.classes.len() {
        count if count > NAMED_CLASSES => {
            format!("{} and {} more", shown.join(", "), count - NAMED_CLASSES)
        }
        _ => shown.join(", "),
    }
}

fn losses(run: &FinishedRun) -> String {
    let stages = run.recipe().stages.iter().flat_map(|stage| &stage.losses);
    let losses = run.recipe().losses.iter().chain(stages);
    let losses = losses.map(|loss| {
        let kind = loss.get("kind").and_then(toml::Value::as_str);
        let weight = loss
            .get("weight")
            .map(|weight| format!(" (weight {weight})"));
        format!(
            "{}{}",
            kind.unwrap_or("unknown"),
            weight.unwrap_or_default()
        )
    });
    let losses: Vec<_> = losses.collect();
    match losses.is_empty() {
        true => "those of the strategy".into(),
        false => losses.join(", "),
    }
}

/// Returns whether the accuracy of the student was measured.
fn is_measured(run: &FinishedRun) -> bool {
    run.result()["distilled"]["accuracy"].is_object()
}

/// Returns the table of the results: accuracy on the test set, or the agreement with the teacher
/// where no test sample has a label.
fn results(run: &FinishedRun, seed: u64) -> String {
    let result = run.result();
    if !is_measured(run) {
        return agreements(result);
    }
    let seeds = result["seeds"].as_array();
    let place = seeds.and_then(|seeds| seeds.iter().position(|found| found.as_u64() == Some(seed)));
    let mut table = String::from(
        "Accuracy on the test set, as mean ± standard deviation over the seeds.\n\n\
         | Network | Parameters | Accuracy % | Seed of this file |\n| --- | --- | --- | --- |\n",
    );
    let others = result["others"].as_array().into_iter().flatten().zip(2..);
    let others = others.map(|(other, number)| (other, format!("teacher {number}")));
    let networks = [(&result["teacher"], "teacher".to_string())].into_iter();
    let networks = networks.chain(others).chain([
        (&result["baseline"], "student (baseline)".into()),
        (&result["distilled"], "student (distilled)".into()),
    ]);
    for (measured, name) in networks {
        let accuracy = &measured["accuracy"];
        let Some(mean) = accuracy["mean"].as_f64() else {
            continue;
        };
        let std = accuracy["std"].as_f64().unwrap_or_default();
        let own = place.and_then(|place| accuracy["per_seed"][place].as_f64());
        let own = own.map_or("–".into(), |own| format!("{:.2}", 100.0 * own));
        let _ = writeln!(
            table,
            "| {name} | {} | {:.2} ± {:.2} | {own} |",
            measured["parameters"],
            100.0 * mean,
            100.0 * std
        );
    }
    table
}

/// Returns the table of the agreement with the teacher.
fn agreements(result: &Value) -> String {
    let mut table = String::from(
        "The data has no labels, so that there is no accuracy. Agreement: share of the test samples for \
         which a network predicts the same class as the teacher, mean over the seeds.\n\n\
         | Network | Parameters | Agreement % |\n| --- | --- | --- |\n",
    );
    for (network, name) in [("teacher", "teacher"), ("distilled", "student (distilled)")] {
        let measured = &result[network];
        if let Some(agreement) = measured["agreement"].as_f64() {
            let parameters = &measured["parameters"];
            let percent = 100.0 * agreement;
            let _ = writeln!(table, "| {name} | {parameters} | {percent:.2} |");
        }
    }
    table
}

/// Returns the bits and the packed size of a student that was trained with quantized weights.
fn quantization(run: &FinishedRun) -> Option<String> {
    let config = &run.recipe().student.quantization.as_ref()?.0;
    let packed = run.result()["distilled"]["packed_bytes"].as_u64()?;
    Some(format!(
        "weights of {} bits, trained quantized: {packed} bytes if packed in their bits",
        config.bits
    ))
}

fn files(model: &ModelDescription) -> String {
    let weights = &model.weights;
    let mut text = format!(
        "`{}` ({}, {} bytes, SHA-256 `{}`) is the network, and `model.json` describes its input, its \
         classes, and how files become inputs.",
        weights.file, weights.format, weights.bytes, weights.sha256
    );
    let normalization = model.normalization.as_ref().map(|normalization| {
        format!(
            " The network takes images that are normalized by `(pixel / 255 − mean) / deviation`, with \
             the mean {:?} and the standard deviation {:?} of each channel.",
            normalization.mean, normalization.std
        )
    });
    match (&weights.onnx, weights.format) {
        (Some(onnx), ModelFormat::Onnx) => {
            let _ = write!(
                text,
                " The inputs are {}, the output is `{}`, and the first axis is the batch.",
                onnx.inputs
                    .iter()
                    .map(|input| format!("`{input}`"))
                    .collect::<Vec<_>>()
                    .join(", "),
                onnx.output
            );
            match onnx.normalizes {
                true => text.push_str(" The file normalizes pixels from 0 to 255 itself."),
                false => text.push_str(&normalization.unwrap_or_default()),
            }
        }
        _ => text.push_str(&normalization.unwrap_or_default()),
    }
    text.push('\n');
    text
}
