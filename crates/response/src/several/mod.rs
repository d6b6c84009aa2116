//! Losses on the responses of several teachers at once.

mod adaptive;
mod amalgamated;
mod averaged;
mod confidence_aware;
mod entropy_weighted;
mod rows;

pub use adaptive::*;
pub use amalgamated::*;
pub use averaged::*;
pub use confidence_aware::*;
pub use entropy_weighted::*;

pub(crate) use adaptive::entry as adaptive_entry;
pub(crate) use amalgamated::entry as amalgamated_entry;
pub(crate) use averaged::entry as averaged_entry;
pub(crate) use confidence_aware::entry as confidence_aware_entry;
pub(crate) use entropy_weighted::entry as entropy_weighted_entry;
