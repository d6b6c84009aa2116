mod distiller;
mod dropout;
mod dropout_divergence;
mod exits;
mod mean_teacher;
mod parts;
mod past_predictions;
mod same_class;

pub use distiller::*;
pub use dropout::*;
pub use dropout_divergence::*;
pub use exits::*;
pub use mean_teacher::*;
pub use past_predictions::*;
pub use same_class::*;
