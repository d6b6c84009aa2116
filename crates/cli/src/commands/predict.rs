use crate::args::{PredictArgs, PredictFormat};
use crate::output::{self, note, visible};
use crate::{device, in_words, table};
use anyhow::{Context, Result, bail, ensure};
use burn_distill::interchange::{Model, ModelError};
use burn_distill_experiment::open_model;
use burn_distill_recipe::Registry;
use serde_json::json;
use std::path::Path;

/// Samples that are classified at once.
const BATCH: usize = 256;

/// Prints the most probable classes of the samples in files.
pub fn predict(args: &PredictArgs, registry: &Registry) -> Result<()> {
    let device = device::select(&args.device)?;
    let mut model = open_model(&args.model, args.seed, registry, &device)?;
    ignore(&mut model, args)?;
    let mut lines = Lines {
        args,
        rows: Vec::new(),
    };
    let mut refused = 0;
    for file in &args.files {
        match classify(&model, file, &mut lines) {
            Ok(()) => {}
            Err(Failure::Output(error)) => return Err(error),
            Err(Failure::File(error)) if args.files.len() == 1 => return Err(error),
            Err(Failure::File(error)) => {
                note(format_args!("error: {}", in_words(&error)));
                refused += 1;
            }
        }
    }
    lines.finish()?;
    ensure!(
        refused == 0,
        "{refused} of {} files are not classified, for the reasons above",
        args.files.len()
    );
    Ok(())
}

/// Adds the classes of the samples in a file.
fn classify(model: &Model, file: &Path, lines: &mut Lines<'_>) -> Result<(), Failure> {
    let samples = model.open(file)?;
    for first in (0..samples.len()).step_by(BATCH) {
        let batch = first..samples.len().min(first + BATCH);
        let probabilities = model.probabilities(samples.input(batch.clone()));
        let probabilities = probabilities.with_context(|| file.display().to_string());
        for (sample, probabilities) in batch.zip(&probabilities.map_err(Failure::File)?) {
            let ranked: Vec<_> = model
                .ranked(probabilities)
                .iter()
                .take(lines.args.top)
                .map(|class| (class.class.to_string(), class.probability))
                .collect();
            // Counted from 1, as lines are.
            let row = samples.are_rows().then_some(sample + 1);
            lines.add(file, row, &ranked).map_err(Failure::Output)?;
        }
    }
    Ok(())
}

/// Reason why a file is not classified.
enum Failure {
    /// The file cannot be read, or does not fit the model: the others can still be classified.
    File(anyhow::Error),
    /// Nothing can be printed any more.
    Output(anyhow::Error),
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::File(error.into())
    }
}

/// Adds the columns of the command line to those of tables that the model does not read.
fn ignore(model: &mut Model, args: &PredictArgs) -> Result<()> {
    match &mut model.description.table {
        Some(table) => {
            let columns = &table.encoding.columns;
            let is_input = |name: &&String| columns.iter().any(|column| column.name() == *name);
            if let Some(name) = args.ignore.iter().find(is_input) {
                bail!("--ignore {name}: the model needs this column: leave the option out");
            }
            table.ignore.extend(args.ignore.iter().cloned());
        }
        None => ensure!(
            args.ignore.is_empty(),
            "--ignore is for the columns of CSV files, but the model takes {}: leave it out",
            model.description.input
        ),
    }
    Ok(())
}

/// The lines of the output.
struct Lines<'a> {
    args: &'a PredictArgs,
    rows: Vec<[String; 3]>,
}

impl Lines<'_> {
    /// Adds the classes of a file, or of a row of it.
    fn add(&mut self, file: &Path, row: Option<usize>, ranked: &[(String, f32)]) -> Result<()> {
        let file = file.display().to_string();
        match self.args.format {
            PredictFormat::Table => {
                let sample = match row {
                    Some(row) => format!("{file}:{row}"),
                    None => file,
                };
                for (rank, (class, probability)) in ranked.iter().enumerate() {
                    let sample = if rank == 0 {
                        sample.clone()
                    } else {
                        String::new()
                    };
                    let percent = format!("{:.2}", 100.0 * probability);
                    self.rows.push([visible(&sample), visible(class), percent]);
                }
                Ok(())
            }
            PredictFormat::Csv => {
                if self.rows.is_empty() {
                    output::print("file,row,rank,class,probability")?;
                    self.rows.push(Default::default());
                }
                let row = row.map(|row| row.to_string()).unwrap_or_default();
                let lines = ranked.iter().zip(1..).map(|((class, probability), rank)| {
                    let (file, class) = (quoted(&file), quoted(class));
                    format!("{file},{row},{rank},{class},{probability}")
                });
                output::print(lines.collect::<Vec<_>>().join("\n"))
            }
            PredictFormat::Jsonl => {
                let classes = ranked.iter().map(
                    |(class, probability)| json!({ "class": class, "probability": probability }),
                );
                let classes: Vec<_> = classes.collect();
                output::print(match row {
                    Some(row) => json!({ "file": file, "row": row, "classes": classes }),
                    None => json!({ "file": file, "classes": classes }),
                })
            }
        }
    }

    fn finish(self) -> Result<()> {
        match self.args.format {
            PredictFormat::Table => output::print(table::of_text(
                ["sample", "class", "probability %"],
                self.rows,
                table::width_of_output(self.args.wide),
            )),
            PredictFormat::Csv | PredictFormat::Jsonl => Ok(()),
        }
    }
}

/// Returns a field of a line of CSV, in quotes if it needs them.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_csv_are_quoted_where_they_need_it() {
        assert_eq!(quoted("cat.png"), "cat.png");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
