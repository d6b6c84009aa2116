use burn::config::Config;

/// Treatment of padding in a mean over tokens.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// The mean is over the tokens that count.
    Excluded,
    /// The mean is over all tokens, padding included, as in the authors' code.
    Included,
}
