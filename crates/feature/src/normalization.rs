use burn::config::Config;
use burn::tensor::{Bool, Tensor};
use burn_distill_core::numeric::{l2_norm, l2_normalize};

/// Normalization of features before they are compared.
///
/// Features are treated as a map: a vector has one pixel, a sequence one pixel per token.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum HintNormalization {
    /// No normalization.
    None,
    /// All features of a sample together have unit length.
    L2Flat,
    /// The features of every pixel have unit length.
    L2Channel,
    /// The features of every pixel have mean zero and variance one, as in layer normalization
    /// without weights: `(x − mean) / √(variance + 1e-5)`.
    LayerNorm,
    /// Every channel has mean zero and variance one over the batch and its pixels:
    /// `(x − mean) / (deviation + 1e-6)`, as in [`PearsonLoss`](crate::PearsonLoss). A constant
    /// channel becomes zero, with a zero gradient.
    BatchPearson,
}

impl HintNormalization {
    /// Normalizes a map.
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
                let centered = map.clone().sub(map.mean_dim(1));
                let variance = centered.clone().square().mean_dim(1);
                centered.div(variance.add_scalar(EPS).sqrt())
            }
            Self::BatchPearson => standardize_channels(map, None),
        }
    }

    /// Normalizes sequences whose padding is zero; statistics over tokens include only the tokens
    /// that count.
    ///
    /// # Shapes
    ///
    /// - sequence, output: `[batch_size, length, features]`; the output's padding is finite but
    ///   arbitrary
    /// - mask: `[batch_size, length]`, true for the tokens that count
    pub(crate) fn forward_masked(self, sequence: Tensor<3>, mask: Tensor<2, Bool>) -> Tensor<3> {
        let map = sequence.swap_dims(1, 2).unsqueeze_dim::<4>(3);
        let map = match self {
            Self::BatchPearson => standardize_channels(map, Some(mask)),
            // Other normalizations are per token, or sums that zeros do not change.
            _ => self.forward(map),
        };
        map.squeeze_dim::<3>(3).swap_dims(1, 2)
    }
}

/// Normalizes every channel to mean zero and variance one over the batch and its pixels. With a
/// mask of the pixels, `[batch_size, height · width]`, only those that count are included; the
/// others must be zero.
fn standardize_channels(map: Tensor<4>, mask: Option<Tensor<2, Bool>>) -> Tensor<4> {
    const EPS: f64 = 1e-6;
    let [batch_size, channels, height, width] = map.dims();
    let count = batch_size * height * width;
    let rows = map.swap_dims(0, 1).reshape([channels, count]);
    let (mean, deviation, centered);
    match mask {
        None => {
            mean = rows.clone().mean_dim(1);
            centered = rows.sub(mean.clone());
            let unbiased = (count.max(2) - 1) as f64;
            deviation = l2_norm(centered.clone(), 1).div_scalar(unbiased.sqrt());
        }
        Some(mask) => {
            let valid = mask
                .clone()
                .float()
                .cast(rows.dtype())
                .sum()
                .unsqueeze::<2>();
            mean = rows.clone().sum_dim(1).div(valid.clone().clamp_min(1.0));
            let padding = mask
                .bool_not()
                .reshape([1, count])
                .expand([channels, count]);
            centered = rows.sub(mean.clone()).mask_fill(padding, 0.0);
            let unbiased = valid.sub_scalar(1.0).clamp_min(1.0);
            deviation = l2_norm(centered.clone(), 1).div(unbiased.sqrt());
        }
    }

    // Subtracting the mean of a constant channel leaves rounding errors, which a division would
    // amplify.
    let constant = deviation
        .clone()
        .lower_equal(mean.abs().clamp_min(1.0).mul_scalar(EPS))
        .expand([channels, count]);
    centered
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
    fn each_normalization_has_its_axes() {
        let root = std::f32::consts::FRAC_1_SQRT_2;
        // Two channels of two pixels: the columns are the pixels (3, 4) and (0, 0).
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
    fn a_constant_channel_has_no_gradient_at_any_scale() {
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
