mod artifacts;
mod base;
mod error;
mod generations;
mod journal;
mod route;
mod stage;

pub use artifacts::*;
pub use base::*;
pub use error::*;
pub use generations::*;
pub use journal::*;
pub use route::*;
pub use stage::*;
