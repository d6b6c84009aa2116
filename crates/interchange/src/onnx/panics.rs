//! Panics of the runtime as errors.

use std::panic::{AssertUnwindSafe, catch_unwind};
use tract_onnx::prelude::*;

/// Calls the runtime, and returns an error if it panics, as it does for some graphs that contradict
/// themselves. Everything that `call` changes is to be dropped then.
///
/// # Errors
///
/// Returns the error of `call`, or the message of its panic.
pub fn caught<T>(call: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(TractError::msg(format!(
            "the runtime failed: {}",
            message.unwrap_or("without a message")
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let error = |call: fn() -> TractResult<()>| caught(call).unwrap_err().to_string();

        assert_eq!(error(|| panic!("rank {}", 2)), "the runtime failed: rank 2");
        assert_eq!(error(|| panic!("no rank")), "the runtime failed: no rank");
        assert_eq!(error(|| Err(TractError::msg("no shape"))), "no shape");
        assert_eq!(caught(|| Ok(7)).unwrap(), 7);
    }
}
