use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// Layer of a [`FeatureAdapter`](crate::FeatureAdapter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// No layer, for taps of the same shape.
    None,
    /// Linear layer with bias, for vectors and for every token of sequences.
    Linear,
    /// 1×1 convolution with bias, for every pixel separately.
    Conv1x1,
    /// Padded 3×3 convolution with bias, for maps.
    Conv3x3,
    /// Regressor of hints, for maps: a 3×3 convolution of stride 2 to half the size, a transposed
    /// 4×4 convolution to double the size, or else a convolution without padding and with a kernel
    /// of `1 + student size − teacher size`.
    Regressor,
    /// 1×1 convolution without bias, with initial weights of variance `2 / channels` of the
    /// teacher: the connector of activation boundaries and of the overhaul.
    Connector,
}

impl Display for AdapterKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Linear => "linear",
            Self::Conv1x1 => "conv1x1",
            Self::Conv3x3 => "conv3x3",
            Self::Regressor => "regressor",
            Self::Connector => "connector",
        })
    }
}
