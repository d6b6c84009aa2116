mod figures;
mod labeled_rows;
mod metrics;

pub use figures::*;
pub use labeled_rows::*;
pub use metrics::*;
