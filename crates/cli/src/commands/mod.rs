mod inspect;
mod list;
mod resume;
mod run;

pub use inspect::inspect;
pub use list::list;
pub use run::run;
