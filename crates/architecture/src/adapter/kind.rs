use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// The layer of a [`FeatureAdapter`](crate::FeatureAdapter).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// None, between taps of one shape.
    None,
    /// A linear layer with bias, between vectors, or between sequences token by token.
    Linear,
    /// A 1×1 convolution with bias: every pixel by itself.
    Conv1x1,
    /// A padded 3×3 convolution with bias, between maps.
    Conv3x3,
    /// The regressor of hints between maps: a 3×3 convolution of stride 2 to half the size, a
    /// transposed 4×4 one to double the size, else one with a kernel of
    /// `1 + student size − teacher size`, without padding.
    Regressor,
    /// A 1×1 convolution without bias, with weights of variance `2 / channels` of the teacher: the
    /// connector of activation boundaries and of the overhaul.
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
