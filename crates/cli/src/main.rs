//! The command line of burn-distill.

#![recursion_limit = "256"]

mod allocator;
mod args;
mod commands;
mod device;
mod experiment;
mod progress;
mod recipe;
mod stop;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

/// The exit code of a program that was told to stop, by the convention of shells.
const STOPPED: u8 = 130;

fn main() -> ExitCode {
    allocator::keep_pages();
    let args = Args::parse();
    env_logger::Builder::new()
        .filter_level(args.log_level())
        // It has a line for every step, which only those want who want everything.
        .filter_module("burn_train", args.log_level_of_burn())
        .format_timestamp(None)
        .parse_default_env()
        .init();

    let done = match args.command {
        Command::Run(args) => commands::run(&args),
        Command::List(args) => commands::list(&args).map(|()| true),
        Command::Inspect(args) => commands::inspect(&args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(STOPPED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
