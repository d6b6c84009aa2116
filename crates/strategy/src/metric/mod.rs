mod figures;
mod metrics;

pub use figures::*;
pub use metrics::*;
