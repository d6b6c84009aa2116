use crate::class_maps;
use crate::layers::global_average;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn_distill_core::{Network, Tap, TapRecorder, TapSelection};

/// A network of stages, whose outputs are the taps `layer1`, `layer2`, ….
pub(crate) trait Staged: Network<Input = Tensor<4>> {
    /// Returns the number of stages.
    fn stage_count(&self) -> usize;

    /// Runs the first `last` stages, offers their taps and returns the map of the last one.
    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4>;

    /// Implements [`Network::forward_to`]: runs only the stages up to the tap, or the whole network
    /// for a tap that is not the output of a stage.
    fn forward_to_stage(&self, input: Tensor<4>, tap: &str) -> Tap {
        let mut taps = TapRecorder::new(TapSelection::named([tap]));
        let number = tap.strip_prefix("layer").and_then(|n| n.parse().ok());
        match number.filter(|number| (1..=self.stage_count()).contains(number)) {
            Some(number) => {
                self.forward_stages(input, number, &mut taps);
            }
            None => {
                self.forward_tapped(input, &mut taps);
            }
        }
        let taps = taps.finish().unwrap_or_else(|error| panic!("{error}"));
        taps.expect(tap)
    }
}

/// Runs stages of blocks that end in an activation, and offers for each stage the output of its last
/// block, before the activation as `layer1.pre`, `layer2.pre`, … and after it as `layer1`, `layer2`, ….
///
/// `forward_pre` is the forward pass of a block without its last activation.
pub(crate) fn forward_blocks<'a, B: 'a>(
    mut map: Tensor<4>,
    stages: impl IntoIterator<Item = &'a [B]>,
    forward_pre: impl Fn(&B, Tensor<4>) -> Tensor<4>,
    taps: &mut TapRecorder,
) -> Tensor<4> {
    for (stage, number) in stages.into_iter().zip(1..) {
        for (index, block) in stage.iter().enumerate() {
            let pre = forward_pre(block, map);
            if index + 1 == stage.len() {
                taps.offer(format!("layer{number}.pre"), || Tap::Map(pre.clone()));
            }
            map = relu(pre);
        }
        taps.offer(format!("layer{number}"), || Tap::Map(map.clone()));
    }
    map
}

/// Averages the last map over its pixels, and offers the class maps as `class-maps` and the average as
/// `pool`. The classifier turns the average into the logits.
pub(crate) fn pooled(map: Tensor<4>, classifier: &Linear, taps: &mut TapRecorder) -> Tensor<2> {
    taps.offer("class-maps", || {
        Tap::Map(class_maps(map.clone(), classifier))
    });
    let pool = global_average(map);
    taps.offer("pool", || Tap::Vector(pool.clone()));
    pool
}

/// Sizes of one residual block, for its layers and for its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Numbers of input and output channels.
    pub channels: [usize; 2],
    /// Stride, the factor by which the map shrinks.
    pub stride: usize,
}

impl Block {
    /// Returns whether the shortcut needs a projection, because the shapes of input and output
    /// differ.
    pub fn projects(&self) -> bool {
        let [inputs, outputs] = self.channels;
        inputs != outputs || self.stride != 1
    }
}

/// Returns the blocks of the three stages of a CIFAR network. The first block of a stage changes
/// the map to the width of the stage and, from the second stage on, to half the size.
pub(crate) fn stages([stem, widths @ ..]: [usize; 4], blocks: usize) -> [Vec<Block>; 3] {
    let mut inputs = stem;
    let mut stride = 1;
    widths.map(|width| {
        let first = Block {
            channels: [inputs, width],
            stride,
        };
        let other = Block {
            channels: [width, width],
            stride: 1,
        };
        inputs = width;
        stride = 2;
        let mut stage = vec![other; blocks];
        stage[0] = first;
        stage
    })
}

/// Returns the number of the stage of a tap such as `layer2.pre`.
pub(crate) fn stage_before_activation(tap: &str) -> Option<usize> {
    let number = tap.strip_prefix("layer")?.strip_suffix(".pre")?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;
    use burn::module::Module;
    use burn::tensor::{Device, Distribution};
    use burn_distill_core::{known_taps, tensors};

    const NETWORKS: [&str; 3] = ["convnet-4-6-8", "resnet14", "wrn-16-1"];

    #[test]
    fn a_single_tap_is_that_of_the_whole_pass() {
        for name in NETWORKS {
            let config = NetworkConfig::by_name(name).unwrap();
            let network = config.init([1, 8, 8], 3, &Device::default()).unwrap();
            let input = Tensor::random([2, 1, 8, 8], Distribution::Default, &Device::default());
            let all = network.forward_knowledge(input.clone(), &TapSelection::All);
            assert_eq!(all.taps.len(), known_taps(&network).len());

            for (tap, expected) in all.taps.iter() {
                let alone = network.forward_to(input.clone(), tap).into_vectors();
                let expected = expected.clone().into_vectors().into_data();
                alone.into_data().assert_eq(&expected, true);
            }
        }
    }

    #[test]
    fn deeper_stages_do_not_run() {
        for name in NETWORKS {
            let device = Device::default().autodiff();
            let config = NetworkConfig::by_name(name).unwrap();
            let network = config.init([1, 8, 8], 3, &device).unwrap();
            let before = tensors(&network.valid());
            let input = Tensor::random([2, 1, 8, 8], Distribution::Default, &device);

            network.forward_to(input, "layer2");

            // The statistics of the normalizations that ran have changed.
            let after = tensors(&network.valid());
            let moved: Vec<_> = (before.iter().zip(&after))
                .filter(|(before, after)| before != after)
                .map(|((name, _), _)| name.as_str())
                .collect();
            let deeper = ["layer.2", "layer3", "block3", "bn1.running"];
            let is_deeper = |name: &str| deeper.iter().any(|part| name.starts_with(part));
            // `bn1` is the normalization of the stem of a residual network, but the last of a wide
            // one.
            let is_deeper = |tensor: &str| {
                is_deeper(tensor) && !(name == "resnet14" && tensor.starts_with("bn1"))
            };
            assert!(!moved.is_empty(), "{name}");
            assert!(
                !moved.iter().any(|tensor| is_deeper(tensor)),
                "{name}: {moved:?}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "no tap named `layer4`, did you mean")]
    fn a_stage_that_does_not_exist_is_refused() {
        let config = NetworkConfig::by_name("convnet-4-6-8").unwrap();
        let network = config.init([1, 8, 8], 3, &Device::default()).unwrap();
        network.forward_to(network.example(1, &Device::default()), "layer4");
    }
}
