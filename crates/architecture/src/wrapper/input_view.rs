use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_distill_core::numeric::pool_to;
use burn_distill_core::{
    AnyInput, ConfigError, Input, InputShape, Network, Response, Tap, TapRecorder, check,
    delegate_module, delegate_network, display_module,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};

/// The part of an input that a network sees: a window, the edges or fewer pixels of an image, or some
/// of the features of a vector.
///
/// Images are changed in the order of the fields. They are normalized before, as all inputs of a
/// network are.
///
/// ```
/// use burn_distill_architecture::InputView;
/// use burn_distill_core::InputShape;
///
/// let left_half = InputView { crop: Some([0, 0, 8, 4]), ..InputView::default() };
///
/// let seen = left_half.shape(&InputShape::Image([1, 8, 8]))?;
/// assert_eq!(seen, InputShape::Image([1, 8, 4]));
/// # Ok::<(), burn_distill_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputView {
    /// Window of the image: its top row, its left column, its height and its width. Default: the
    /// whole image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<[usize; 4]>,
    /// Whether the channels are replaced by their mean. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gray: bool,
    /// Whether each channel is replaced by the norm of its gradient (Sobel). Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub edges: bool,
    /// Height and width to which the image is reduced by averages. Default: its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<[usize; 2]>,
    /// Positions of the features of a vector that the network sees, counted from 0. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<usize>>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl InputView {
    /// Returns the shape of the view of an input of this shape.
    ///
    /// # Errors
    ///
    /// Returns an error about the first field that inputs of this shape do not have.
    pub fn shape(&self, input: &InputShape) -> Result<InputShape, ConfigError> {
        match *input {
            InputShape::Image(shape) => Ok(InputShape::Image(self.image_shape(shape)?)),
            InputShape::Vector([features]) => {
                let keys = [
                    ("crop", self.crop.is_some()),
                    ("gray", self.gray),
                    ("edges", self.edges),
                    ("pool", self.pool.is_some()),
                ];
                for (key, given) in keys {
                    check::ensure(!given, key, "left out, since it is for images", input)?;
                }
                Ok(InputShape::Vector([self.seen_features(features)?]))
            }
            InputShape::Sequence(_) | InputShape::Tokens { .. } => {
                let expected = "images or vectors, of which a network may see a part";
                Err(ConfigError::new("input", expected, input))
            }
        }
    }

    fn image_shape(
        &self,
        [channels, height, width]: [usize; 3],
    ) -> Result<[usize; 3], ConfigError> {
        let found = "given for images";
        check::ensure(self.features.is_none(), "features", "left out", found)?;
        let [top, left, rows, columns] = self.crop.unwrap_or([0, 0, height, width]);
        let fits = |start: usize, length: usize, all: usize| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= all)
        };
        check::ensure(
            fits(top, rows, height) && fits(left, columns, width),
            "crop",
            format_args!(
                "a top row, a left column, a height and a width within {height} × {width} pixels"
            ),
            format_args!("{:?}", self.crop.unwrap_or_default()),
        )?;
        let [pooled_rows, pooled_columns] = self.pool.unwrap_or([rows, columns]);
        check::ensure(
            (1..=rows).contains(&pooled_rows) && (1..=columns).contains(&pooled_columns),
            "pool",
            format_args!("a height and a width from 1 to {rows} × {columns} pixels"),
            format_args!("{:?}", self.pool.unwrap_or_default()),
        )?;
        let channels = if self.gray { 1 } else { channels };
        Ok([channels, pooled_rows, pooled_columns])
    }

    fn seen_features(&self, features: usize) -> Result<usize, ConfigError> {
        let Some(seen) = &self.features else {
            return Ok(features);
        };
        let distinct: HashSet<_> = seen.iter().collect();
        check::ensure(
            !seen.is_empty() && distinct.len() == seen.len(),
            "features",
            "one or more positions, each of them once",
            format_args!("{seen:?}"),
        )?;
        let outside = seen.iter().find(|&&position| position >= features);
        check::ensure(
            outside.is_none(),
            "features",
            format_args!("positions below the number of features, {features}"),
            outside.copied().unwrap_or_default(),
        )?;
        Ok(seen.len())
    }

    /// Returns the view of an image.
    ///
    /// # Shapes
    ///
    /// - images: `[batch_size, channels, height, width]`
    /// - output: the same, of the [shape](Self::shape) of the view
    pub fn of_images(&self, mut images: Tensor<4>) -> Tensor<4> {
        if let Some([top, left, height, width]) = self.crop {
            images = images.narrow(2, top, height).narrow(3, left, width);
        }
        if self.gray {
            images = images.mean_dim(1);
        }
        if self.edges {
            images = edges(images);
        }
        match self.pool {
            Some(size) => pool_to(images, size),
            None => images,
        }
    }
}

