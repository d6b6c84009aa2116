use burn_distill_recipe::InputShape;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Distill a large network into a small one.
#[derive(Parser, Debug)]
#[command(name = "burn-distill", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Show more: -v the data, networks, losses and files of a run, and the start and end of each
    /// training; -vv all metrics of every epoch; -vvv every iteration.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Returns the level of the log messages of burn-distill.
pub fn log_level(verbose: u8) -> log::LevelFilter {
    match verbose {
        0 => log::LevelFilter::Warn,
        1 => log::LevelFilter::Info,
        2 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    }
}

/// Returns the level of the log messages of dependencies such as burn, which log every iteration
/// below the level of a warning.
pub fn log_level_of_others(verbose: u8) -> log::LevelFilter {
    match verbose {
        0..=2 => log::LevelFilter::Warn,
        _ => log::LevelFilter::Debug,
    }
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a recipe: train the teacher if there is one, the student as a baseline and the distilled
    /// student, and compare them.
    Run(RunArgs),
    /// List the models, losses, strategies or data sets that recipes can name.
    List(ListArgs),
    /// Show the taps of a model with their shapes, its parameters and its cost, or the tensors of a
    /// file.
    Inspect(InspectArgs),
    /// Export the distilled student of a finished run for other programs, with a description and a
    /// model card.
    Export(ExportArgs),
    /// Print the most probable classes of files.
    Predict(PredictArgs),
    /// Measure a model on test samples: accuracy, recall of each class, likelihood and calibration.
    Eval(EvalArgs),
}

#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// The recipe, a TOML file.
    pub recipe: PathBuf,
    /// The device: flex, ndarray, wgpu, vulkan, metal, cuda or rocm, if it is built in.
    #[arg(long, env = "BURN_DEVICE", default_value = "flex")]
    pub device: String,
    /// Run this seed only, instead of those of the recipe.
    #[arg(long, value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// The folder of the run. Default: runs/<name of the recipe>, with a number if that is taken.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// The folder of the data sets. Default: the cache of the user, where they are downloaded to.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Resume a run that was stopped: the one in --out, or the latest one of the recipe.
    #[arg(long)]
    pub resume: bool,
    /// Change a value of the recipe: --set student.training.epochs=5, --set loss.0.weight=0.5,
    /// --set 'loss.0={kind="dkd"}'. The value is written as in TOML; text needs no quotes. A path
    /// is relative to the current folder.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// How to show progress.
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto)]
    pub progress: ProgressMode,
    /// Print the whole table, also where it is wider than the terminal.
    #[arg(long)]
    pub wide: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    /// The dashboard on a terminal, lines elsewhere and with -v.
    Auto,
    /// Burn's dashboard; lines without a terminal.
    Dashboard,
    /// A bar per training; lines without a terminal.
    Bar,
    /// A few lines per training.
    Lines,
    /// Nothing.
    None,
}

#[derive(clap::Args, Debug)]
pub struct ListArgs {
    /// Kind of the names to list.
    #[arg(value_enum)]
    pub what: Catalog,
    /// As JSON: an array of objects with name, abbreviation, about, kind, aliases and reference.
    #[arg(long)]
    pub json: bool,
    /// A line per entry with all columns, also where that is wider than the terminal.
    #[arg(long)]
    pub wide: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum Catalog {
    /// Networks for teachers and students.
    Models,
    /// Losses for [[loss]].
    Losses,
    /// Strategies: what the student is distilled from.
    Strategies,
    /// Data sets.
    Datasets,
}

#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    /// The name of the model: see `list models`. Or a file of weights, of this program, PyTorch or
    /// SafeTensors: its tensors, and the models that they fit. Or an ONNX file.
    pub model: String,
    /// The shape of an input: the channels, height and width of an image, 3x32x32; the features of
    /// a vector, 64; or the length of a sequence and the features of its vectors, 16x64. Of tokens
    /// it is the length of a sequence and the size of the vocabulary: 16of1000.
    #[arg(long, default_value = "3x32x32", value_parser = shape)]
    pub input: InputShape,
    /// Set an option of a model that has options: --set width=64. The value is written as in TOML.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub options: Vec<String>,
    /// The number of classes.
    #[arg(long, default_value_t = 10)]
    pub classes: usize,
    /// Show all tensors of a file, or all nodes of an ONNX file.
    #[arg(long)]
    pub all: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args, Debug)]
