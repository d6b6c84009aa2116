//! The one place that writes to the terminal, to pipes and to files in their stead.
//!
//! `println!` and `eprintln!` panic once nobody reads a pipe any more or a disk is full, also on a
//! thread that a training waits for. Nothing here does.

use anyhow::{Context, Result};
use burn_distill_recipe::text::escaped;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Text for the standard error that waits until the dashboard, which would paint over it, is closed.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Writes a line to the standard error.
///
/// A line that cannot be written is lost: a run does not end because nobody reads its messages.
pub fn note(line: impl Display) {
    write_error(visible(&format!("{line}\n")).as_bytes());
}

/// Returns a text with its lines as they are, and every other control character escaped.
pub fn visible(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escaped).collect();
    lines.join("\n")
}

/// Writes text and a line break to the standard output.
///
/// # Errors
///
/// Returns an error if the text cannot be written, such as to a full disk. A pipe that nobody reads
/// any more, such as that of `head`, has had what it wanted and is no error.
pub fn print(text: impl Display) -> Result<()> {
    written(|stdout| writeln!(stdout, "{text}"))
}

/// Runs what writes to the standard output, with errors handled as by [`print`].
pub fn written(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to the standard output"),
    }
}

/// Keeps the standard error back until the value returned is dropped, which then writes it.
pub fn hold() -> Held {
    held().get_or_insert_default();
    Held
}

/// A guard that keeps the standard error back.
pub struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        let text = mem::take(&mut *held());
        write_error(&text.unwrap_or_default());
    }
}

/// The standard error as a target of log messages.
pub struct ErrorOutput;

impl Write for ErrorOutput {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        write_error(visible(&String::from_utf8_lossy(text)).as_bytes());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_error(text: &[u8]) {
    match held().as_mut() {
        Some(waiting) => waiting.extend_from_slice(text),
        // There is nowhere left to report that nothing can be reported.
        None => drop(io::stderr().write_all(text)),
    }
}

fn held() -> MutexGuard<'static, Option<Vec<u8>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(
            visible("a\u{1b}[31m\t\r\u{9b}b\nc \u{7}é"),
            "a\\u{1b}[31m\\t\\r\\u{9b}b\nc \\u{7}é"
        );
    }
}
