//! Arrays in the files of NumPy.

mod array;
mod element;
mod header;
mod npy;
mod npz;
#[cfg(test)]
mod tests;

pub use array::*;
pub use npz::*;
