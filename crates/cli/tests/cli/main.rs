//! The program as a user runs it.

mod catalogue;
mod common;
mod run;
#[cfg(all(unix, feature = "tui"))]
mod terminal;