/// Writes the fields that are set, as in `crop [0, 0, 8, 4], edges`.
impl Display for InputView {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let parts = [
            self.crop.map(|crop| format!("crop {crop:?}")),
            self.gray.then(|| "gray".to_string()),
            self.edges.then(|| "edges".to_string()),
            self.pool.map(|pool| format!("pool {pool:?}")),
            self.features
                .as_ref()
                .map(|seen| format!("features {seen:?}")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// Returns the norm of the gradient of each channel, by the Sobel filter, where the image continues
/// beyond its border as it ends there.
fn edges(images: Tensor<4>) -> Tensor<4> {
    // The square root has no gradient at zero.
    const SMALLEST: f64 = 1e-12;
    let difference = |images: Tensor<4>, dim| shifted(&images, dim, 1) - shifted(&images, dim, -1);
    let smooth = |images: Tensor<4>, dim| {
        let both = shifted(&images, dim, 1) + shifted(&images, dim, -1);
        images.mul_scalar(2.0) + both
    };
    let down = smooth(difference(images.clone(), 2), 3);
    let across = smooth(difference(images, 3), 2);
    let squares = down.square() + across.square();
    squares.add_scalar(SMALLEST).sqrt().div_scalar(8.0)
}

/// Returns the next (1) or the previous (−1) row or column in the place of each; the outermost one is
/// its own neighbor.
fn shifted(images: &Tensor<4>, dim: usize, by: i64) -> Tensor<4> {
    let last = images.dims()[dim] - 1;
    let part = |start, length| images.clone().narrow(dim, start, length);
    if last == 0 {
        return images.clone();
    }
    let parts = match by {
        1 => vec![part(1, last), part(last, 1)],
        _ => vec![part(0, 1), part(0, last)],
    };
    Tensor::cat(parts, dim)
}

/// A network that sees a [view](InputView) of its input.
///
/// A teacher that sees the whole input and a student that sees a part of it are the two sides of
/// *generalized distillation*, in which the rest is privileged information for training, and of
/// distillation between modalities. With a view of its own for each network, all of them take the
/// same batches.
///
/// The response, the taps, the parameters with their paths, and the records are those of the inner
/// network.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::{InputView, NetworkConfig, ViewedNetwork};
/// use burn_distill_core::{InputShape, Network, any_network};
///
/// let device = Device::default();
/// let input = InputShape::Image([1, 8, 8]);
/// let view = InputView { pool: Some([4, 4]), ..InputView::default() };
/// let inner = NetworkConfig::by_name("mlp-16")?.init(view.shape(&input)?.image()?, 10, &device)?;
///
/// let student = ViewedNetwork::new(any_network(inner), view, input)?;
///
/// let logits = student.forward(Tensor::<4>::zeros([2, 1, 8, 8], &device).into());
/// assert_eq!(logits.classes().unwrap().dims(), [2, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Reference
///
/// D. Lopez-Paz, L. Bottou, B. Schölkopf and V. Vapnik, [Unifying Distillation and Privileged
/// Information](https://arxiv.org/abs/1511.03643), ICLR 2016. S. Gupta, J. Hoffman and J. Malik,
/// [Cross Modal Distillation for Supervision Transfer](https://arxiv.org/abs/1507.00448), CVPR 2016.
#[derive(Clone, Debug)]
pub struct ViewedNetwork<N> {
    network: N,
    view: InputView,
    input: InputShape,
    /// Positions of the features, so that they are uploaded once; none for images.
    positions: Option<Tensor<1, Int>>,
}

impl<N: Network<Input = AnyInput>> ViewedNetwork<N> {
    /// Creates the wrapper from a network for the view of inputs of this shape.
    ///
    /// # Errors
    ///
    /// Returns an error if inputs of this shape have no such view, or if the network takes others.
    pub fn new(network: N, view: InputView, input: InputShape) -> Result<Self, ConfigError> {
        let seen = view.shape(&input)?;
        let device = network.devices().first().cloned().unwrap_or_default();
        let taken = network.example(1, &device);
        check::ensure(
            taken.sample_shape() == Some(seen.sample_shape()),
            "network",
            format_args!("one for the view, {seen}"),
            format_args!("one for {}", taken.in_words()),
        )?;
        let positions = view.features.as_ref().map(|seen| {
            let seen: Vec<i64> = seen.iter().map(|&position| position as i64).collect();
            let count = seen.len();
            Tensor::from_data(TensorData::new(seen, [count]), &device.without_autodiff())
        });
        Ok(Self {
            network,
            view,
            input,
            positions,
        })
    }

    /// Returns the inner network.
    pub fn inner(&self) -> &N {
        &self.network
    }

    fn seen(&self, input: AnyInput) -> AnyInput {
        match (input, &self.positions) {
            (AnyInput::Images(images), _) => self.view.of_images(images).into(),
            (AnyInput::Vectors(vectors), Some(positions)) => {
                let positions = positions.clone().to_device(&vectors.device());
                vectors.select(1, positions).into()
            }
            (input, _) => input,
        }
    }
}

impl<N: Network<Input = AnyInput>> Network for ViewedNetwork<N> {
    type Input = AnyInput;

    fn forward_tapped(&self, input: AnyInput, taps: &mut TapRecorder) -> Response {
        self.network.forward_tapped(self.seen(input), taps)
    }

    fn forward_to(&self, input: AnyInput, tap: &str) -> Tap {
        self.network.forward_to(self.seen(input), tap)
    }

    fn example(&self, samples: usize, device: &Device) -> AnyInput {
        match self.input {
            InputShape::Image([channels, height, width]) => {
                Tensor::<4>::zeros([samples, channels, height, width], device).into()
            }
            InputShape::Vector([features]) => {
                Tensor::<2>::zeros([samples, features], device).into()
            }
            _ => unreachable!("There are views of images and vectors only."),
        }
    }

    delegate_network!(network: classifier, normalization, deployed);
}

// Not derived, because paths would begin with the name of the field, and records of the inner
// network would not fit.
delegate_module!([N: Network] ViewedNetwork<N>: network, kept: [view, input, positions]);
display_module!([N: Network] ViewedNetwork<N>: network);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;
    use burn::module::Module;
    use burn::tensor::Tolerance;
    use burn_distill_core::{Taps, any_network, known_taps, tensors};

    fn error(view: &InputView, input: InputShape) -> String {
        view.shape(&input).unwrap_err().to_string()
    }

    fn image() -> Tensor<4> {
        let pixels = (0..2 * 3 * 4).map(|value| value as f32).collect();
        Tensor::from_data(TensorData::new(pixels, [1, 2, 3, 4]), &Device::default())
    }

    #[test]
    fn images_are_cropped_averaged_and_pooled_in_this_order() {
        let view = InputView {
            crop: Some([1, 0, 2, 4]),
            gray: true,
            pool: Some([1, 2]),
            ..InputView::default()
        };
        let seen = view.of_images(image());
        // Rows 1 and 2 of the channels are 4 to 11 and 16 to 23.
        let expected = TensorData::from([[[[12.5_f32, 14.5]]]]);
        seen.into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
        let shape = view.shape(&InputShape::Image([2, 3, 4])).unwrap();
        assert_eq!(shape, InputShape::Image([1, 1, 2]));
        assert_eq!(view.to_string(), "crop [1, 0, 2, 4], gray, pool [1, 2]");
    }

    #[test]
    fn edges_are_where_an_image_changes() {
        let view = InputView {
            edges: true,
            ..InputView::default()
        };
        // A slope of 1 to the right and of 4 down has the same gradient everywhere but at the border.
        let found: Vec<f32> = view.of_images(image()).into_data().iter().collect();
        assert!((found[5] - 17_f32.sqrt()).abs() < 1e-5, "{}", found[5]);
        let flat = Tensor::<4>::ones([1, 1, 3, 3], &Device::default().autodiff()).require_grad();
        let gradients = view.of_images(flat.clone()).sum().backward();
        let gradient = flat.grad(&gradients).unwrap();
        assert!(gradient.abs().max().into_scalar::<f32>() < 1e-3);
        let pixel = view.of_images(Tensor::ones([1, 1, 1, 1], &Device::default()));
        assert!(pixel.into_scalar::<f32>() < 1e-5);
    }

    #[test]
    fn a_network_sees_its_view_and_keeps_its_weights_and_taps() {
        let device = Device::default();
        let input = InputShape::Vector([4]);
        let view = InputView {
            features: Some(vec![3, 1]),
            ..InputView::default()
        };
        let inner = NetworkConfig::by_name("mlp-8")
            .unwrap()
            .of_vectors(2, 3)
            .unwrap();
        let inner = any_network(inner.init_vector(&device));
        let network = ViewedNetwork::new(inner.clone(), view, input).unwrap();

        let whole = Tensor::<2>::from_data([[1.0, 2.0, 3.0, 4.0]], &device);
        let part = Tensor::<2>::from_data([[4.0, 2.0]], &device);
        let found = network.forward(whole.into()).classes().unwrap().to_data();
        let expected = inner.forward(part.into()).classes().unwrap().to_data();
        found.assert_eq(&expected, true);
        assert_eq!(tensors(&network), tensors(&inner));
        let names = |taps: &Taps| {
            taps.iter()
                .map(|(name, _)| name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&known_taps(&network)), names(&known_taps(&inner)));
        let moved = network.clone().fork(&device);
        assert_eq!(tensors(&moved), tensors(&inner));
    }

    #[test]
    fn views_that_an_input_does_not_have_are_refused() {
        let image = InputShape::Image([1, 8, 8]);
        let crop = |crop| InputView {
            crop: Some(crop),
            ..InputView::default()
        };
        for wrong in [
            [0, 0, 9, 8],
            [4, 0, 5, 8],
            [0, 0, 0, 8],
            [usize::MAX, 0, 1, 1],
        ] {
            let error = error(&crop(wrong), image.clone());
            assert!(error.contains("within 8 × 8 pixels"), "{error}");
        }
        let pool = InputView {
            pool: Some([4, 9]),
            ..InputView::default()
        };
        assert!(error(&pool, image.clone()).contains("from 1 to 8 × 8 pixels"));
        assert!(error(&pool, InputShape::Vector([4])).contains("since it is for images"));
        let features = |seen: &[usize]| InputView {
            features: Some(seen.to_vec()),
            ..InputView::default()
        };
        assert!(error(&features(&[0]), image).contains("`features` should be left out"));
        let vector = || InputShape::Vector([4]);
        assert!(error(&features(&[4]), vector()).contains("below the number of features, 4"));
        for wrong in [&[][..], &[1, 1]] {
            assert!(error(&features(wrong), vector()).contains("each of them once"));
        }
        let text = InputShape::Tokens {
            length: 4,
            vocabulary: 9,
        };
        assert!(error(&features(&[0]), text).contains("images or vectors"));

        let device = Device::default();
        let network = NetworkConfig::by_name("mlp-8").unwrap();
        let network = any_network(network.init([1, 8, 8], 3, &device).unwrap());
        let error = ViewedNetwork::new(network, crop([0, 0, 8, 4]), InputShape::Image([1, 8, 8]));
        let error = error.err().unwrap().to_string();
        assert!(
            error.contains("one for the view, images of 1x8x4"),
            "{error}"
        );
    }
}
