use super::names::original_of_classifier;
use super::{TextEncoder, TextEncoderConfig, TextFamily};
use crate::published::checkpoint_of;
use crate::{CheckpointTensor, NetworkError, Plan, error};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::Device;
use burn::tensor::activation::{relu, tanh};
use burn_distill_core::{Network, Response, Tap, TapRecorder, Tokens};

/// Configuration to create a [`TextClassifier`] using the [init
/// function](TextClassifierConfig::init).
///
/// ```
/// use burn_distill_architecture::{TextClassifierConfig, TextEncoderConfig, TextSize};
///
/// let encoder = TextEncoderConfig::new(TextSize::by_name("bert-base")?, 30_522, 128)
///     .with_positions(Some(512));
/// let classifier = TextClassifierConfig::new(encoder, 2);
///
/// assert_eq!(classifier.plan()?.parameters(), 109_483_778);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
#[derive(Config, Debug)]
pub struct TextClassifierConfig {
    /// Encoder.
    pub encoder: TextEncoderConfig,
    /// Number of classes.
    pub classes: usize,
    /// Probability of dropout before the classifier. Default: that of the encoder, but 0.2 for
    /// DistilBERT, as in transformers.
    pub classifier_dropout: Option<f64>,
}

impl TextClassifierConfig {
    /// Creates a [`TextClassifier`].
    ///
    /// # Panics
    ///
    /// Panics with the error of [`plan`](Self::plan), or if a dropout is not a probability below 1.
    pub fn init(&self, device: &Device) -> TextClassifier {
        error::check_classes(self.classes).unwrap_or_else(|error| panic!("{error}"));
        let size = self.encoder.size;
        let by_default = match size.family {
            TextFamily::Bert => self.encoder.dropout,
            TextFamily::DistilBert => 0.2,
        };
        let dropout = self.classifier_dropout.unwrap_or(by_default);
        TextClassifier {
            encoder: self.encoder.init(device),
            pooler: LinearConfig::new(size.features, size.features).init(device),
            dropout: DropoutConfig::new(dropout).init(),
            classifier: LinearConfig::new(size.features, self.classes).init(device),
            family: size.family,
        }
    }

    /// Lists the layers without creating the network.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`TextEncoderConfig::plan`], and an error if there are no classes or
    /// too many.
    pub fn plan(&self) -> Result<Plan, NetworkError> {
        error::check_classes(self.classes)?;
        let mut plan = self.encoder.plan()?;
        for layer in &mut plan.layers {
            layer.name.insert_str(0, "encoder.");
        }
        let features = self.encoder.size.features;
        plan.linear("pooler", [features, features]);
        plan.linear("classifier", [features, self.classes]);
        Ok(plan)
    }

    /// Returns the tensors of the network, each with its name in the state dict of
    /// `BertForSequenceClassification` or `DistilBertForSequenceClassification` of transformers and
    /// its path here, in the order of the state dict.
    ///
    /// The names of the encoder begin with `bert.` or `distilbert.`, also that of BERT's `pooler`.
    /// A state dict of `BertModel` or `DistilBertModel` has the same names without that prefix, and
    /// no `classifier`. The numbers `position_ids` of old checkpoints have no counterpart. In still
    /// older checkpoints the scale and the offset of a `LayerNorm` are `gamma` and `beta` instead of
    /// `weight` and `bias`.
    ///
    /// ```
    /// use burn_distill_architecture::{TextClassifierConfig, TextEncoderConfig, TextSize};
    ///
    /// let encoder = TextEncoderConfig::new(TextSize::by_name("bert-mini")?, 30_522, 512);
    /// let tensors = TextClassifierConfig::new(encoder, 2).checkpoint()?;
    ///
    /// let query = &tensors[5];
    /// assert_eq!(query.original, "bert.encoder.layer.0.attention.self.query.weight");
    /// assert_eq!(query.path, "encoder.layers.0.attention.query.weight");
    /// # Ok::<(), burn_distill_architecture::NetworkError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`plan`](Self::plan).
    pub fn checkpoint(&self) -> Result<Vec<CheckpointTensor>, NetworkError> {
        let family = self.encoder.size.family;
        let original = |layer: &str| original_of_classifier(family, layer);
        Ok(checkpoint_of(&self.plan()?, original))
    }
}

/// Text classifier: a [`TextEncoder`] and a classifier of the first token.
///
/// ```text
/// pool = activation(pooler(first token of the last layer)),   logits = classifier(dropout(pool))
/// ```
///
/// The activation is tanh in BERT and ReLU in DistilBERT, where transformers names the pooler
/// `pre_classifier`. The taps are those of the [encoder](TextEncoder), with `mask` for the losses on
/// tokens, and one more:
///
/// | Tap | Kind | Content |
/// | --- | --- | --- |
/// | `pool` | vector | the input of the classifier, before the dropout |
///
/// # Shapes
///
/// - input: tokens and mask `[batch_size, length]`
/// - `pool`: `[batch_size, features]`
/// - response: `[batch_size, classes]`
///
/// # Panics
///
/// The forward pass panics where that of the [encoder](TextEncoder) does.
///
/// # Reference
///
/// J. Devlin et al., [BERT](https://arxiv.org/abs/1810.04805), NAACL 2019; V. Sanh et al.,
/// [DistilBERT](https://arxiv.org/abs/1910.01108), 2019; X. Jiao et al.,
/// [TinyBERT](https://arxiv.org/abs/1909.10351), Findings of EMNLP 2020; W. Wang et al.,
/// [MiniLM](https://arxiv.org/abs/2002.10957), NeurIPS 2020. Agrees with
/// `BertForSequenceClassification` and `DistilBertForSequenceClassification` of transformers.
#[doc(alias = "BERT")]
#[doc(alias = "DistilBERT")]
#[derive(Module, Debug)]
pub struct TextClassifier {
    /// Encoder.
    pub encoder: TextEncoder,
    /// Linear layer on the first token.
    pub pooler: Linear,
    /// Dropout before the classifier.
    pub dropout: Dropout,
    /// Classifier.
    pub classifier: Linear,
    /// Family, which determines the activation of the pooler.
    #[module(skip)]
    pub family: TextFamily,
}

impl Network for TextClassifier {
    type Input = Tokens;

    fn forward_tapped(&self, input: Tokens, taps: &mut TapRecorder) -> Response {
        let hidden = self.encoder.hidden(input, taps);
        let first = hidden.narrow(1, 0, 1).squeeze_dim::<2>(1);
        let pooled = self.pooler.forward(first);
        let pool = match self.family {
            TextFamily::Bert => tanh(pooled),
            TextFamily::DistilBert => relu(pooled),
        };
        taps.offer("pool", || Tap::Vector(pool.clone()));
        Response::Classes(self.classifier.forward(self.dropout.forward(pool)))
    }

    fn example(&self, samples: usize, device: &Device) -> Tokens {
        self.encoder.example(samples, device)
    }

    fn classifier(&self) -> Option<Linear> {
        Some(self.classifier.clone())
    }
}
