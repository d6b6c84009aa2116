//! Files with the weights of networks, from this and from other programs.

mod base;
mod detect;
mod error;
mod format;
mod keys;
mod layout;
mod mapping;
mod pytorch;
mod safetensors;
mod tensor;

pub use base::Checkpoint;
pub use error::CheckpointError;
pub use format::CheckpointFormat;
pub use keys::{KeyError, KeyMap};
pub use layout::pytorch_layout;
pub use mapping::{Assigned, Mapping, ShapeMismatch};
pub use tensor::StoredTensor;