pub struct ExportArgs {
    /// The folder of the run.
    pub run: PathBuf,
    /// Format of the file of the network.
    #[arg(long, value_enum, default_value_t = ExportFormat::Burnpack)]
    pub format: ExportFormat,
    /// The folder of the model, a new one. Default: exported/<name of the recipe>.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Export the student of this seed. Default: the first seed of the run.
    #[arg(long, value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Names of the tensors in the format safetensors.
    #[arg(long, value_enum, default_value_t = ExportKeys::Paths)]
    pub keys: ExportKeys,
    /// Let an ONNX file normalize images itself: its input is then pixels from 0 to 255.
    #[arg(long)]
    pub normalize: bool,
    /// Store matrices and kernels in 8 bits, in burn's format. The accuracy on the validation
    /// samples is measured before and after.
    #[arg(long, value_enum)]
    pub quantize: Option<ExportPrecision>,
    /// Replace an exported model in the folder. Other folders are never replaced.
    #[arg(long)]
    pub force: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportPrecision {
    /// 8 bits.
    Q8,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// Burn's format: model.bpk.
    Burnpack,
    /// SafeTensors: model.safetensors.
    Safetensors,
    /// ONNX: model.onnx.
    Onnx,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportKeys {
    /// The paths of the tensors in the network, in burn's layout.
    Paths,
    /// The keys and the layout of the original network in PyTorch.
    Original,
}

#[derive(clap::Args, Debug)]
pub struct PredictArgs {
    /// The folder of an exported model, or of a finished run.
    pub model: PathBuf,
    /// Files with samples of the kind that the model takes: images, CSV files with the columns of the
    /// training, .npy and .npz arrays, or any files for a model of bytes.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// A column of CSV files that is not read. May be repeated.
    #[arg(long, value_name = "COLUMN")]
    pub ignore: Vec<String>,
    /// The number of classes to print for each sample.
    #[arg(long, default_value_t = 3, value_parser = count)]
    pub top: usize,
    /// Form of the output.
    #[arg(long, value_enum, default_value_t = PredictFormat::Table)]
    pub format: PredictFormat,
    /// The seed of the student of a run. Default: the first seed of the run.
    #[arg(long, value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// The device: flex, ndarray, wgpu, vulkan, metal, cuda or rocm, if it is built in.
    #[arg(long, env = "BURN_DEVICE", default_value = "flex")]
    pub device: String,
    /// Print the whole table, also where it is wider than the terminal.
    #[arg(long)]
    pub wide: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredictFormat {
    /// A table.
    Table,
    /// Comma-separated values: file, row, rank, class, probability.
    Csv,
    /// A JSON object per sample.
    Jsonl,
}

#[derive(clap::Args, Debug)]
pub struct EvalArgs {
    /// The folder of an exported model, or of a finished run.
    pub model: PathBuf,
    /// The data: a name from `list datasets`, or a recipe, of which only [data] is needed. Default:
    /// the data that the model was trained on.
    #[arg(long)]
    pub data: Option<String>,
    /// Evaluate on all samples of other data, not only on its test samples.
    #[arg(long, requires = "data")]
    pub all: bool,
    /// Round the weights to this number of bits (1 to 16) before the evaluation, on the uniform grid of
    /// `student.quantization`.
    #[arg(long)]
    pub bits: Option<usize>,
    /// The seed of the student of a run. Default: the first seed of the run.
    #[arg(long, value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// The device: flex, ndarray, wgpu, vulkan, metal, cuda or rocm, if it is built in.
    #[arg(long, env = "BURN_DEVICE", default_value = "flex")]
    pub device: String,
    /// The folder of the data sets. Default: the cache of the user, where they are downloaded to.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Print all classes.
    #[arg(long)]
    pub wide: bool,
}

/// Largest seed: TOML has no larger whole number.
pub const LARGEST_SEED: u64 = i64::MAX as u64;

/// Reads a seed. The error about a seed that is too large names the range, as for a value of a
/// recipe.
fn seed(text: &str) -> Result<u64, String> {
    let seed = text.parse::<u64>();
    seed.map_err(|_| format!("expected a whole number from 0 to {LARGEST_SEED}"))
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("expected a whole number from 1".into()),
    }
}

fn shape(text: &str) -> Result<InputShape, String> {
    let sizes = |text: &str, separator: &str| -> Option<Vec<usize>> {
        text.split(separator)
            .map(|part| part.parse().ok())
            .collect()
    };
    if let Some([length, vocabulary]) = sizes(text, "of").as_deref() {
        let (length, vocabulary) = (*length, *vocabulary);
        return Ok(InputShape::Tokens { length, vocabulary });
    }
    match sizes(text, "x").as_deref() {
        Some(&[features]) => Ok(InputShape::Vector([features])),
        Some(&[length, features]) => Ok(InputShape::Sequence([length, features])),
        Some(&[channels, height, width]) => Ok(InputShape::Image([channels, height, width])),
        _ => Err(
            "expected the channels, height and width of an image, such as 3x32x32, the features of a \
             vector, such as 64, the length and features of a sequence, such as 16x64, or the length \
             and vocabulary of tokens, such as 16of1000"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_v_shows_more_and_iterations_come_last() {
        let own = [0, 1, 2, 3].map(log_level);
        assert!(own.is_sorted() && own[1] == log::LevelFilter::Info);
        let others = [0, 1, 2, 3].map(log_level_of_others);
        assert_eq!(others[..3], [log::LevelFilter::Warn; 3]);
        assert_eq!(others[3], log::LevelFilter::Debug);
    }

    #[test]
    fn shapes_are_those_of_one_sample() {
        assert_eq!(shape("1x8x8"), Ok(InputShape::Image([1, 8, 8])));
        assert_eq!(shape("64"), Ok(InputShape::Vector([64])));
        assert_eq!(shape("16x64"), Ok(InputShape::Sequence([16, 64])));
        let (length, vocabulary) = (16, 1000);
        let tokens = InputShape::Tokens { length, vocabulary };
        assert_eq!(shape("16of1000"), Ok(tokens));
        for wrong in ["1x8x8x8", "1xax8", "16of", ""] {
            assert!(
                shape(wrong).unwrap_err().contains("such as 3x32x32"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_seed_that_no_recipe_holds_is_refused_with_its_option_and_range() {
        let parsed = |seed| Args::try_parse_from(["burn-distill", "run", "a.toml", "--seed", seed]);
        parsed("9223372036854775807").unwrap();
        for wrong in ["99999999999999999999", "-1", "x"] {
            let error = parsed(wrong).unwrap_err().to_string();
            assert!(error.contains("'--seed <SEED>'"), "{error}");
            let range = "expected a whole number from 0 to 9223372036854775807";
            assert!(error.contains(range), "{error}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
