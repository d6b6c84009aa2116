use anyhow::{Result, anyhow};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// What `build` makes of values from a recipe; what it says when it panics is the error.
///
/// A configuration of burn refuses bad values with a panic, which is for programmers. Those of a
/// recipe come from its reader, who gets the same words without a backtrace.
pub fn catch<T>(build: impl FnOnce() -> T) -> Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                report(info);
            }
        }));
    });

    EXPECTED.set(true);
    let built = panic::catch_unwind(AssertUnwindSafe(build));
    EXPECTED.set(false);
    built.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        match text.or_else(|| panic.downcast_ref::<&str>().copied()) {
            Some(text) => anyhow!("{text}"),
            None => anyhow!("the values do not go together"),
        }
    })
}
