//! A small network that predicts the type of a file, distilled from magika on files without labels.
//!
//! - [`files`]: the files of folders, as tokens
//! - `magika`: the teacher, with the feature `onnx`
//! - [`teacher`]: the outputs of a teacher, computed once
//! - [`student`]: the small network
//! - [`distill`](distill()): the training, and its result

mod distill;
pub mod files;
#[cfg(feature = "onnx")]
pub mod magika;
pub mod student;
pub mod teacher;

pub use distill::{Outcome, Settings, distill};
