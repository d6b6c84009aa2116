mod factor;
mod spatial;

pub use factor::*;
pub use spatial::*;
