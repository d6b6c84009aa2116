use crate::layers::norm;
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, Initializer, PaddingConfig2d};
use burn::tensor::activation::sigmoid;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Check, ConfigError, batch_norm, check};

/// Configuration to create an [attention fusion](AttentionFusion) using the
/// [init function](AttentionFusionConfig::init).
#[derive(Config, Debug)]
pub struct AttentionFusionConfig {
    /// Channels of the student's map.
    pub inputs: usize,
    /// Channels of what is fused.
    pub middle: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// Whether there is a deeper map to fuse with. Default: `true`.
    #[config(default = true)]
    pub fuse: bool,
}

impl AttentionFusionConfig {
    /// Initialize an [attention fusion](AttentionFusion).
    ///
    /// # Panics
    ///
    /// Panics if a number of channels is zero.
    pub fn init(&self, device: &Device) -> AttentionFusion {
        let Self {
            inputs,
            middle,
            outputs,
            fuse,
        } = *self;
        self.assert_valid();
        let convolution = |channels: [usize; 2], kernel: usize| {
            let half = kernel / 2;
            Conv2dConfig::new(channels, [kernel, kernel])
                .with_padding(PaddingConfig2d::Explicit(half, half, half, half))
                .with_bias(false)
                .with_initializer(Initializer::KaimingUniform {
                    gain: 1.0,
                    fan_out_only: false,
                })
                .init(device)
        };
        AttentionFusion {
            conv1: convolution([inputs, middle], 1),
            bn1: norm(middle, device),
            attention: fuse.then(|| Conv2dConfig::new([2 * middle, 2], [1, 1]).init(device)),
            conv2: convolution([middle, outputs], 3),
            bn2: norm(outputs, device),
        }
    }
}

impl Check for AttentionFusionConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("inputs", self.inputs, 1)?;
        check::at_least("middle", self.middle, 1)?;
        check::at_least("outputs", self.outputs, 1)
    }
}

/// A map of the student, fused with what comes from its deeper maps.
///
/// ```text
/// x = bn1(conv1(map))
/// w = sigmoid(attention([x; deeper]))        deeper at the size of x
/// residual = w₀ · x + w₁ · deeper            at the size wanted
/// output = bn2(conv2(residual))
/// ```
///
/// A map is brought to another size by taking the nearest pixel. The deepest map has nothing to fuse
/// with: its residual is `x`.
///
/// # Reference
///
/// The attention-based fusion of P. Chen et al., [Distilling Knowledge via Knowledge Review](
/// https://arxiv.org/abs/2104.09044), CVPR 2021. Agrees with `ABF` of the authors' ReviewKD.
#[doc(alias = "ABF")]
#[derive(Module, Debug)]
pub struct AttentionFusion {
    /// The 1×1 convolution to the channels in the middle.
    pub conv1: Conv2d,
    /// Its norm.
    pub bn1: BatchNorm,
    /// How much of the map, and of what is deeper, counts at each pixel.
    pub attention: Option<Conv2d>,
    /// The 3×3 convolution to the outputs.
    pub conv2: Conv2d,
    /// Its norm.
    pub bn2: BatchNorm,
}

/// What an [`AttentionFusion`] makes of a map.
#[derive(Clone, Debug)]
pub struct Fused {
    /// What is compared with the teacher. Shape: `[batch_size, outputs, height, width]`.
    pub output: Tensor<4>,
    /// What the next shallower map is fused with. Shape: `[batch_size, middle, height, width]`.
    pub residual: Tensor<4>,
}

impl AttentionFusion {
    /// Fuse a map with the residual of the next deeper one.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, inputs, _, _]`
    /// - deeper: `[batch_size, middle, _, _]`
    /// - output and residual: of height `size[0]` and width `size[1]`
    ///
    /// # Panics
    ///
    /// Panics if there is something deeper and no attention to fuse it with, or the reverse.
    pub fn forward(&self, map: Tensor<4>, deeper: Option<Tensor<4>>, size: [usize; 2]) -> Fused {
        let map = batch_norm(&self.bn1, self.conv1.forward(map));
        let fused = match (&self.attention, deeper) {
            (Some(attention), Some(deeper)) => {
                let [.., height, width] = map.dims();
                let deeper = resize(deeper, [height, width]);
                let both = Tensor::cat(vec![map.clone(), deeper.clone()], 1);
                let weights = sigmoid(attention.forward(both));
                let map = map.mul(weights.clone().narrow(1, 0, 1));
                map.add(deeper.mul(weights.narrow(1, 1, 1)))
            }
            (None, None) => map,
            (attention, _) => panic!(
                "The fusion was made {} a deeper map.",
                if attention.is_some() {
                    "for"
                } else {
                    "without"
                }
            ),
        };
        let residual = resize(fused, size);
        Fused {
            output: batch_norm(&self.bn2, self.conv2.forward(residual.clone())),
            residual,
        }
    }
}

/// A map at another size: of pixel `i`, that is pixel `⌊i · input / output⌋`.
fn resize(map: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [.., height, width] = map.dims();
    if [height, width] == size {
        return map;
    }
    let nearest = InterpolateOptions::new(InterpolateMode::Nearest);
    interpolate(map, nearest.with_output_size(size))
}

