use super::config::{OnnxConfig, OnnxLayout};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_data::{Normalization, bilinear_weights};

/// Steps from the inputs of the student to those of a network.
#[derive(Clone, Debug, Default)]
pub struct InputTransform {
    /// Undoes the normalization of the data.
    undo: Option<PerChannel>,
    gray_to_rgb: bool,
    /// Weights of the rows and of the columns.
    resize: Option<[Weights; 2]>,
    /// Applies the factor and the normalization of the network.
    apply: Option<PerChannel>,
    channels_last: bool,
}

impl InputTransform {
    /// Creates the steps for data of this sample shape and normalization, and returns them with the
    /// sample shape that they result in.
    ///
    /// # Errors
    ///
    /// Returns a sentence if a step is not possible with samples of this shape.
    pub(super) fn new(
        config: &OnnxConfig,
        sample: &[usize],
        of_data: Option<&Normalization>,
    ) -> Result<(Self, Vec<usize>), String> {
        let mut shape = sample.to_vec();
        let is_image = sample.len() == 3;
        let of_data = of_data.filter(|_| !config.data_normalization);
        let undo = of_data.map(|of_data| PerChannel {
            factor: of_data.std.clone(),
            offset: of_data.mean.clone(),
        });
        for (key, is_set) in [
            ("gray_to_rgb", config.gray_to_rgb),
            ("resize", config.resize.is_some()),
            ("layout", config.layout == OnnxLayout::Nhwc),
        ] {
            if is_set && !is_image {
                return Err(format!(
                    "`{key}` is for images, but a sample of the data has the shape {sample:?}: leave it out"
                ));
            }
        }
        if config.gray_to_rgb {
            if shape[0] != 1 {
                return Err(format!(
                    "`gray_to_rgb` is for images of one channel, but the data has {}: leave it out",
                    shape[0]
                ));
            }
            shape[0] = 3;
        }
        let resize = config.resize.filter(|size| size[..] != shape[1..]);
        let resize = resize.map(|size| {
            let axes = [0, 1].map(|axis| Weights::new(shape[axis + 1], size[axis]));
            shape[1..].copy_from_slice(&size);
            axes
        });
        let channels = match is_image {
            true => shape[0],
            false => shape.last().copied().unwrap_or_default(),
        };
        if let Some(own) = &config.normalization
            && own.mean.len() != channels
        {
            return Err(format!(
                "`normalization` has {} means, but the network takes {channels} channels: give a mean and a \
                 standard deviation for each",
                own.mean.len()
            ));
        }
        let apply = PerChannel::of(config, channels);
        let channels_last = config.layout == OnnxLayout::Nhwc;
        if channels_last {
            shape.rotate_left(1);
        }
        let steps = Self {
            undo,
            gray_to_rgb: config.gray_to_rgb,
            resize,
            apply,
            channels_last,
        };
        Ok((steps, shape))
    }

    /// Applies all steps to a batch.
    pub(super) fn apply<const D: usize>(&self, mut values: Tensor<D>) -> Tensor<D> {
        if let Some(undo) = &self.undo {
            values = undo.apply(values);
        }
        if self.gray_to_rgb {
            values = values.repeat_dim(1, 3);
        }
        if let Some([rows, columns]) = &self.resize {
            let device = values.device();
            let rows = rows.matrix::<D>(&device);
            let columns = columns.matrix::<D>(&device).swap_dims(D - 2, D - 1);
            values = rows.matmul(values).matmul(columns);
        }
        if let Some(apply) = &self.apply {
            values = apply.apply(values);
        }
        match self.channels_last {
            true => values.swap_dims(1, D - 2).swap_dims(D - 2, D - 1),
            false => values,
        }
    }
}

/// A factor and an offset for each channel.
#[derive(Clone, Debug)]
struct PerChannel {
    factor: Vec<f32>,
    offset: Vec<f32>,
}

