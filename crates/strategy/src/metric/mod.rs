mod distillation_metric;
mod kind;
mod labeled_rows;
mod step_metrics;

pub use distillation_metric::*;
pub use kind::*;
pub use labeled_rows::*;
pub use step_metrics::*;
