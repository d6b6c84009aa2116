mod base;
mod error;
mod generations;
mod journal;
mod parts;
mod route;
mod stage;

pub use base::*;
pub use error::*;
pub use generations::*;
pub use journal::*;
pub use parts::*;
pub use route::*;
pub use stage::*;
