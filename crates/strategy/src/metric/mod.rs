mod figure;
mod figures;
mod labeled_rows;
mod metrics;

pub use figure::*;
pub use figures::*;
pub use labeled_rows::*;
pub use metrics::*;
