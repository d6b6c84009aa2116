mod artifacts;
mod assistants;
mod base;
mod error;
mod generations;
mod journal;
mod route;
mod stage;

pub use artifacts::*;
pub use assistants::*;
pub use base::*;
pub use error::*;
pub use generations::*;
pub use journal::*;
pub use route::*;
pub use stage::*;
