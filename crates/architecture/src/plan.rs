use crate::conv_shape::ConvShape;
use crate::patches::Patches;

/// List of the layers of a network, computed without creating the network.
///
/// It contains the layers that have parameters or multiply matrices, in the order and with the
/// names of the module tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Layers.
    pub layers: Vec<Layer>,
}

/// A layer of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Path in the module tree, such as `layer1.0.conv2`.
    pub name: String,
    /// Kind of layer.
    pub kind: LayerKind,
    /// Shape of the output for one sample: `[channels, height, width]`, `[features]` or
    /// `[length, features]`.
    pub output: Vec<usize>,
}

/// Kind of a [`Layer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerKind {
    /// Square convolution.
    Convolution {
        /// Numbers of input and output channels.
        channels: [usize; 2],
        /// Height and width of the kernel.
        kernel: usize,
        /// Number of groups of channels that are convolved separately.
        groups: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch normalization with scale and offset.
    Norm {
        /// Number of channels.
        channels: usize,
    },
    /// Layer normalization of each token, with scale and offset.
    LayerNorm {
        /// Number of features of a token.
        features: usize,
    },
    /// Linear layer with bias, for a vector or for each token of a sequence.
    Linear {
        /// Numbers of input and output features.
        features: [usize; 2],
    },
    /// Learned vectors, such as a class token or the positions: a single tensor, whose path is the
    /// name of the layer and whose shape is the output.
    Embeddings,
    /// Products of queries with keys and of attention with values, without parameters.
    Attention {
        /// Number of tokens.
        length: usize,
    },
}

impl Layer {
    /// Returns the number of trainable parameters.
    pub fn parameters(&self) -> usize {
        match self.kind {
            LayerKind::Convolution {
                channels: [inputs, outputs],
                kernel,
                groups,
                bias,
            } => {
                let weights = product([inputs / groups, outputs, kernel, kernel]);
                weights.saturating_add(if bias { outputs } else { 0 })
            }
            LayerKind::Norm { channels: size } | LayerKind::LayerNorm { features: size } => {
                product([2, size])
            }
            LayerKind::Linear {
                features: [inputs, outputs],
            } => product([inputs.saturating_add(1), outputs]),
            LayerKind::Embeddings => self.size(),
            LayerKind::Attention { .. } => 0,
        }
    }

    /// Returns the number of multiply-adds for one sample.
    ///
    /// As in the literature, only those of convolutions and matrix products count, not those of
    /// biases and normalizations.
    pub fn multiply_adds(&self) -> usize {
        match self.kind {
            LayerKind::Convolution {
                channels: [inputs, _],
                kernel,
                groups,
                ..
            } => product([self.size(), inputs / groups, kernel, kernel]),
            LayerKind::Norm { .. } | LayerKind::LayerNorm { .. } | LayerKind::Embeddings => 0,
            LayerKind::Linear {
                features: [inputs, _],
            } => product([self.size(), inputs]),
            LayerKind::Attention { length } => product([2, self.size(), length]),
        }
    }
}

impl Layer {
    /// Returns the number of output values for one sample.
    fn size(&self) -> usize {
        product(self.output.iter().copied())
    }
}

/// Returns the product, or the largest integer if the product overflows.
fn product(factors: impl IntoIterator<Item = usize>) -> usize {
    factors.into_iter().fold(1, usize::saturating_mul)
}

impl Plan {
    /// Returns the number of trainable parameters.
    pub fn parameters(&self) -> usize {
        let counts = self.layers.iter().map(Layer::parameters);
        counts.fold(0, usize::saturating_add)
    }

    /// Returns the number of multiply-adds for one sample: see [`Layer::multiply_adds`].
    pub fn multiply_adds(&self) -> usize {
        let counts = self.layers.iter().map(Layer::multiply_adds);
        counts.fold(0, usize::saturating_add)
    }

    /// Adds a convolution with a padding of half its kernel and returns the shape of its output.
    pub(crate) fn convolution(
        &mut self,
        name: impl Into<String>,
        input: [usize; 3],
        outputs: usize,
        kernel: usize,
        stride: usize,
    ) -> [usize; 3] {
        let [inputs, ..] = input;
        let shape = ConvShape::new([inputs, outputs], kernel).stride(stride);
        self.convolution_of(name, input, shape)
    }

    /// Adds a convolution and returns the shape after it.
    pub(crate) fn convolution_of(
        &mut self,
        name: impl Into<String>,
        [_, height, width]: [usize; 3],
        shape: ConvShape,
    ) -> [usize; 3] {
        let ConvShape {
            channels,
            kernel,
            stride,
            groups,
            bias,
        } = shape;
        let [_, outputs] = channels;
        let output = [outputs, height.div_ceil(stride), width.div_ceil(stride)];
        let kind = LayerKind::Convolution {
            channels,
            kernel,
            groups,
            bias,
        };
        self.add(name, kind, &output);
        output
    }

    /// Adds a convolution of patches that do not overlap.
    pub(crate) fn patches(
        &mut self,
        name: impl Into<String>,
        channels: [usize; 2],
        Patches {
            side,
            rows,
            columns,
        }: Patches,
    ) {
        let [_, features] = channels;
        let kind = LayerKind::Convolution {
            channels,
            kernel: side,
            groups: 1,
            bias: true,
        };
        self.add(name, kind, &[features, rows, columns]);
    }

    /// Adds a normalization, which does not change the shape.
    pub(crate) fn norm(&mut self, name: impl Into<String>, shape: [usize; 3]) {
        let [channels, ..] = shape;
        self.add(name, LayerKind::Norm { channels }, &shape);
    }

