mod distiller;
mod mean_teacher;
mod past_predictions;
mod same_class;

pub use distiller::*;
pub use mean_teacher::*;
pub use past_predictions::*;
pub use same_class::*;
