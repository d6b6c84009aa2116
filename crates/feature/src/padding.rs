use burn::config::Config;

/// What a mean over tokens does with padding.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// The mean is over the tokens that count.
    Excluded,
    /// The mean is over all tokens, padding included, as in the authors' code.
    Included,
}
