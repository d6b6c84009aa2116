use crate::layers::norm;
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, PaddingConfig2d};
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Check, ConfigError, batch_norm, check};

/// Slope of every leaky ReLU below zero.
const SLOPE: f64 = 0.1;

/// Configuration to create a [`Translator`] using the [init function](TranslatorConfig::init).
#[derive(Config, Debug)]
pub struct TranslatorConfig {
    /// Number of channels of the maps.
    pub channels: usize,
    /// Number of channels of the factors.
    pub factors: usize,
    /// Whether batch normalization follows each convolution. Default: `false`, as in the authors'
    /// code.
    #[config(default = false)]
    pub batch_norm: bool,
}

impl TranslatorConfig {
    /// Creates a [`Translator`].
    ///
    /// # Panics
    ///
    /// Panics if a number of channels is zero.
    pub fn init(&self, device: &Device) -> Translator {
        let Self {
            channels,
            factors,
            batch_norm,
        } = *self;
        self.assert_valid();
        let layer = |channels: [usize; 2]| TranslatorLayer {
            conv: Conv2dConfig::new(channels, [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device),
            bn: batch_norm.then(|| norm(channels[1], device)),
        };
        Translator {
            layer: vec![
                layer([channels, channels]),
                layer([channels, factors]),
                layer([factors, factors]),
            ],
        }
    }
}

impl Check for TranslatorConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("channels", self.channels, 1)?;
        check::at_least("factors", self.factors, 1)
    }
}

/// Network from a map to its factors: three 3×3 convolutions, each followed by optional batch
/// normalization and a leaky ReLU with a slope of 0.1.
///
/// In factor transfer, it translates the features of the student. It is also the encoder of a
/// [`Paraphraser`].
///
/// # Shapes
///
/// - input: `[batch_size, channels, height, width]`
/// - output: `[batch_size, factors, height, width]`
///
/// # Reference
///
/// J. Kim, S. Park and N. Kwak, [Paraphrasing Complex Network: Network Compression via Factor
/// Transfer](https://arxiv.org/abs/1802.04977), NeurIPS 2018.
#[derive(Module, Debug)]
pub struct Translator {
    /// Layers.
    pub layer: Vec<TranslatorLayer>,
}

/// A layer of a [`Translator`].
#[derive(Module, Debug)]
pub struct TranslatorLayer {
    /// Convolution.
    pub conv: Conv2d,
    /// Normalization after the convolution, if there is one.
    pub bn: Option<BatchNorm>,
}

impl Translator {
    /// Computes the factors of a map.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, channels, height, width]`
    /// - output: `[batch_size, factors, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if the translator was created for another number of channels.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        self.layer.iter().fold(map, |map, layer| {
            activate(layer.conv.forward(map), &layer.bn)
        })
    }

    /// Returns the number of channels of the factors.
    pub fn factors(&self) -> usize {
        self.layer
            .last()
            .map_or(0, |layer| layer.conv.weight.lazy_shape()[0])
    }
}

/// Configuration to create a [`Paraphraser`] using the [init function](ParaphraserConfig::init).
#[derive(Config, Debug)]
pub struct ParaphraserConfig {
    /// Number of channels of the teacher's maps.
    pub channels: usize,
    /// Ratio of the channels of the factors to those of the maps. The result is rounded and at
    /// least one. Default: `0.5`, as in the paper.
    #[config(default = 0.5)]
    pub rate: f64,
    /// Whether batch normalization follows each convolution. Default: `false`, as in the authors'
    /// code.
    #[config(default = false)]
    pub batch_norm: bool,
}

impl ParaphraserConfig {
    /// Creates a [`Paraphraser`].
    ///
    /// # Panics
    ///
    /// Panics if the number of channels is zero, or if the rate is not positive.
    pub fn init(&self, device: &Device) -> Paraphraser {
        let Self {
            channels,
            rate,
            batch_norm,
        } = *self;
        self.assert_valid();
        let factors = ((channels as f64 * rate).round() as usize).max(1);
        let layer = |channels: [usize; 2]| ParaphraserLayer {
            conv: ConvTranspose2dConfig::new(channels, [3, 3])
                .with_padding([1, 1])
                .init(device),
            bn: batch_norm.then(|| norm(channels[1], device)),
        };
        Paraphraser {
            encoder: TranslatorConfig::new(channels, factors)
                .with_batch_norm(batch_norm)
                .init(device),
            decoder: vec![
                layer([factors, factors]),
                layer([factors, channels]),
                layer([channels, channels]),
            ],
        }
    }
}

impl Check for ParaphraserConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("channels", self.channels, 1)?;
        check::positive("rate", self.rate)
    }
}

