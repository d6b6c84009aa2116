mod inspect;
mod list;
mod run;

pub use inspect::{grouped, inspect};
pub use list::list;
pub use run::run;
