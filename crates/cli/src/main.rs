//! The command line of burn-distill.

#![recursion_limit = "256"]
// They panic where a pipe is closed: `output` does not.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod allocator;
mod args;
mod commands;
mod device;
mod experiment;
mod output;
mod progress;
mod recipe;
mod stop;
mod table;

use args::{Args, Command};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

/// The exit code of a program that was told to stop, by the convention of shells.
const STOPPED: u8 = 130;

fn main() -> ExitCode {
    allocator::keep_pages();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(message) => return explain(&message),
    };
    log_to_stderr(args.verbose);

    let done = match &args.command {
        Command::Run(run) => commands::run(run, args.verbose),
        Command::List(list) => commands::list(list).map(|()| true),
        Command::Inspect(model) => commands::inspect(model).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(STOPPED),
        Err(error) => failure(&error),
    }
}

/// Says what went wrong.
fn failure(error: &anyhow::Error) -> ExitCode {
    output::note(format_args!("error: {}", in_a_line(error)));
    ExitCode::FAILURE
}

/// Returns an error and its causes in one line, without a cause that is part of what comes before it.
fn in_a_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.is_empty() && !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        } else if line.is_empty() {
            line = cause;
        }
    }
    line
}

/// Prints the help or the version that the command line asks for, or why it is refused.
fn explain(message: &clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(1));
    // It knows its stream, and whether that one has colors.
    let printed = output::written(|_| message.print());
    match printed {
        Err(error) if !message.use_stderr() => failure(&error),
        _ => code,
    }
}

/// Writes log messages to the standard error: `info: …`, `warning: …`.
fn log_to_stderr(verbose: u8) {
    env_logger::Builder::new()
        .filter_level(args::log_level_of_others(verbose))
        .filter_module("burn_distill", args::log_level(verbose))
        // A dashboard that is gone would be mentioned once per iteration.
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
