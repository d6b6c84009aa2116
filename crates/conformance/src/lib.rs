//! Conformance suite. `tests/` has one trial per loss: the calls of the loss, its known values and
//! properties, and the checks that cannot hold for it.
//!
//! ```console
//! cargo test -p burn-distill-conformance
//! BURN_DEVICE=wgpu cargo test -p burn-distill-conformance --features wgpu
//! ```

mod tokens;
mod types;

pub use tokens::*;
pub use types::*;
