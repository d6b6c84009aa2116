use crate::{ConfigError, Tap, TapError, Taps};

/// Error about a network that does not fit a configuration.
///
/// The `init` of a configuration panics with it. A program that reads configurations from files
/// checks them first and reports the error.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkMismatch {
    /// A value of the configuration is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A network does not offer a tap.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// A tap is of another kind than expected.
    #[error("The tap `{tap}` is of the kind {kind}, but {expected} is expected.")]
    Kind {
        /// Name of the tap.
        tap: String,
        /// Kind of the tap.
        kind: &'static str,
        /// Description of the expected kinds.
        expected: &'static str,
    },
    /// Any other reason, in a sentence.
    #[error("{0}")]
    Network(String),
}

crate::debug_as_display!(NetworkMismatch);

impl Taps {
    /// Returns a tap that holds features: a vector, a sequence or a map.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such tap, or if it is attention or a mask.
    pub fn features(&self, name: &str) -> Result<&Tap, NetworkMismatch> {
        match self.get(name)? {
            tap @ (Tap::Attention(_) | Tap::Mask(_)) => Err(NetworkMismatch::Kind {
                tap: name.to_string(),
                kind: tap.kind(),
                expected: "a vector, a sequence or a map",
            }),
            tap => Ok(tap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TapRecorder, TapSelection};
    use burn::tensor::{Device, Tensor};

    #[test]
    fn attention_is_refused_as_features() {
        let mut taps = TapRecorder::new(TapSelection::All);
        let device = Device::default();
        taps.offer("pool", || Tap::Vector(Tensor::zeros([2, 3], &device)));
        taps.offer("attention", || {
            Tap::Attention(Tensor::zeros([2, 1, 3, 3], &device))
        });
        let taps = taps.finish().unwrap();

        assert!(taps.features("pool").is_ok());
        let error = |name: &str| taps.features(name).unwrap_err().to_string();
        assert_eq!(
            error("attention"),
            "The tap `attention` is of the kind attention, but a vector, a sequence or a map is \
             expected."
        );
        assert!(error("pol").contains("did you mean `pool`?"));
    }
}