    /// Adds a linear layer.
    pub(crate) fn linear(&mut self, name: impl Into<String>, features: [usize; 2]) {
        self.add(name, LayerKind::Linear { features }, &features[1..]);
    }

    /// Adds a linear layer for every token.
    pub(crate) fn linear_tokens(
        &mut self,
        name: impl Into<String>,
        length: usize,
        features: [usize; 2],
    ) {
        let output = [length, features[1]];
        self.add(name, LayerKind::Linear { features }, &output);
    }

    /// Adds a normalization of every token, for `[length, features]`.
    pub(crate) fn norm_tokens(&mut self, name: impl Into<String>, tokens: [usize; 2]) {
        let [_, features] = tokens;
        self.add(name, LayerKind::LayerNorm { features }, &tokens);
    }

    /// Adds learned vectors: a tensor of this path and shape.
    pub(crate) fn embeddings(&mut self, path: impl Into<String>, shape: &[usize]) {
        self.add(path, LayerKind::Embeddings, shape);
    }

    /// Adds the matrix products of attention, for `[length, features]`.
    pub(crate) fn attention(&mut self, name: impl Into<String>, tokens: [usize; 2]) {
        let [length, _] = tokens;
        self.add(name, LayerKind::Attention { length }, &tokens);
    }

    fn add(&mut self, name: impl Into<String>, kind: LayerKind, output: &[usize]) {
        self.layers.push(Layer {
            name: name.into(),
            kind,
            output: output.to_vec(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CheckpointTensor, NetworkConfig};
    use burn::tensor::Device;
    use burn_distill_core::{known_taps, parameter_count, tensors};

    fn plan(name: &str, input: [usize; 3], classes: usize) -> Plan {
        let config = NetworkConfig::by_name(name).unwrap();
        config.plan(input, classes).unwrap()
    }

    #[test]
    fn it_lists_the_layers_of_the_network_in_order() {
        for name in crate::catalog().iter().map(|entry| entry.example) {
            let config = NetworkConfig::by_name(name).unwrap();
            let (input, classes) = ([3, 12, 10], 7);
            // The published networks, some of which are large, are compared with the originals.
            if matches!(config, NetworkConfig::Published(_)) {
                continue;
            }
            let network = config.init(input, classes, &Device::default()).unwrap();
            let plan = config.plan(input, classes).unwrap();

            let found: Vec<_> = tensors(&network)
                .into_iter()
                .map(|(path, data)| (path, data.shape().as_slice().to_vec()))
                .collect();
            let checkpoint = config.checkpoint(input, classes).unwrap();
            let in_burn = |mut tensor: CheckpointTensor| {
                if tensor.transposed {
                    tensor.shape.reverse();
                }
                (tensor.path, tensor.shape)
            };
            let planned: Vec<_> = checkpoint.into_iter().map(in_burn).collect();
            assert_eq!(planned, found, "{name}");
            assert_eq!(plan.parameters(), parameter_count(&network), "{name}");
        }
    }

    #[test]
    fn its_shapes_are_those_of_the_taps() {
        // Odd sizes, because strides round up.
        let input = [3, 13, 9];
        for (name, layers) in [
            ("mlp-6-5", ["hidden.0", "hidden.1"].as_slice()),
            (
                "resnet14",
                &["conv1", "layer1.1.bn2", "layer2.1.bn2", "layer3.1.bn2"],
            ),
            (
                "wrn-16-2",
                &[
                    "conv1",
                    "block1.layer.1.conv2",
                    "block2.layer.1.conv2",
                    "bn1",
                ],
            ),
            ("convnet-4-6-8", &["layer.0.bn", "layer.1.bn", "layer.2.bn"]),
        ] {
            let config = NetworkConfig::by_name(name).unwrap();
            let network = config.init(input, 5, &Device::default()).unwrap();
            let taps = known_taps(&network);
            let plan = config.plan(input, 5).unwrap();

            let tapped: Vec<_> = taps
                .iter()
                .filter(|(tap, _)| !tap.ends_with(".pre") && !["class-maps", "pool"].contains(tap))
                .map(|(_, tap)| tap.shape().as_slice()[1..].to_vec())
                .collect();
            let planned: Vec<_> = layers
                .iter()
                .map(|name| {
                    let layer = plan.layers.iter().find(|layer| layer.name == *name);
                    layer.unwrap().output.clone()
                })
                .collect();
            assert_eq!(planned, tapped, "{name}");
        }
    }

    #[test]
    fn multiply_adds_agree_with_the_count_by_hand() {
        // resnet20 for ten classes. Stem 442 368; stages 14 155 776, 12 976 128 and 12 976 128;
        // two shortcuts of 131 072; classifier 640. The literature rounds it to 41 M.
        assert_eq!(
            plan("resnet20", [3, 32, 32], 10).multiply_adds(),
            40_813_184
        );
        // 64 · 16 + 16 · 10
        assert_eq!(plan("mlp-16", [1, 8, 8], 10).multiply_adds(), 1_184);
        // 8² · 4 · 9 at full size, 4² · 4 · 8 · 9 at half, 8 · 10
        assert_eq!(plan("convnet-4-8", [1, 8, 8], 10).multiply_adds(), 6_992);
        // Sixteen patches 16 · 4 · 4; of 17 tokens four matrices 4 · 17 · 4², attention 2 · 17² · 4
        // and two linear layers 2 · 17 · 4 · 16; the class token 4 · 10.
        assert_eq!(plan("vit-4-1-2", [1, 8, 8], 10).multiply_adds(), 5_872);
    }
}
