//! The program as a user runs it.

mod book;
mod catalogue;
mod common;
mod diverged;
mod examples;
mod preparation;
mod resume;
mod run;
mod sizes;
mod stages;
mod strategies;
mod teachers;
#[cfg(all(unix, feature = "tui"))]
mod terminal;
mod weights;