/// Configuration to create a [review path](ReviewPath) using the
/// [init function](ReviewPathConfig::init).
#[derive(Config, Debug)]
pub struct ReviewPathConfig {
    /// Channels of the student's maps, from shallow to deep.
    pub student: Vec<usize>,
    /// Channels of the teacher's maps, as many.
    pub teacher: Vec<usize>,
    /// The most channels of what is fused. There are no more than the student's deepest map has.
    /// Default: `512`.
    #[config(default = 512)]
    pub channels: usize,
}

impl ReviewPathConfig {
    /// Initialize a [review path](ReviewPath).
    ///
    /// # Panics
    ///
    /// Panics if there is no map, if the teacher has more or fewer than the student, or if a number
    /// of channels is zero.
    pub fn init(&self, device: &Device) -> ReviewPath {
        self.assert_valid();
        let students = self.student.len();
        let deepest = *self.student.last().expect("checked above");
        let middle = deepest.min(self.channels);
        let channels = self.student.iter().zip(&self.teacher).enumerate();
        let fusions = channels.map(|(index, (&inputs, &outputs))| {
            AttentionFusionConfig::new(inputs, middle, outputs)
                .with_fuse(index + 1 < students)
                .init(device)
        });
        ReviewPath {
            fusions: fusions.collect(),
        }
    }
}

impl Check for ReviewPathConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let maps = self.student.len().max(1);
        for (key, channels) in [("student", &self.student), ("teacher", &self.teacher)] {
            check::ensure(
                channels.len() == maps && channels.iter().all(|&channels| channels > 0),
                key,
                format_args!("the channels of {maps} maps, each at least 1"),
                format_args!("{channels:?}"),
            )?;
        }
        check::at_least("channels", self.channels, 1)
    }
}

/// The way back through the maps of the student, from deep to shallow: each is
/// [fused](AttentionFusion) with all that are deeper.
///
/// # Reference
///
/// P. Chen et al., [Distilling Knowledge via Knowledge Review](https://arxiv.org/abs/2104.09044),
/// CVPR 2021.
#[derive(Module, Debug)]
pub struct ReviewPath {
    /// One for each map of the student, from shallow to deep.
    pub fusions: Vec<AttentionFusion>,
}

impl ReviewPath {
    /// The fused maps, each of the size wanted, from shallow to deep.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]` each
    /// - output: `[batch_size, teacher_channels, size[0], size[1]]` each
    ///
    /// # Panics
    ///
    /// Panics if there are more or fewer maps or sizes than the path was made for.
    pub fn forward(&self, student: Vec<Tensor<4>>, sizes: &[[usize; 2]]) -> Vec<Tensor<4>> {
        let count = self.fusions.len();
        assert_eq!(
            [student.len(), sizes.len()],
            [count, count],
            "The path was made for {count} maps."
        );
        let mut deeper = None;
        let mut outputs = Vec::with_capacity(count);
        for ((fusion, map), &size) in self.fusions.iter().zip(student).zip(sizes).rev() {
            let fused = fusion.forward(map, deeper.take(), size);
            deeper = Some(fused.residual);
            outputs.push(fused.output);
        }
        outputs.reverse();
        outputs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    #[test]
    fn the_nearest_pixel_is_the_one_before() {
        let device = Device::default();
        let map = Tensor::<1>::from_data([0.0, 1.0, 2.0], &device).reshape([1, 1, 1, 3]);

        let values: Vec<f32> = resize(map, [1, 7]).into_data().try_to_vec().unwrap();

        // torch.nn.functional.interpolate(torch.arange(3.).view(1, 1, 1, 3), (1, 7))
        assert_eq!(values, [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn every_map_sees_the_deeper_ones_only() {
        let device = Device::default().autodiff();
        let path = ReviewPathConfig::new(vec![2, 3, 4], vec![5, 6, 7])
            .with_channels(3)
            .init(&device);
        let maps: Vec<_> = [[2, 2, 6, 8], [2, 3, 3, 4], [2, 4, 1, 1]]
            .into_iter()
            .map(|shape| Tensor::<4>::random(shape, Distribution::Default, &device).require_grad())
            .collect();

        for (index, shape) in [[2, 5, 6, 6], [2, 6, 3, 3], [2, 7, 1, 1]]
            .into_iter()
            .enumerate()
        {
            let mut outputs = path.forward(maps.clone(), &[[6, 6], [3, 3], [1, 1]]);
            let output = outputs.swap_remove(index);
            assert_eq!(output.dims(), shape);
            // A plain sum has no gradient behind a norm.
            let grads = output.powi_scalar(3).sum().backward();
            let reached: Vec<_> = maps.iter().map(|map| map.grad(&grads).is_some()).collect();
            assert_eq!(reached, [0, 1, 2].map(|map| map >= index));
        }
    }

    #[test]
    #[should_panic(
        expected = "`teacher` should be the channels of 2 maps, each at least 1, but is [5]"
    )]
    fn there_is_a_map_of_the_teacher_for_each_of_the_student() {
        ReviewPathConfig::new(vec![2, 3], vec![5]).init(&Device::default());
    }
}