impl PerChannel {
    /// Returns the factor and the normalization of a network, unless they change nothing.
    fn of(config: &OnnxConfig, channels: usize) -> Option<Self> {
        let scale = config.scale;
        match &config.normalization {
            None if scale == 1.0 => None,
            None => Some(Self {
                factor: vec![scale as f32; channels],
                offset: vec![0.0; channels],
            }),
            Some(Normalization { mean, std }) => Some(Self {
                factor: std
                    .iter()
                    .map(|std| (scale / f64::from(*std)) as f32)
                    .collect(),
                offset: mean
                    .iter()
                    .zip(std)
                    .map(|(mean, std)| (-f64::from(*mean) / f64::from(*std)) as f32)
                    .collect(),
            }),
        }
    }

    fn apply<const D: usize>(&self, values: Tensor<D>) -> Tensor<D> {
        let axis = if D == 4 { 1 } else { D - 1 };
        let device = values.device();
        let along = |numbers: &[f32]| {
            let mut shape = [1; D];
            shape[axis] = numbers.len();
            Tensor::<D>::from_data(TensorData::new(numbers.to_vec(), shape), &device)
        };
        values.mul(along(&self.factor)).add(along(&self.offset))
    }
}

/// [Weights](bilinear_weights) of a bilinear resize along one axis, as a matrix.
#[derive(Clone, Debug)]
struct Weights {
    values: Vec<f32>,
    /// Outputs and inputs.
    shape: [usize; 2],
}

impl Weights {
    fn new(from: usize, to: usize) -> Self {
        let mut values = vec![0.0; to * from];
        for (row, window) in values
            .chunks_exact_mut(from)
            .zip(bilinear_weights(from, to))
        {
            for (value, weight) in row[window.first..].iter_mut().zip(window.weights) {
                *value = weight as f32;
            }
        }
        Self {
            values,
            shape: [to, from],
        }
    }

