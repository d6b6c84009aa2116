//! The program as a user runs it.

mod catalogue;
mod common;
mod preparation;
mod run;
#[cfg(all(unix, feature = "tui"))]
mod terminal;
