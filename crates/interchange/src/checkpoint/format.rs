use std::fmt::{self, Display, Formatter};

/// Format of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointFormat {
    /// burn's format, `.bpk`.
    Burnpack,
    /// The ZIP archive that PyTorch writes since version 1.6, `.pth`, `.pt` or `.bin`.
    PyTorch,
    /// The sequence of pickles that PyTorch wrote before version 1.6.
    PyTorchLegacy,
    /// The format of Hugging Face, `.safetensors`.
    SafeTensors,
}

impl Display for CheckpointFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Burnpack => "burn (.bpk)",
            Self::PyTorch => "PyTorch",
            Self::PyTorchLegacy => "PyTorch (before 1.6)",
            Self::SafeTensors => "SafeTensors",
        })
    }
}
