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
    /// Number of channels of the student's map.
    pub inputs: usize,
    /// Number of channels of the fused map.
    pub middle: usize,
    /// Number of channels of the output.
    pub outputs: usize,
    /// Whether the map is fused with a deeper one. Default: `true`.
    #[config(default = true)]
    pub fuse: bool,
}

impl AttentionFusionConfig {
    /// Creates an [attention fusion](AttentionFusion).
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

/// Attention-based fusion of a map of the student with the residual of its deeper maps.
///
/// ```text
/// x = bn1(conv1(map))
/// w = sigmoid(attention([x; deeper]))        deeper resized to the size of x
/// residual = w₀ · x + w₁ · deeper            resized to the requested size
/// output = bn2(conv2(residual))
/// ```
///
/// Maps are resized by nearest-neighbor interpolation. The deepest map is not fused: its residual
/// is `x`.
///
/// # Reference
///
/// The attention-based fusion of P. Chen et al., [Distilling Knowledge via Knowledge Review](
/// https://arxiv.org/abs/2104.09044), CVPR 2021. Agrees with `ABF` of the authors' ReviewKD.
#[doc(alias = "ABF")]
#[derive(Module, Debug)]
pub struct AttentionFusion {
    /// 1×1 convolution to the channels of the fused map.
    pub conv1: Conv2d,
    /// Normalization of the first convolution.
    pub bn1: BatchNorm,
    /// 1×1 convolution to the weights of the map and of the deeper residual at each pixel.
    pub attention: Option<Conv2d>,
    /// 3×3 convolution to the channels of the output.
    pub conv2: Conv2d,
    /// Normalization of the second convolution.
    pub bn2: BatchNorm,
}

/// Output of an [`AttentionFusion`].
#[derive(Clone, Debug)]
pub struct Fused {
    /// Map that is compared with the teacher. Shape: `[batch_size, outputs, height, width]`.
    pub output: Tensor<4>,
    /// Residual for the next shallower map. Shape: `[batch_size, middle, height, width]`.
    pub residual: Tensor<4>,
}

impl AttentionFusion {
    /// Fuses a map with the residual of the next deeper one.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, inputs, _, _]`
    /// - deeper: `[batch_size, middle, _, _]`
    /// - output and residual: of height `size[0]` and width `size[1]`
    ///
    /// # Panics
    ///
    /// Panics if there is a deeper residual but no attention layer, or an attention layer but no
    /// deeper residual.
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
            (Some(_), None) => panic!("The fusion was created with a deeper map, but got none."),
            (None, Some(_)) => panic!("The fusion was created without a deeper map, but got one."),
        };
        let residual = resize(fused, size);
        Fused {
            output: batch_norm(&self.bn2, self.conv2.forward(residual.clone())),
            residual,
        }
    }
}

/// Resizes a map: pixel `i` of the output is pixel `⌊i · input / output⌋` of the map.
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
    /// Numbers of channels of the student's maps, from shallow to deep.
    pub student: Vec<usize>,
    /// Numbers of channels of the teacher's maps, one for each map of the student.
    pub teacher: Vec<usize>,
    /// Largest number of channels of the fused maps, which have at most the channels of the
    /// student's deepest map. Default: `512`.
    #[config(default = 512)]
    pub channels: usize,
}

impl ReviewPathConfig {
    /// Creates a [review path](ReviewPath).
    ///
    /// # Panics
    ///
    /// Panics if there is no map, if the numbers of maps of student and teacher differ, or if a
    /// number of channels is zero.
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

/// Path through the maps of the student from deep to shallow, which [fuses](AttentionFusion) each
/// map with all deeper ones.
///
/// # Reference
///
/// P. Chen et al., [Distilling Knowledge via Knowledge Review](https://arxiv.org/abs/2104.09044),
/// CVPR 2021.
#[derive(Module, Debug)]
pub struct ReviewPath {
    /// Fusion of each map of the student, from shallow to deep.
    pub fusions: Vec<AttentionFusion>,
}

impl ReviewPath {
    /// Computes the fused maps of the requested sizes, from shallow to deep.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]` each
    /// - output: `[batch_size, teacher_channels, size[0], size[1]]` each
    ///
    /// # Panics
    ///
    /// Panics if the number of maps or of sizes is not the number of maps that the path was created
    /// for.
    pub fn forward(&self, student: Vec<Tensor<4>>, sizes: &[[usize; 2]]) -> Vec<Tensor<4>> {
        let count = self.fusions.len();
        assert_eq!(
            [student.len(), sizes.len()],
            [count, count],
            "The path was created for {count} maps, and needs that number of maps and sizes."
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
    fn the_position_of_the_nearest_pixel_is_rounded_down() {
        let device = Device::default();
        let map = Tensor::<1>::from_data([0.0, 1.0, 2.0], &device).reshape([1, 1, 1, 3]);

        let values: Vec<f32> = resize(map, [1, 7]).into_data().try_to_vec().unwrap();

        // torch.nn.functional.interpolate(torch.arange(3.).view(1, 1, 1, 3), (1, 7))
        assert_eq!(values, [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    }

    #[test]
    fn every_map_depends_only_on_deeper_ones() {
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
            // A plain sum has no gradient behind a normalization.
            let grads = output.powi_scalar(3).sum().backward();
            let reached: Vec<_> = maps.iter().map(|map| map.grad(&grads).is_some()).collect();
            assert_eq!(reached, [0, 1, 2].map(|map| map >= index));
        }
    }

    #[test]
    #[should_panic(
        expected = "`teacher` should be the channels of 2 maps, each at least 1, but is [5]"
    )]
    fn different_numbers_of_maps_are_refused() {
        ReviewPathConfig::new(vec![2, 3], vec![5]).init(&Device::default());
    }
}
