//! The command line of burn-distill.

use burn_distill_cli::{Registry, main_with};
use std::process::ExitCode;

fn main() -> ExitCode {
    main_with(Registry::standard())
}
