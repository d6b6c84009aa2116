//! The program as a user runs it.

mod book;
mod catalog;
mod common;
mod diverged;
mod early;
mod ended;
mod examples;
mod export;
mod folders;
mod inspect_file;
#[cfg(all(unix, feature = "tui"))]
mod keys;
mod own_data;
#[cfg(target_os = "linux")]
mod pipes;
mod predict;
mod preparation;
#[cfg(unix)]
mod pty;
mod quantized;
#[cfg(unix)]
mod resume;
mod run;
mod sizes;
mod stages;
mod strategies;
mod tables;
mod tasks;
mod teachers;
#[cfg(all(unix, feature = "tui"))]
mod terminal;
mod unlabeled;
mod verbose;
mod weights;
#[cfg(unix)]
mod width;
mod without_data;
