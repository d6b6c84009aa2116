//! One row per loss in `tests/`: what it is called with, what is known about it, and what cannot
//! hold for it.
//!
//! ```console
//! cargo test -p burn-distill-conformance
//! BURN_DEVICE=wgpu cargo test -p burn-distill-conformance --features wgpu
//! ```

mod tokens;
mod types;

pub use tokens::*;
pub use types::*;
