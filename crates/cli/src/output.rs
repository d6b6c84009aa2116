//! Output to the terminal, to pipes and to files in their place.
//!
//! `println!` and `eprintln!` panic if a pipe is closed or a disk is full, also on a thread that a
//! training waits for. The functions here do not panic.

use anyhow::{Context, Result};
use burn_distill_recipe::text::escaped;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Text for the standard error that is held until the dashboard, which would paint over it, is
/// closed.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Writes a line to the standard error.
///
/// A line that cannot be written is lost: a run does not end because its messages are not read.
pub fn note(line: impl Display) {
    write_error(visible(&format!("{line}\n")).as_bytes());
}

/// Returns a text with its control characters escaped, except for line breaks.
pub fn visible(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escaped).collect();
    lines.join("\n")
}

/// Writes text and a line break to the standard output.
///
/// # Errors
///
/// Returns an error if the text cannot be written, such as to a full disk. A closed pipe, such as
/// that of `head`, is no error.
pub fn print(text: impl Display) -> Result<()> {
    written(|stdout| writeln!(stdout, "{text}"))
}

/// Calls a function that writes to the standard output, with errors handled as by [`print`].
pub fn written(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to the standard output"),
    }
}

/// Holds the standard error until the returned guard is dropped, which writes it.
pub fn hold() -> Held {
    held().get_or_insert_default();
    Held
}

/// Guard that holds the standard error.
pub struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        let text = mem::take(&mut *held());
        write_error(&text.unwrap_or_default());
    }
}

/// Target of log messages: the standard error.
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
        // There is no other place to report the error.
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
    fn control_characters_are_shown_and_not_interpreted() {
        assert_eq!(
            visible("a\u{1b}[31m\t\r\u{9b}b\nc \u{7}é"),
            "a\\u{1b}[31m\\t\\r\\u{9b}b\nc \\u{7}é"
        );
    }
}
