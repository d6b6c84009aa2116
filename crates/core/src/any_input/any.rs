use crate::{DynNetwork, Input, Network, Tokens};
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// A network for inputs of any kind, such as one of a recipe.
pub type AnyNetwork = DynNetwork<AnyInput>;

/// Input of one of a few kinds, such as that of a network of a recipe.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "an input is moved a few times per batch, which a box would not repay"
)]
pub enum AnyInput {
    /// Images. Shape: `[samples, channels, height, width]`.
    Images(Tensor<4>),
    /// Vectors, such as the columns of a table. Shape: `[samples, features]`.
    Vectors(Tensor<2>),
    /// Sequences of vectors. Shape: `[samples, length, features]`.
    Sequences(Tensor<3>),
    /// Sequences of tokens.
    Tokens(Tokens),
}

/// Kind of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// [`AnyInput::Images`].
    Images,
    /// [`AnyInput::Vectors`].
    Vectors,
    /// [`AnyInput::Sequences`].
    Sequences,
    /// [`AnyInput::Tokens`].
    Tokens,
}

impl Display for InputKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Images => "images",
            Self::Vectors => "vectors",
            Self::Sequences => "sequences of vectors",
            Self::Tokens => "tokens",
        })
    }
}

/// Input that is not of the kind that a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherKind {
    /// Kind that the network takes.
    pub expected: InputKind,
    /// Kind of the input.
    pub found: InputKind,
}

impl Display for OtherKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(f, "the network takes {expected}, but the input is {found}")
    }
}

impl Error for OtherKind {}

/// Input of one kind, known at compile time.
pub trait TypedInput: Input + Into<AnyInput> + TryFrom<AnyInput, Error = OtherKind> {
    /// Kind of the input.
    const KIND: InputKind;
}

macro_rules! typed_input {
    ($($kind:ident($input:ty)),* $(,)?) => {$(
        impl TypedInput for $input {
            const KIND: InputKind = InputKind::$kind;
        }

        impl From<$input> for AnyInput {
            fn from(input: $input) -> Self {
                Self::$kind(input)
            }
        }

        impl TryFrom<AnyInput> for $input {
            type Error = OtherKind;

            fn try_from(input: AnyInput) -> Result<Self, OtherKind> {
                match input {
                    AnyInput::$kind(input) => Ok(input),
                    other => Err(OtherKind {
                        expected: InputKind::$kind,
                        found: other.kind(),
                    }),
                }
            }
        }
    )*};
}

typed_input!(
    Images(Tensor<4>),
    Vectors(Tensor<2>),
    Sequences(Tensor<3>),
    Tokens(Tokens),
);

/// Evaluates an expression with the value inside an `AnyInput`.
macro_rules! of_any {
    ($input:expr, $value:ident => $result:expr) => {
        match $input {
            AnyInput::Images($value) => $result,
            AnyInput::Vectors($value) => $result,
            AnyInput::Sequences($value) => $result,
            AnyInput::Tokens($value) => $result,
        }
    };
}

impl AnyInput {
    /// Returns the kind of the input.
    pub fn kind(&self) -> InputKind {
        match self {
            Self::Images(_) => InputKind::Images,
            Self::Vectors(_) => InputKind::Vectors,
            Self::Sequences(_) => InputKind::Sequences,
            Self::Tokens(_) => InputKind::Tokens,
        }
    }

    /// Returns the kind and the shape of a sample in words, as in `images of 3x32x32`.
    pub fn in_words(&self) -> String {
        match self {
            Self::Images(images) => {
                let [_, channels, height, width] = images.dims();
                InputShape::Image([channels, height, width]).to_string()
            }
            Self::Vectors(vectors) => InputShape::Vector([vectors.dims()[1]]).to_string(),
            Self::Sequences(sequences) => {
                let [_, length, features] = sequences.dims();
                InputShape::Sequence([length, features]).to_string()
            }
            Self::Tokens(tokens) => format!("sequences of {} tokens", tokens.ids.dims()[1]),
        }
    }

