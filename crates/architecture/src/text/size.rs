use super::catalog::text_catalog;
use crate::{NetworkError, error, vit};
use burn::config::Config;
use burn_distill_core::nearest;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// Family of text networks, as in the package transformers.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum TextFamily {
    /// BERT, TinyBERT and MiniLM. The classifier is that of `BertForSequenceClassification`: the
    /// first token after the last layer, a linear layer, tanh and a linear classifier.
    Bert,
    /// DistilBERT: BERT without embeddings of segments, and without dropout after the attention.
    /// The classifier is that of `DistilBertForSequenceClassification`: the first token after the
    /// last layer, a linear layer, ReLU and a linear classifier.
    DistilBert,
}

/// Size of a text network, without the vocabulary and the classes.
///
/// | Name | Family | Layers | Features | Heads | Features between the linear layers |
/// | --- | --- | --- | --- | --- | --- |
/// | `bert-tiny` | BERT | 2 | 128 | 2 | 512 |
/// | `bert-mini` | | 4 | 256 | 4 | 1024 |
/// | `bert-small` | | 4 | 512 | 8 | 2048 |
/// | `bert-medium` | | 8 | 512 | 8 | 2048 |
/// | `bert-base` | | 12 | 768 | 12 | 3072 |
/// | `tinybert-4` | | 4 | 312 | 12 | 1200 |
/// | `tinybert-6` | | 6 | 768 | 12 | 3072 |
/// | `minilm-6` | | 6 | 384 | 12 | 1536 |
/// | `minilm-12` | | 12 | 384 | 12 | 1536 |
/// | `distilbert` | DistilBERT | 6 | 768 | 12 | 3072 |
/// | `transformer-16-2-4` | BERT | 2 | 16 | 4 | four times the features |
///
/// # Example
///
/// ```
/// use burn_distill_architecture::TextSize;
///
/// let size = TextSize::by_name("bert-mini")?;
///
/// assert_eq!((size.depth, size.features), (4, 256));
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSize {
    /// Family, which determines the classifier and the names of the tensors.
    pub family: TextFamily,
    /// Number of features of a token, a multiple of the number of heads.
    pub features: usize,
    /// Number of layers.
    pub depth: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Number of features between the two linear layers of a layer.
    pub intermediate: usize,
}

/// Ratio of the features between the linear layers to the features of a token, in a network whose
/// name does not determine it.
const EXPANSION: usize = 4;

const fn bert(features: usize, depth: usize, heads: usize, intermediate: usize) -> TextSize {
    TextSize {
        family: TextFamily::Bert,
        features,
        depth,
        heads,
        intermediate,
    }
}

/// The named sizes.
const SIZES: [(&str, TextSize); 10] = [
    ("bert-tiny", bert(128, 2, 2, 512)),
    ("bert-mini", bert(256, 4, 4, 1024)),
    ("bert-small", bert(512, 4, 8, 2048)),
    ("bert-medium", bert(512, 8, 8, 2048)),
    ("bert-base", bert(768, 12, 12, 3072)),
    ("tinybert-4", bert(312, 4, 12, 1200)),
    ("tinybert-6", bert(768, 6, 12, 3072)),
    ("minilm-6", bert(384, 6, 12, 1536)),
    ("minilm-12", bert(384, 12, 12, 1536)),
    (
        "distilbert",
        TextSize {
            family: TextFamily::DistilBert,
            ..bert(768, 6, 12, 3072)
        },
    ),
];

impl TextSize {
    /// Returns the size with this name. Upper case, and `_` instead of `-`, are also valid.
    ///
    /// # Errors
    ///
    /// Returns [`NetworkError::Unknown`], with the known names and the most similar one, if no text
    /// network has this name, or the error about a number in the name that is out of range.
    pub fn by_name(name: &str) -> Result<Self, NetworkError> {
        let spelled = name.to_lowercase().replace('_', "-");
        let size = Self::parse(&spelled).ok_or_else(|| {
            let known = text_catalog().iter();
            let examples = known.clone().map(|entry| entry.example);
            NetworkError::Unknown {
                name: name.to_string(),
                nearest: nearest(&spelled, examples).map(str::to_string),
                known: known.map(|entry| entry.name.to_string()).collect(),
            }
        })?;
        size.check()?;
        Ok(size)
    }

    fn parse(name: &str) -> Option<Self> {
        let named = SIZES.iter().find(|(known, _)| *known == name);
        if let Some((_, size)) = named {
            return Some(*size);
        }
        let numbers = name.strip_prefix("transformer-")?.split('-');
        // `parse` alone would also accept a sign.
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        match numbers.map(number).collect::<Option<Vec<usize>>>()?[..] {
            [features, depth, heads] => {
                let wide = features.saturating_mul(EXPANSION);
                Some(bert(features, depth, heads, wide))
            }
            _ => None,
        }
    }

    /// Checks the sizes that do not depend on the vocabulary and the classes.
    pub(super) fn check(&self) -> Result<(), NetworkError> {
        error::check_widths(&[self.features, self.intermediate])?;
        error::check_depth(KIND, self.depth)?;
        vit::check_sizes(self.features, self.depth, self.heads)
    }
}

const KIND: &str = "text network";

/// Writes the name. A size without a name is written by its numbers, in words.
impl Display for TextSize {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = SIZES.iter().find(|(_, size)| size == self) {
            return f.write_str(name);
        }
        let Self {
            family,
            features,
            depth,
            heads,
            intermediate,
        } = self;
        match *family == TextFamily::Bert && *intermediate == EXPANSION * features {
            true => write!(f, "transformer-{features}-{depth}-{heads}"),
            false => write!(
                f,
                "a {family:?} of {depth} layers, {features} features, {heads} heads and \
                 {intermediate} features between the linear layers"
            ),
        }
    }
}
