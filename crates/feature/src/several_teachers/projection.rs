use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use burn_distill_core::batch_norm;
use burn_distill_core::numeric::{Interpolation, at_least_f32, pool_to, resize_to};

/// Projection of a student's map to the channels of a teacher's map.
///
/// ```text
/// output = relu(norm(conv1×1(map)))
/// ```
///
/// The convolution has a bias and the initial weights of PyTorch. The projection is trained with
/// the student and is not part of the deployed network. Half precision is widened to single.
///
/// # Reference
///
/// `Embed` in the authors' code of CA-MKD, and `ConvReg` of RepDistiller for maps of one size.
#[derive(Module, Debug)]
pub struct MapProjection {
    /// 1×1 convolution.
    pub conv: Conv2d,
    /// Normalization of the convolution.
    pub norm: BatchNorm,
}

impl MapProjection {
    /// Creates a projection from the channels of a student to those of a teacher.
    pub fn new(channels: [usize; 2], device: &Device) -> Self {
        Self {
            conv: Conv2dConfig::new(channels, [1, 1]).init(device),
            norm: BatchNormConfig::new(channels[1]).init(device),
        }
    }

    /// Projects a map.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, channels, height, width]`
    /// - output: `[batch_size, teacher_channels, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if the projection was created for another number of channels.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        let map = self.conv.forward(at_least_f32(map));
        relu(batch_norm(&self.norm, map))
    }

    /// Computes the gradient by the student's map, averaged over the samples, of a function of the
    /// projected map, from its gradient by the projected map. It is a constant, without a backward
    /// pass.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, channels, height, width]`
    /// - gradient: `[batch_size, teacher_channels, height, width]`
    /// - output: `[channels, height · width]`
    pub(super) fn mean_gradient(&self, map: Tensor<4>, gradient: Tensor<4>) -> Tensor<2> {
        let weight = self.conv.weight.val();
        let trains = map.is_autodiff() || weight.is_autodiff();
        let by_batch = trains && self.norm.training.is_enabled();
        let weight: Tensor<2> = weight.without_autodiff().flatten(1, 3);
        let map: Tensor<3> = at_least_f32(map.without_autodiff()).flatten(2, 3);
        let gradient: Tensor<3> = gradient.without_autodiff().flatten(2, 3);

        let channels =
            |values: Tensor<1>| -> Tensor<3> { values.without_autodiff().unsqueeze_dims(&[0, 2]) };
        let over_batch = |values: Tensor<3>| values.mean_dim(2).mean_dim(0);
        let mut features = weight.clone().unsqueeze_dim::<3>(0).matmul(map);
        if let Some(bias) = &self.conv.bias {
            features = features.add(channels(bias.val()));
        }
        let (mean, variance) = match by_batch {
            true => {
                let mean = over_batch(features.clone());
                let variance = over_batch(features.clone().sub(mean.clone()).square());
                (mean, variance)
            }
            false => (
                channels(self.norm.running_mean.value()),
                channels(self.norm.running_var.value()),
            ),
        };
        let inverse = variance.add_scalar(self.norm.epsilon).sqrt().recip();
        let normalized = features.sub(mean).mul(inverse.clone());
        let gamma = channels(self.norm.gamma.val());
        let beta = channels(self.norm.beta.val());

        // Backward through the ReLU, the scale, and the normalization, whose statistics depend on
        // all samples of a batch.
        let inactive = normalized
            .clone()
            .mul(gamma.clone())
            .add(beta)
            .lower_equal_elem(0.0);
        let gradient = gradient.mask_fill(inactive, 0.0).mul(gamma);
        let gradient = match by_batch {
            true => {
                let mean = over_batch(gradient.clone());
                let slope = over_batch(gradient.clone().mul(normalized.clone()));
                gradient.sub(mean).sub(normalized.mul(slope))
            }
            false => gradient,
        };
        // The convolution is linear, so the mean over the samples comes first.
        let mean: Tensor<2> = gradient.mul(inverse).mean_dim(0).squeeze_dim(0);
        weight.transpose().matmul(mean)
    }
}

/// Resizes a map as in the authors' code of CA-MKD: a larger map is pooled, a smaller one
/// interpolated.
pub(super) fn resized(map: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [.., height, width] = map.dims();
    match height >= size[0] && width >= size[1] {
        true => pool_to(map, size),
        false => resize_to(map, size, Interpolation::Bilinear),
    }
}
