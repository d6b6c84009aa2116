mod evaluation;
mod method;
mod run;
mod samples;

pub use method::*;
pub use run::*;
pub use samples::*;
