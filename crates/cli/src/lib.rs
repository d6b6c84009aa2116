#![doc = include_str!("../README.md")]
#![recursion_limit = "256"]
// `print!` and `eprint!` panic if a pipe is closed: use `output`.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod allocator;
mod args;
mod catch;
mod commands;
mod device;
mod output;
mod percent;
mod progress;
mod stop;
mod summary;
mod table;
mod task_table;

pub use burn_distill_recipe as recipe;
pub use burn_distill_recipe::Registry;

use args::{Args, Command};
use burn_distill_recipe::text::tidy;
use clap::Parser;
use std::env;
use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;

/// Runs the command in the arguments of this program, and returns its exit code. Names in recipes
/// and lists are those of the registry.
///
/// A program adds its networks, losses, strategies and data sets to the registry:
///
/// ```no_run
/// use burn_distill_cli::{Registry, main_with};
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     main_with(Registry::standard())
/// }
/// ```
pub fn main_with(registry: Registry) -> ExitCode {
    allocator::keep_pages();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(message) => return explain(&message),
    };
    log_to_stderr(args.verbose);

    let done = match &args.command {
        Command::Run(run) => commands::run(run, args.verbose, registry),
        Command::List(list) => commands::list(list, &registry).map(|()| true),
        Command::Inspect(model) => commands::inspect(model, &registry).map(|()| true),
        Command::Export(export) => commands::export_student(export, &registry).map(|()| true),
        Command::Predict(predict) => commands::predict(predict, &registry).map(|()| true),
        Command::Eval(eval) => commands::eval(eval, registry).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(stop::STOPPED),
        Err(error) => failure(&error),
    }
}

/// Prints an error, and returns the exit code of a failure.
fn failure(error: &anyhow::Error) -> ExitCode {
    output::note(format_args!("error: {}", in_words(error)));
    ExitCode::FAILURE
}

/// Returns the text of an error and its causes for the standard error.
fn in_words(error: &anyhow::Error) -> String {
    tidy(&without_repeats(error))
}

/// Returns an error with its causes, without those that it repeats.
fn without_repeats(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        match message.as_str() {
            "" => message = cause,
            before if before.ends_with(&cause) => {}
            _ => message = format!("{message}: {cause}"),
        }
    }
    message
}

/// Prints the help or the version that the command line asks for, or the error about the command
/// line.
fn explain(message: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(1));
    let repeats = message.use_stderr() && env::args_os().any(|word| is_untidy(&word));
    let printed = match repeats {
        true => {
            output::note(tidy(message.render().to_string().trim_end()));
            Ok(())
        }
        // clap prints the message to its stream, with colors if the stream shows them.
        false => output::written(|_| message.print()),
    };
    match printed {
        Err(error) if !message.use_stderr() => failure(&error),
        _ => code,
    }
}

/// Returns whether a word is too long to be repeated, or has control characters that a terminal
/// would interpret.
fn is_untidy(word: &OsStr) -> bool {
    let word = word.to_string_lossy();
    tidy(&word) != word
}

/// Writes log messages to the standard error: `info: …`, `warning: …`.
fn log_to_stderr(verbose: u8) {
    env_logger::Builder::new()
        .filter_level(args::log_level_of_others(verbose))
        .filter_module("burn_distill", args::log_level(verbose))
        // A closed dashboard would be logged in every iteration.
        .filter_module("burn_train::renderer", log::LevelFilter::Error)
        .format(|line, record| {
            let level = match record.level() {
                log::Level::Warn => "warning".to_string(),
                level => level.as_str().to_lowercase(),
            };
            writeln!(line, "{level}: {}", record.args())
        })
        .target(env_logger::Target::Pipe(Box::new(output::ErrorOutput)))
        .parse_default_env()
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_cause_that_its_error_repeats_is_printed_once() {
        let error = Err::<(), _>(anyhow!("not found"));
        let error = error.context("file: not found").context("teacher");

        assert_eq!(
            without_repeats(&error.unwrap_err()),
            "teacher: file: not found"
        );
    }
}
