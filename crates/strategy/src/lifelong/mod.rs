mod accuracies;
mod class_tasks;
mod elastic;
mod exemplars;
mod fisher;
mod herding;
mod icarl;
mod sequence;

pub use accuracies::*;
pub use class_tasks::*;
pub use elastic::*;
pub use exemplars::*;
pub use fisher::*;
pub use herding::*;
pub use icarl::*;
pub use sequence::*;
