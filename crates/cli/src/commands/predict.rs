use crate::args::{PredictArgs, PredictFormat};
use crate::output;
use crate::{device, table};
use anyhow::{Context, Result};
use burn_distill_experiment::open_model;
use burn_distill_recipe::Registry;
use serde_json::json;
use std::path::Path;

/// Prints the most probable classes of files.
pub fn predict(args: &PredictArgs, registry: &Registry) -> Result<()> {
    let device = device::select(&args.device)?;
    let model = open_model(&args.model, args.seed, registry, &device)?;
    let mut lines = Lines {
        args,
        rows: Vec::new(),
    };
    for file in &args.files {
        let pixels = model.read_image(file)?;
        let classes = model
            .classify(&pixels)
            .with_context(|| file.display().to_string())?;
        let ranked: Vec<_> = classes
            .iter()
            .take(args.top)
            .map(|class| (class.class.to_string(), class.probability))
            .collect();
        lines.add(file, &ranked)?;
    }
    lines.finish()
}

/// The lines of the output.
struct Lines<'a> {
    args: &'a PredictArgs,
    rows: Vec<[String; 3]>,
}

impl Lines<'_> {
    fn add(&mut self, file: &Path, ranked: &[(String, f32)]) -> Result<()> {
        let file = file.display().to_string();
        match self.args.format {
            PredictFormat::Table => {
                for (rank, (class, probability)) in ranked.iter().enumerate() {
                    let file = if rank == 0 {
                        file.clone()
                    } else {
                        String::new()
                    };
                    let percent = format!("{:.2}", 100.0 * probability);
                    self.rows.push([file, class.clone(), percent]);
                }
                Ok(())
            }
            PredictFormat::Csv => {
                if self.rows.is_empty() {
                    output::print("file,rank,class,probability")?;
                    self.rows.push(Default::default());
                }
                let lines = ranked.iter().zip(1..).map(|((class, probability), rank)| {
                    format!("{},{rank},{},{probability}", quoted(&file), quoted(class))
                });
                output::print(lines.collect::<Vec<_>>().join("\n"))
            }
            PredictFormat::Jsonl => {
                let classes = ranked.iter().map(
                    |(class, probability)| json!({ "class": class, "probability": probability }),
                );
                let classes: Vec<_> = classes.collect();
                output::print(json!({ "file": file, "classes": classes }))
            }
        }
    }

    fn finish(self) -> Result<()> {
        match self.args.format {
            PredictFormat::Table => output::print(table::of_text(
                ["file", "class", "probability %"],
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
