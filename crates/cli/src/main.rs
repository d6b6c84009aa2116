//! The command line of burn-distill.

use std::process::ExitCode;

fn main() -> ExitCode {
    burn_distill_cli::main()
}