    fn concat_typed<T: TypedInput>(inputs: Vec<Self>) -> Self {
        let inputs = inputs.into_iter().map(|input| {
            let input = T::try_from(input);
            input.unwrap_or_else(|error| panic!("All inputs should be {}: {error}.", T::KIND))
        });
        T::concat(inputs.collect()).into()
    }
}

impl Input for AnyInput {
    fn len(&self) -> usize {
        of_any!(self, input => Input::len(input))
    }

    fn select(self, indices: Tensor<1, Int>) -> Self {
        of_any!(self, input => Input::select(input, indices).into())
    }

    fn concat(inputs: Vec<Self>) -> Self {
        match inputs.first().map(Self::kind) {
            Some(InputKind::Images) => Self::concat_typed::<Tensor<4>>(inputs),
            Some(InputKind::Vectors) => Self::concat_typed::<Tensor<2>>(inputs),
            Some(InputKind::Sequences) => Self::concat_typed::<Tensor<3>>(inputs),
            Some(InputKind::Tokens) => Self::concat_typed::<Tokens>(inputs),
            None => panic!("There should be at least one input."),
        }
    }

    fn sample_shape(&self) -> Option<Vec<usize>> {
        of_any!(self, input => Input::sample_shape(input))
    }

    fn is_autodiff(&self) -> bool {
        of_any!(self, input => Input::is_autodiff(input))
    }

    fn without_autodiff(self) -> Self {
        of_any!(self, input => Input::without_autodiff(input).into())
    }

    fn to_device(self, device: &Device) -> Self {
        of_any!(self, input => Input::to_device(input, device).into())
    }
}

/// Input of one sample of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum InputShape {
    /// An image: channels, height and width.
    Image([usize; 3]),
    /// A sequence of vectors: its length and the features of each.
    Sequence([usize; 2]),
    /// A vector: its features.
    Vector([usize; 1]),
    /// A sequence of tokens.
    Tokens {
        /// Length of a sequence, with padding.
        length: usize,
        /// Number of different tokens.
        vocabulary: usize,
    },
}

impl InputShape {
    /// Returns the kind of inputs of this shape.
    pub fn kind(&self) -> InputKind {
        match self {
            Self::Image(_) => InputKind::Images,
            Self::Vector(_) => InputKind::Vectors,
            Self::Sequence(_) => InputKind::Sequences,
            Self::Tokens { .. } => InputKind::Tokens,
        }
    }

    /// Returns the shape of an image.
    ///
    /// # Errors
    ///
    /// Returns an error if the input is not an image.
    pub fn image(&self) -> Result<[usize; 3], OtherKind> {
        match self {
            Self::Image(shape) => Ok(*shape),
            other => Err(OtherKind {
                expected: InputKind::Images,
                found: other.kind(),
            }),
        }
    }

    /// Returns the shape of a sample in the form of [`Input::sample_shape`].
    pub fn sample_shape(&self) -> Vec<usize> {
        match self {
            Self::Image(shape) => shape.to_vec(),
            Self::Vector(shape) => shape.to_vec(),
            Self::Sequence(shape) => shape.to_vec(),
            // Ids and mask.
            Self::Tokens { length, .. } => vec![1, *length, 1, *length],
        }
    }
}

/// Writes the kind and the sizes, as in `images of 3x32x32`.
impl Display for InputShape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image([channels, height, width]) => {
                write!(f, "images of {channels}x{height}x{width}")
            }
            Self::Vector([features]) => write!(f, "vectors of {features} features"),
            Self::Sequence([length, features]) => {
                write!(f, "sequences of {length} vectors of {features} features")
            }
            Self::Tokens { length, vocabulary } => {
                write!(f, "sequences of {length} tokens out of {vocabulary}")
            }
        }
    }
}

/// Creates a network that takes an [`AnyInput`] from one that takes inputs of one kind.
pub fn any_network<N: Network<Input: TypedInput>>(network: N) -> AnyNetwork {
    AnyNetwork::converting(network)
}
