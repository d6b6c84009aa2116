use super::{TextClassifierConfig, TextEncoderConfig, TextSize};
use burn::config::Config;
use burn_distill_core::{Check, ConfigError, check};

/// Options of a text network in a recipe or an exported model.
///
/// ```
/// use burn_distill_architecture::{TextOptions, TextSize};
///
/// let options = TextOptions::new().with_vocabulary(Some(30_522)).with_positions(Some(512));
/// let (length, vocabulary, classes) = (32, 20_000, 2);
/// let size = TextSize::by_name("bert-tiny")?;
/// let config = options.classifier(size, [length, vocabulary], classes)?;
///
/// assert_eq!(config.plan()?.parameters(), 4_386_178);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Config, Debug)]
pub struct TextOptions {
    /// Number of different tokens, at least that of the data. Default: that of the data.
    pub vocabulary: Option<usize>,
    /// Number of positions with an embedding, at least the length of the sequences of the data.
    /// Default: that length.
    pub positions: Option<usize>,
    /// Probability of every dropout. Default: 0.1, and 0.2 before the classifier of DistilBERT.
    pub dropout: Option<f64>,
}

impl TextOptions {
    /// Returns the configuration of a classifier of this size, for data with these numbers of tokens
    /// in a sequence and of different tokens.
    ///
    /// # Errors
    ///
    /// Returns an error if the vocabulary is smaller than that of the data.
    pub fn classifier(
        &self,
        size: TextSize,
        [length, of_data]: [usize; 2],
        classes: usize,
    ) -> Result<TextClassifierConfig, ConfigError> {
        let vocabulary = self.vocabulary.unwrap_or(of_data);
        let expected = format!("at least {of_data}, the number of different tokens of the data");
        check::ensure(vocabulary >= of_data, "vocabulary", expected, vocabulary)?;
        let mut encoder =
            TextEncoderConfig::new(size, vocabulary, length).with_positions(self.positions);
        if let Some(dropout) = self.dropout {
            encoder.dropout = dropout;
        }
        let classifier = TextClassifierConfig::new(encoder, classes);
        Ok(classifier.with_classifier_dropout(self.dropout))
    }
}

impl Check for TextOptions {
    fn check(&self) -> Result<(), ConfigError> {
        let Some(dropout) = self.dropout else {
            return Ok(());
        };
        let expected = "a probability from 0 and below 1";
        check::ensure((0.0..1.0).contains(&dropout), "dropout", expected, dropout)
    }
}
