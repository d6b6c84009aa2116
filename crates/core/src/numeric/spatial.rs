use burn::tensor::module::adaptive_avg_pool2d;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Interpolation of a resized map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Nearest neighbor: pixel `i` of the output is pixel `⌊i · input / output⌋` of the input.
    Nearest,
    /// Bilinear interpolation of the two by two pixels around the center, without antialiasing.
    Bilinear,
}

/// Pools two maps to a common size: the smaller height and the smaller width of the two.
///
/// The pooling is the adaptive average pooling of PyTorch: pixel `i` of `output` is the mean of the
/// pixels from `⌊i · input / output⌋` to `⌈(i + 1) · input / output⌉`.
///
/// # Shapes
///
/// - a: `[batch_size, channels, height, width]`
/// - b: `[batch_size, other_channels, other_height, other_width]`
/// - outputs: the same with `min(height, other_height)` and `min(width, other_width)`
pub fn match_size(a: Tensor<4>, b: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let ([.., height, width], [.., other_height, other_width]) = (a.dims(), b.dims());
    let size = [height.min(other_height), width.min(other_width)];
    (pool_to(a, size), pool_to(b, size))
}

/// Pools a map to a size by adaptive average pooling. A map of this size stays as it is.
///
/// # Shapes
///
/// - map: `[batch_size, channels, height, width]`
/// - output: `[batch_size, channels, size[0], size[1]]`
pub fn pool_to(map: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [.., height, width] = map.dims();
    if [height, width] == size {
        map
    } else {
        adaptive_avg_pool2d(map, size)
    }
}

/// Resizes a map to any size. A map of this size stays as it is.
///
/// It agrees with PyTorch's `F.interpolate` with `align_corners=False`.
///
/// # Shapes
///
/// - map: `[batch_size, channels, height, width]`
/// - output: `[batch_size, channels, size[0], size[1]]`
pub fn resize_to(map: Tensor<4>, size: [usize; 2], interpolation: Interpolation) -> Tensor<4> {
    // Two matrix products, because burn's bilinear interpolation has a gradient only on flex.
    let [.., height, width] = map.dims();
    let place = (map.device().without_autodiff(), map.dtype());
    let map = match height == size[0] {
        true => map,
        false => interpolation.matrix(height, size[0], &place).matmul(map),
    };
    match width == size[1] {
        true => map,
        false => map.matmul(interpolation.matrix(width, size[1], &place).transpose()),
    }
}

impl Interpolation {
    /// Creates the matrix of the weights of each input pixel in each output pixel.
    /// Shape: `[1, 1, output, input]`.
    fn matrix(self, input: usize, output: usize, (device, dtype): &(Device, DType)) -> Tensor<4> {
        let mut matrix = vec![0.0_f64; output * input];
        for (pixel, row) in matrix.chunks_mut(input).enumerate() {
            match self {
                Self::Nearest => row[pixel * input / output] = 1.0,
                Self::Bilinear => {
                    let ratio = input as f64 / output as f64;
                    let center = ((pixel as f64 + 0.5) * ratio - 0.5).max(0.0);
                    let before = (center as usize).min(input - 1);
                    let after = (before + 1).min(input - 1);
                    let rest = center - before as f64;
                    row[before] += 1.0 - rest;
                    row[after] += rest;
                }
            }
        }
        let matrix = TensorData::new(matrix, [1, 1, output, input]);
        Tensor::from_data(matrix, (device, *dtype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn bins_overlap_if_the_sizes_do_not_divide() {
        // torch.nn.functional.adaptive_avg_pool2d(torch.arange(25.).view(1, 1, 5, 5), 2)
        let map = Tensor::arange(0..25, &Device::default())
            .float()
            .reshape([1, 1, 5, 5]);

        pool_to(map, [2, 2]).into_data().assert_approx_eq::<f32>(
            &TensorData::from([[[[6.0, 8.0], [16.0, 18.0]]]]),
            Tolerance::default(),
        );
    }

    #[test]
    fn height_and_width_are_matched_separately() {
        let device = Device::default();
        let (a, b) = match_size(
            Tensor::zeros([1, 2, 8, 3], &device),
            Tensor::zeros([1, 5, 4, 6], &device),
        );

        assert_eq!(a.dims(), [1, 2, 4, 3]);
        assert_eq!(b.dims(), [1, 5, 4, 3]);
    }

    fn resized(values: &[f32], size: usize, interpolation: Interpolation) -> Vec<f32> {
        let map = Tensor::<1>::from_floats(values, &Device::default());
        let row = resize_to(map.clone().reshape([1, 1, 1, -1]), [1, size], interpolation);
        let column = resize_to(map.reshape([1, 1, -1, 1]), [size, 1], interpolation);
        column
            .swap_dims(2, 3)
            .into_data()
            .assert_eq(&row.to_data(), true);
        row.into_data().iter::<f32>().collect()
    }

    #[test]
    fn nearest_rounds_the_position_down() {
        let up = resized(&[0.0, 1.0, 2.0], 7, Interpolation::Nearest);
        assert_eq!(up, [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
        let down = resized(&[0.0, 1.0, 2.0, 3.0, 4.0], 2, Interpolation::Nearest);
        assert_eq!(down, [0.0, 2.0]);
    }

    #[test]
    fn bilinear_weights_by_distance_and_repeats_the_border() {
        // Centers at −0.25, 0.25, 0.75 and 1.25 pixels.
        let up = resized(&[0.0, 4.0], 4, Interpolation::Bilinear);
        assert_eq!(up, [0.0, 1.0, 3.0, 4.0]);
        // Centers at 0.375, 2.125, 3.875 and 5.625 pixels.
        let values: Vec<f32> = (0..7).map(|n| n as f32).collect();
        let down = resized(&values, 4, Interpolation::Bilinear);
        assert_eq!(down, [0.375, 2.125, 3.875, 5.625]);
        assert_eq!(resized(&[3.0], 3, Interpolation::Bilinear), [3.0; 3]);
    }

    #[test]
    fn resizing_agrees_with_burn_and_has_a_gradient() {
        use burn::tensor::module::interpolate;
        use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

        let device = Device::default().autodiff();
        for (ours, theirs) in [
            (Interpolation::Nearest, InterpolateMode::Nearest),
            (Interpolation::Bilinear, InterpolateMode::Bilinear),
        ] {
            for size in [[3, 9], [8, 2], [5, 4]] {
                let map = Tensor::<1, _>::arange(0..80, &device).float().sin();
                let map = map.reshape([2, 2, 4, 5]).require_grad();
                let options = InterpolateOptions::new(theirs.clone())
                    .with_output_size(size)
                    .with_align_corners(false);
                let resized = resize_to(map.clone(), size, ours);

                resized.to_data().assert_approx_eq::<f32>(
                    &interpolate(map.clone(), options).into_data(),
                    Tolerance::absolute(1e-5),
                );
                let grads = resized.sum().backward();
                let total = map.grad(&grads).unwrap().sum().into_scalar::<f32>();
                // The weights of every pixel add up to one.
                assert!((total - (4 * size[0] * size[1]) as f32).abs() < 1e-3);
            }
        }
    }
}
