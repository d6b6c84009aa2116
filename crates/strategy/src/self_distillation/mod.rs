mod dino;
mod distiller;
mod last_batch;
mod mean_teacher;
mod parts;
mod past_predictions;
mod same_class;

pub use dino::*;
pub use distiller::*;
pub use last_batch::*;
pub use mean_teacher::*;
pub use past_predictions::*;
pub use same_class::*;
