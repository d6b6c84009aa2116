mod regularizers;
mod synthesis;

pub use regularizers::*;
pub use synthesis::*;
