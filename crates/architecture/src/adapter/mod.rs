mod spatial;

pub use spatial::*;
