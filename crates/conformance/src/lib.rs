//! One row per loss in `tests/`: the calls of the loss, its known values and properties, and the
//! checks that cannot hold for it.
//!
//! ```console
//! cargo test -p burn-distill-conformance
//! BURN_DEVICE=wgpu cargo test -p burn-distill-conformance --features wgpu
//! ```

mod tokens;
mod types;

pub use tokens::*;
pub use types::*;
