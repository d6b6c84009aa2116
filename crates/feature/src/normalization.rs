use burn::config::Config;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{l2_norm, l2_normalize};

/// What features are brought to before they are compared.
///
/// Features are a map here: of a vector with one pixel, of a sequence with one pixel per token.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum HintNormalization {
    /// Nothing.
    None,
    /// Unit length of all features of a sample together.
    L2Flat,
    /// Unit length of the features of every pixel.
    L2Channel,
    /// Mean zero and variance one of the features of every pixel, as in a layer normalization
    /// without weights: `(x − mean) / √(variance + 1e-5)`.
    LayerNorm,
    /// Mean zero and variance one of every channel over the batch and its pixels:
    /// `(x − mean) / (deviation + 1e-6)`, as in [`PearsonLoss`](crate::PearsonLoss). A constant channel
    /// becomes zero, with a zero gradient.
    BatchPearson,
}

impl HintNormalization {
    /// Normalize a map.
    ///
    /// # Shapes
    ///
    /// - map, output: `[batch_size, channels, height, width]`
    pub fn forward(self, map: Tensor<4>) -> Tensor<4> {
        match self {
            Self::None => map,
            Self::L2Flat => {
                let shape = map.shape();
                l2_normalize(map.flatten::<2>(1, 3), 1).reshape(shape)
            }
            Self::L2Channel => l2_normalize(map, 1),
            Self::LayerNorm => {
                const EPS: f64 = 1e-5;
                let centred = map.clone().sub(map.mean_dim(1));
                let variance = centred.clone().square().mean_dim(1);
                centred.div(variance.add_scalar(EPS).sqrt())
            }
            Self::BatchPearson => standardize_channels(map),
        }
    }
}

/// Every channel with mean zero and variance one over the batch and its pixels.
fn standardize_channels(map: Tensor<4>) -> Tensor<4> {
    const EPS: f64 = 1e-6;
    let [batch_size, channels, height, width] = map.dims();
    let count = batch_size * height * width;
    let rows = map.swap_dims(0, 1).reshape([channels, count]);
    let mean = rows.clone().mean_dim(1);
    let centred = rows.sub(mean.clone());
    let unbiased = (count.max(2) - 1) as f64;
    let deviation = l2_norm(centred.clone(), 1).div_scalar(unbiased.sqrt());

    // What is left of a constant after subtracting its mean is rounding, and would be blown up.
    let constant = deviation
        .clone()
        .lower_equal(mean.abs().clamp_min(1.0).mul_scalar(EPS))
        .expand([channels, count]);
    centred
        .div(deviation.add_scalar(EPS))
        .mask_fill(constant, 0.0)
        .reshape([channels, batch_size, height, width])
        .swap_dims(0, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    fn normalized(normalization: HintNormalization, values: [f32; 4]) -> TensorData {
        let map = Tensor::<1>::from_floats(values, &Device::default());
        normalization.forward(map.reshape([1, 2, 1, 2])).into_data()
    }

    #[test]
    fn each_is_over_its_own_axes() {
        let root = std::f32::consts::FRAC_1_SQRT_2;
        // Two channels of two pixels: pixels (3, 4) and (0, 0) if read down.
        for (normalization, values, expected) in [
            (
                HintNormalization::None,
                [3.0, 0.0, 4.0, 0.0],
                [3.0, 0.0, 4.0, 0.0],
            ),
            (HintNormalization::L2Flat, [1.0, 1.0, 1.0, 1.0], [0.5; 4]),
            (
                HintNormalization::L2Channel,
                [3.0, 0.0, 4.0, 0.0],
                [0.6, 0.0, 0.8, 0.0],
            ),
            (
                HintNormalization::LayerNorm,
                [3.0, 7.0, 5.0, 7.0],
                [-1.0, 0.0, 1.0, 0.0],
            ),
            (
                HintNormalization::BatchPearson,
                [3.0, 5.0, 7.0, 7.0],
                [-root, root, 0.0, 0.0],
            ),
        ] {
            normalized(normalization, values).assert_approx_eq::<f32>(
                &TensorData::new(expected.to_vec(), [1, 2, 1, 2]),
                Tolerance::absolute(1e-4),
            );
        }
    }

    #[test]
    fn a_constant_channel_has_no_gradient_however_large() {
        let device = Device::default().autodiff();
        for value in [0.0, 0.1, 5.3, 1234.5] {
            let map = Tensor::<4>::full([3, 1, 5, 7], value, &device).require_grad();

            let normal = HintNormalization::BatchPearson.forward(map.clone());
            let grads = normal.clone().mul_scalar(3.0).sum().backward();

            let zeros = TensorData::zeros::<f32, _>([3, 1, 5, 7]);
            normal.into_data().assert_eq(&zeros, false);
            map.grad(&grads)
                .unwrap()
                .into_data()
                .assert_eq(&zeros, false);
        }
    }
}
