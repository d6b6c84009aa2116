use std::mem;
use std::sync::{Mutex, PoisonError};

/// What is to be said of a run beside its figures. It waits here until the display, which would take it
/// along when it closes, is gone.
static NOTICES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Say something once the display is gone, and only once.
pub fn notice(text: String) {
    let mut notices = NOTICES.lock().unwrap_or_else(PoisonError::into_inner);
    if !notices.contains(&text) {
        notices.push(text);
    }
}

/// What is still to be said.
pub fn take_notices() -> Vec<String> {
    mem::take(&mut *NOTICES.lock().unwrap_or_else(PoisonError::into_inner))
}
