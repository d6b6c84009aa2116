//! Arrays in the files of NumPy.

mod array;
mod element;
mod header;
mod layout;
mod npy;
mod npz;
mod reader;
#[cfg(test)]
mod tests;
mod tokens;

pub use array::*;
pub use layout::*;
pub use npz::*;
pub use reader::*;
pub use tokens::*;
