mod bottleneck;
mod factor;
mod spatial;

pub use bottleneck::*;
pub use factor::*;
pub use spatial::*;
