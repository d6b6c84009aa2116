use burn::tensor::Tensor;
use burn::tensor::module::adaptive_avg_pool2d;

/// Bring two maps to one size: in height and in width, the larger one is pooled to the smaller.
///
/// The pooling is adaptive and averages, with the bins of PyTorch: pixel `i` of `output` is the mean
/// of the pixels from `⌊i · input / output⌋` to `⌈(i + 1) · input / output⌉`.
///
/// # Shapes
///
/// - a: `[batch_size, channels, height, width]`
/// - b: `[batch_size, other_channels, other_height, other_width]`
/// - output: the same with `min(height, other_height)` and `min(width, other_width)`
pub fn match_size(a: Tensor<4>, b: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let ([.., height, width], [.., other_height, other_width]) = (a.dims(), b.dims());
    let size = [height.min(other_height), width.min(other_width)];
    (pool_to(a, size), pool_to(b, size))
}

/// Pool a map adaptively to a size; nothing is done if it has that size.
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

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn bins_overlap_where_sizes_do_not_divide() {
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
    fn height_and_width_are_matched_apart() {
        let device = Device::default();
        let (a, b) = match_size(
            Tensor::zeros([1, 2, 8, 3], &device),
            Tensor::zeros([1, 5, 4, 6], &device),
        );

        assert_eq!(a.dims(), [1, 2, 4, 3]);
        assert_eq!(b.dims(), [1, 5, 4, 3]);
    }
}
