//! The program as a user runs it.

mod book;
mod catalogue;
mod common;
mod examples;
mod preparation;
mod run;
mod stages;
mod strategies;
mod teachers;
#[cfg(all(unix, feature = "tui"))]
mod terminal;
mod weights;
