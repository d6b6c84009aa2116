use anyhow::{Result, anyhow};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Calls a function of burn, and returns a panic as an error with its message.
///
/// Burn 0.22.1 panics if there is no device of a kind. This is the only panic to expect, since the
/// values of recipes are checked.
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

    let outer = EXPECTED.replace(true);
    let built = panic::catch_unwind(AssertUnwindSafe(build));
    EXPECTED.set(outer);
    built.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        anyhow!(text.unwrap_or(NO_MESSAGE).to_string())
    })
}

/// Error for a panic without a message.
const NO_MESSAGE: &str = "there is none";

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use std::process::Command;
    use std::thread;

    #[test]
    fn a_result_is_returned() {
        assert_eq!(catch(|| 7).unwrap(), 7);
    }

    #[test]
    fn a_panic_becomes_an_error_of_its_words() {
        let error = |build: fn()| catch(build).unwrap_err().to_string();

        assert_eq!(error(|| panic!("got {}", 3)), "got 3");
        assert_eq!(error(|| panic!("too hot")), "too hot");
        assert_eq!(error(|| panic::panic_any(3)), NO_MESSAGE);
    }

    /// In another process, since the panic hook is one per process.
    #[test]
    fn panics_elsewhere_are_reported_as_before() {
        let (_, module) = module_path!().split_once("::").unwrap();
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture"])
            .arg(format!("{module}::panics_inside_and_outside"))
            .output()
            .unwrap();

        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{reported}");
        for place in ["before", "on another thread", "after"] {
            let panicked = format!("panicked {place}");
            assert!(reported.contains(&panicked), "{reported}");
        }
        assert!(!reported.contains("panicked inside"), "{reported}");
    }

    #[test]
    #[ignore = "the test above runs it in another process"]
    fn panics_inside_and_outside() {
        let elsewhere = |place: &str| {
            panic::catch_unwind(|| panic!("panicked {place}")).unwrap_err();
        };
        elsewhere("before");
        let error = catch(|| {
            let other = thread::spawn(|| panic!("panicked on another thread"));
            other.join().unwrap_err();
            catch(|| panic!("panicked inside of inside")).unwrap_err();
            panic!("panicked inside")
        });
        assert_eq!(error.unwrap_err().to_string(), "panicked inside");
        elsewhere("after");
    }
}
