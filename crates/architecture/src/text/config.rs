use super::TextSize;
use crate::NetworkError;
use burn::config::Config;

/// Configuration to create a [`TextEncoder`](crate::TextEncoder) using the [init
/// function](TextEncoderConfig::init).
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{TextEncoderConfig, TextSize};
/// use burn_distill_core::known_taps;
///
/// let size = TextSize::by_name("transformer-16-2-4")?;
/// let encoder = TextEncoderConfig::new(size, 1000, 32).init(&Device::default());
///
/// let taps = known_taps(&encoder);
/// assert_eq!(taps.get("hidden.2").unwrap().shape().as_slice(), [2, 32, 16]);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
#[derive(Config, Debug)]
pub struct TextEncoderConfig {
    /// Size of the network.
    pub size: TextSize,
    /// Number of different tokens, which is 30,522 in most published checkpoints of BERT.
    pub vocabulary: usize,
    /// Number of tokens of a sequence, with padding, in the example of an input and in the
    /// [plan](Self::plan).
    pub length: usize,
    /// Number of positions with an embedding, which is the largest length of a sequence; 512 in
    /// most published checkpoints. Default: `length`.
    pub positions: Option<usize>,
    /// Probability of dropout during a training. Default: `0.1`.
    #[config(default = 0.1)]
    pub dropout: f64,
}

/// Largest vocabulary, so that a typing error does not allocate all memory.
const LARGEST_VOCABULARY: usize = 1 << 24;

/// Largest number of positions, for the same reason.
const LONGEST: usize = 65_536;

impl TextEncoderConfig {
    /// Returns the number of positions with an embedding.
    pub(super) fn positions(&self) -> usize {
        self.positions.unwrap_or(self.length)
    }

    /// Checks the sizes.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        self.size.check()?;
        let (length, positions) = (self.length, self.positions());
        for (what, found, largest) in [
            ("vocabulary", self.vocabulary, LARGEST_VOCABULARY),
            ("length", length, LONGEST),
        ] {
            if !(1..=largest).contains(&found) {
                return Err(NetworkError::TextInput {
                    what,
                    largest,
                    found,
                });
            }
        }
        if !(length..=LONGEST).contains(&positions) {
            return Err(NetworkError::Positions {
                length,
                longest: LONGEST,
                positions,
            });
        }
        Ok(())
    }
}
