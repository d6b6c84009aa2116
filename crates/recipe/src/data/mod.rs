//! The table `[data]`: the samples of an experiment and their use.

mod arrays;
mod bytes;
mod csv;
mod folder;
mod keys;
mod lookup;
mod own;
mod recipe;
mod source;

pub use arrays::{ArraysConfig, ImageLayout};
pub use own::OwnData;
pub use recipe::DataRecipe;
pub(crate) use source::path_keys;
pub use source::{OwnSource, SourceRecipe};

#[cfg(test)]
mod tests;