    fn matrix<const D: usize>(&self, device: &Device) -> Tensor<D> {
        let mut shape = [1; D];
        shape[D - 2..].copy_from_slice(&self.shape);
        Tensor::from_data(TensorData::new(self.values.clone(), shape), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    fn prepared<const D: usize>(
        config: &OnnxConfig,
        of_data: Option<&Normalization>,
        values: Tensor<D>,
    ) -> Tensor<D> {
        let sample = values.dims()[1..].to_vec();
        let (steps, shape) = InputTransform::new(config, &sample, of_data).unwrap();
        let prepared = steps.apply(values);
        assert_eq!(prepared.dims()[1..], shape);
        prepared
    }

    fn close<const D: usize>(found: Tensor<D>, expected: impl Into<TensorData>) {
        let expected = expected.into();
        found
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    fn normalization(mean: &[f32], std: &[f32]) -> Normalization {
        Normalization {
            mean: mean.to_vec(),
            std: std.to_vec(),
        }
    }

    #[test]
    fn the_normalization_of_the_data_is_undone_before_that_of_the_network() {
        let device = Device::default();
        // Pixels 0.5 and 0.25, normalized by mean 0.25 and deviation 0.5.
        let values = Tensor::<4>::from_data([[[[0.5, 0.0]]]], &device);
        let of_data = normalization(&[0.25], &[0.5]);

        let plain = OnnxConfig::default();
        close(
            prepared(&plain, Some(&of_data), values.clone()),
            [[[[0.5, 0.25]]]],
        );
        let kept = OnnxConfig {
            data_normalization: true,
            ..plain.clone()
        };
        close(
            prepared(&kept, Some(&of_data), values.clone()),
            [[[[0.5, 0.0]]]],
        );
        let bytes = OnnxConfig {
            scale: 255.0,
            normalization: Some(normalization(&[127.5], &[2.0])),
            ..plain
        };
        close(
            prepared(&bytes, Some(&of_data), values),
            [[[[0.0, -31.875]]]],
        );
    }

    #[test]
    fn each_channel_has_its_own_normalization_wherever_its_axis_is() {
        let device = Device::default();
        let config = OnnxConfig {
            normalization: Some(normalization(&[1.0, 2.0], &[1.0, 0.5])),
            ..OnnxConfig::default()
        };

        let image = Tensor::<4>::from_data([[[[3.0]], [[4.0]]]], &device);
        close(prepared(&config, None, image), [[[[2.0]], [[4.0]]]]);
        let row = Tensor::<2>::from_data([[3.0, 4.0]], &device);
        close(prepared(&config, None, row), [[2.0, 4.0]]);
        let sequence = Tensor::<3>::from_data([[[3.0, 4.0], [1.0, 2.0]]], &device);
        close(
            prepared(&config, None, sequence),
            [[[2.0, 4.0], [0.0, 0.0]]],
        );
    }

    #[test]
    fn channels_are_repeated_and_become_the_last_axis() {
        let device = Device::default();
        let config = OnnxConfig {
            gray_to_rgb: true,
            layout: OnnxLayout::Nhwc,
            ..OnnxConfig::default()
        };
        let gray = Tensor::<4>::from_data([[[[1.0, 2.0]]]], &device);
        let expected = [[[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]]];
        close(prepared(&config, None, gray), expected);

        let config = OnnxConfig {
            layout: OnnxLayout::Nhwc,
            ..OnnxConfig::default()
        };
        // Two channels of two rows and three columns.
        let image = Tensor::<4>::from_data(
            [[
                [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
                [[10.0, 20.0, 30.0], [40.0, 50.0, 60.0]],
            ]],
            &device,
        );
        let expected = [[
            [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]],
            [[4.0, 40.0], [5.0, 50.0], [6.0, 60.0]],
        ]];
        close(prepared(&config, None, image), expected);
    }

    #[test]
    fn images_are_resized_as_by_pillow() {
        let device = Device::default();
        let resized = |row: &[f32], size: [usize; 2]| {
            let values = TensorData::new(row.to_vec(), [1, 1, 1, row.len()]);
            let config = OnnxConfig {
                resize: Some(size),
                ..OnnxConfig::default()
            };
            prepared(&config, None, Tensor::<4>::from_data(values, &device))
        };

        // Image.fromarray(row).resize(size, BILINEAR) in mode F.
        close(
            resized(&[0.0, 100.0], [1, 4]),
            [[[[0.0, 25.0, 75.0, 100.0]]]],
        );
        close(
            resized(&[0.0, 100.0], [2, 2]),
            [[[[0.0, 100.0], [0.0, 100.0]]]],
        );
        // Weights 3, 3, 1 of 7 at the ends and 1, 3, 3, 1 of 8 in the middle.
        let row = [7.0, 14.0, 56.0, 8.0, 16.0, 70.0];
        let expected = [[[[17.0, 27.75, 38.0]]]];
        close(resized(&row, [1, 3]), expected);
    }

    #[test]
    fn steps_for_images_are_refused_elsewhere() {
        let error = |config: OnnxConfig, sample: &[usize]| {
            InputTransform::new(&config, sample, None).unwrap_err()
        };
        let plain = OnnxConfig::default;

        let gray = OnnxConfig {
            gray_to_rgb: true,
            ..plain()
        };
        assert!(
            error(gray.clone(), &[3, 4, 4])
                .contains("for images of one channel, but the data has 3")
        );
        assert!(error(gray, &[5]).starts_with("`gray_to_rgb` is for images"));
        let resize = OnnxConfig {
            resize: Some([2, 2]),
            ..plain()
        };
        assert!(error(resize, &[4, 8]).starts_with("`resize` is for images"));
        let own = OnnxConfig {
            normalization: Some(normalization(&[0.0; 3], &[1.0; 3])),
            ..plain()
        };
        assert!(error(own, &[1, 2, 2]).contains("3 means, but the network takes 1 channels"));
    }
}