/// Autoencoder of the teacher's features, whose codes are the factors that factor transfer
/// compares.
///
/// The encoder is a [`Translator`]; the decoder is its mirror image of transposed convolutions. The
/// autoencoder is trained first, to reconstruct the teacher's features, and is constant during the
/// training of the student.
///
/// # Shapes
///
/// - input, output: `[batch_size, channels, height, width]`
/// - factors: `[batch_size, round(rate · channels), height, width]`
///
/// # Reference
///
/// J. Kim, S. Park and N. Kwak, [Paraphrasing Complex Network: Network Compression via Factor
/// Transfer](https://arxiv.org/abs/1802.04977), NeurIPS 2018. Layers and initial values are those
/// of the authors' Factor-Transfer-pytorch; with `batch_norm` the layers are those of torchdistill.
#[derive(Module, Debug)]
pub struct Paraphraser {
    /// Encoder from features to factors.
    pub encoder: Translator,
    /// Decoder from factors to features.
    pub decoder: Vec<ParaphraserLayer>,
}

/// A layer of the decoder of a [`Paraphraser`].
#[derive(Module, Debug)]
pub struct ParaphraserLayer {
    /// Transposed convolution.
    pub conv: ConvTranspose2d,
    /// Normalization after the convolution, if there is one.
    pub bn: Option<BatchNorm>,
}

impl Paraphraser {
    /// Reconstructs a map from its factors.
    ///
    /// # Shapes
    ///
    /// - map, output: `[batch_size, channels, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if the paraphraser was created for another number of channels.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        self.decode(self.encode(map))
    }

    /// Computes the factors of a map.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, channels, height, width]`
    /// - output: `[batch_size, factors, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if the paraphraser was created for another number of channels.
    pub fn encode(&self, map: Tensor<4>) -> Tensor<4> {
        self.encoder.forward(map)
    }

    /// Reconstructs a map from factors.
    ///
    /// # Shapes
    ///
    /// - factors: `[batch_size, factors, height, width]`
    /// - output: `[batch_size, channels, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if the paraphraser was created for another number of channels of the factors.
    pub fn decode(&self, factors: Tensor<4>) -> Tensor<4> {
        self.decoder.iter().fold(factors, |map, layer| {
            activate(layer.conv.forward(map), &layer.bn)
        })
    }

    /// Returns the number of channels of the factors.
    pub fn factors(&self) -> usize {
        self.encoder.factors()
    }
}

fn activate(map: Tensor<4>, bn: &Option<BatchNorm>) -> Tensor<4> {
    let map = match bn {
        Some(bn) => batch_norm(bn, map),
        None => map,
    };
    leaky_relu(map, SLOPE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::parameter_count;

    #[test]
    fn factors_have_the_size_of_the_map_and_half_its_channels() {
        let device = Device::default();
        let paraphraser = ParaphraserConfig::new(5).init(&device);
        let map = Tensor::ones([2, 5, 4, 3], &device);

        assert_eq!(paraphraser.factors(), 3); // 2.5, rounded
        assert_eq!(paraphraser.encode(map.clone()).dims(), [2, 3, 4, 3]);
        assert_eq!(paraphraser.forward(map).dims(), [2, 5, 4, 3]);
        // Both halves: 5·5, 5·3 and 3·3 kernels; the biases of 5 + 3 + 3 and 3 + 5 + 5 outputs.
        assert_eq!(parameter_count(&paraphraser), 2 * 9 * 49 + 11 + 13);
    }

    #[test]
    fn batch_normalization_is_optional() {
        let device = Device::default();
        let plain = TranslatorConfig::new(4, 2).init(&device);
        let normalized = TranslatorConfig::new(4, 2)
            .with_batch_norm(true)
            .init(&device);

        let more = parameter_count(&normalized) - parameter_count(&plain);
        assert_eq!(more, 2 * (4 + 2 + 2));
        assert_eq!(
            normalized
                .forward(Tensor::ones([1, 4, 3, 3], &device))
                .dims(),
            [1, 2, 3, 3]
        );
    }

    #[test]
    fn activations_have_a_slope_below_zero() {
        let device = Device::default();
        let mut translator = TranslatorConfig::new(1, 1).init(&device);
        // Each convolution is the identity times −1.
        for layer in &mut translator.layer {
            let conv = layer.conv.clone();
            let kernel = Tensor::from_data(
                [[[[0.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]]]],
                &device,
            );
            layer.conv = Conv2d {
                weight: conv.weight.map(|_| kernel),
                bias: None,
                ..layer.conv.clone()
            };
        }

        let output = translator.forward(Tensor::ones([1, 1, 1, 1], &device));

        // 1 → −0.1 → 0.1 → −0.01
        assert!((output.into_scalar::<f32>() + 0.01).abs() < 1e-7);
    }

    #[test]
    #[should_panic(expected = "`rate` should be finite and above 0, but is 0")]
    fn the_rate_is_positive() {
        ParaphraserConfig::new(4)
            .with_rate(0.0)
            .init(&Device::default());
    }
}
