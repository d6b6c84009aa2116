use burn::tensor::Tensor;
use burn_distill_core::{Network, Tap, TapRecorder, TapSelection};

/// A network of stages, whose maps are the taps `layer1`, `layer2`, ….
pub(crate) trait Staged: Network<Input = Tensor<4>> {
    /// The number of stages.
    fn stage_count(&self) -> usize;

    /// The map of the stage of that number, counted from 1, and the taps on the way.
    fn forward_stages(&self, input: Tensor<4>, last: usize, taps: &mut TapRecorder) -> Tensor<4>;

    /// [`Network::forward_to`]: as many stages as the tap takes, all of the network for another tap
    /// than those of the stages.
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

/// The shape of one residual block: what its layers are made from and what its plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Channels that go in and come out.
    pub channels: [usize; 2],
    /// By how much the map shrinks.
    pub stride: usize,
}

impl Block {
    /// Whether the input has to be projected before the output of the block can be added to it.
    pub fn projects(&self) -> bool {
        let [inputs, outputs] = self.channels;
        inputs != outputs || self.stride != 1
    }
}

/// The blocks of the three stages of a CIFAR network. The first block of a stage brings the map to
/// the stage's width and, from the second stage on, to half the size.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;
    use burn::module::Module;
    use burn::tensor::{Device, Distribution};
    use burn_distill_core::{known_taps, tensors};

    const NETWORKS: [&str; 3] = ["convnet-4-6-8", "resnet14", "wrn-16-1"];

    #[test]
    fn a_tap_is_what_it_is_in_the_whole_pass() {
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
    fn what_is_deeper_does_not_run() {
        for name in NETWORKS {
            let device = Device::default().autodiff();
            let config = NetworkConfig::by_name(name).unwrap();
            let network = config.init([1, 8, 8], 3, &device).unwrap();
            let before = tensors(&network.valid());
            let input = Tensor::random([2, 1, 8, 8], Distribution::Default, &device);

            network.forward_to(input, "layer2");

            // Statistics of the norms that ran have moved.
            let after = tensors(&network.valid());
            let moved: Vec<_> = (before.iter().zip(&after))
                .filter(|(before, after)| before != after)
                .map(|((name, _), _)| name.as_str())
                .collect();
            let deeper = ["layer.2", "layer3", "block3", "bn1.running"];
            let is_deeper = |name: &str| deeper.iter().any(|part| name.starts_with(part));
            // The first norm of a residual network is its stem's, of a wide one its last.
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
    fn a_stage_that_is_not_there_is_missed() {
        let config = NetworkConfig::by_name("convnet-4-6-8").unwrap();
        let network = config.init([1, 8, 8], 3, &Device::default()).unwrap();
        network.forward_to(network.example(1, &Device::default()), "layer4");
    }
}
