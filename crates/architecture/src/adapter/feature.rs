use super::AdapterKind;
use super::error::{AdapterError, describe};
use crate::layers::convolution;
use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Identity, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use burn_distill_core::Check;
use burn_distill_core::numeric::{Interpolation, at_least_f32, pool_to, resize_to};
use burn_distill_core::{Tap, TapAdapter, batch_norm};
use serde::{Deserialize, Serialize};

impl AdapterKind {
    /// Returns the default adapter of hints between two taps: for maps a regressor, or a 3×3
    /// convolution if a regressor cannot map between their sizes; for all other taps a linear
    /// layer.
    pub fn suited(student: &Tap, teacher: &Tap) -> Self {
        match (student, teacher) {
            (Tap::Map(student), Tap::Map(teacher)) => {
                match regression(spatial(student), spatial(teacher)) {
                    Some(_) => Self::Regressor,
                    None => Self::Conv3x3,
                }
            }
            _ => Self::Linear,
        }
    }
}

/// Method that resizes a map of the student to the size of the teacher's map, before the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Average pooling of the larger map, in height and in width: of the student's map by the
    /// adapter, of the teacher's map by the loss, which [matches
    /// sizes](burn_distill_core::numeric::match_size).
    Pool,
    /// Nearest-neighbor interpolation of the student's map.
    Nearest,
    /// Bilinear interpolation of the student's map.
    Bilinear,
}

/// Configuration to create a [`FeatureAdapter`] using the [init function](Self::init).
#[derive(Config, Debug)]
pub struct FeatureAdapterConfig {
    /// Layer.
    pub kind: AdapterKind,
    /// Whether batch normalization follows the layer. Default: `true` for convolutions, `false` for
    /// others.
    pub norm: Option<bool>,
    /// Whether a ReLU comes last. Default: `false`, because a ReLU cannot output features below
    /// zero.
    #[config(default = false)]
    pub activation: bool,
    /// Method that resizes a map to the size of the teacher's. Default: `Pool`. A regressor changes
    /// the size itself and supports no other value.
    #[config(default = "Resize::Pool")]
    pub resize: Resize,
}

impl FeatureAdapterConfig {
    /// Creates an adapter from a tap of the student to a tap of the teacher.
    ///
    /// Only the kinds and shapes of the taps matter, so the taps of
    /// [`known_taps`](burn_distill_core::known_taps) are suitable.
    ///
    /// # Errors
    ///
    /// Returns an [`AdapterError`] about both taps if the layer cannot map one to the other.
    pub fn init(
        &self,
        student: &Tap,
        teacher: &Tap,
        device: &Device,
    ) -> Result<FeatureAdapter, AdapterError> {
        self.check(student, teacher)?;
        let channels = [student, teacher].map(|tap| sizes(tap)[0]);
        let resize = self.target(student, teacher);
        let layer = match self.kind {
            AdapterKind::None => AdapterLayer::None(Identity::new()),
            AdapterKind::Linear => {
                let [inputs, outputs] = channels;
                AdapterLayer::Linear(LinearConfig::new(inputs, outputs).init(device))
            }
            AdapterKind::Conv1x1 => conv(channels, [1, 1], [1, 1], 0, device),
            AdapterKind::Conv3x3 => conv(channels, [3, 3], [1, 1], 1, device),
            AdapterKind::Connector => AdapterLayer::Conv(convolution(channels, 1, 1, device)),
            AdapterKind::Regressor => {
                let [[_, from @ ..], [_, to @ ..]] = [student, teacher].map(sizes);
                match regression(from, to) {
                    Some(Regression::Halve) => conv(channels, [3, 3], [2, 2], 1, device),
                    Some(Regression::Double) => AdapterLayer::Transposed(
                        ConvTranspose2dConfig::new(channels, [4, 4])
                            .with_stride([2, 2])
                            .with_padding([1, 1])
                            .init(device),
                    ),
                    Some(Regression::Shrink(kernel)) => conv(channels, kernel, [1, 1], 0, device),
                    None => {
                        return Err(AdapterError::Size {
                            student: describe(student),
                            teacher: describe(teacher),
                        });
                    }
                }
            }
        };
        let norm = self.norm.unwrap_or(!matches!(
            self.kind,
            AdapterKind::None | AdapterKind::Linear
        ));
        Ok(FeatureAdapter {
            layer,
            norm: norm.then(|| BatchNormConfig::new(channels[1]).init(device)),
            activation: self.activation,
            resize,
        })
    }

    fn check(&self, student: &Tap, teacher: &Tap) -> Result<(), AdapterError> {
        for (side, tap) in [("student", student), ("teacher", teacher)] {
            if matches!(tap, Tap::Attention(_) | Tap::Mask(_)) {
                let tap = describe(tap);
                return Err(AdapterError::NoFeatures { side, tap });
            }
        }
        let describe = || (describe(student), describe(teacher));
        if student.kind() != teacher.kind() {
            let (student, teacher) = describe();
            return Err(AdapterError::Kinds { student, teacher });
        }
        let [student_sizes, teacher_sizes] = [student, teacher].map(sizes);
        let is_map = matches!(student, Tap::Map(_));
        if !is_map && student_sizes[1] != teacher_sizes[1] {
            let (student, teacher) = describe();
            return Err(AdapterError::Lengths { student, teacher });
        }
        let pools = self.resize == Resize::Pool;
        let takes = match self.kind {
            AdapterKind::None => {
                let one_shape = match pools {
                    true => student_sizes == teacher_sizes,
                    false => student_sizes[0] == teacher_sizes[0],
                };
                if one_shape {
                    return Ok(());
                }
                let (student, teacher) = describe();
                return Err(AdapterError::Shapes { student, teacher });
            }
            AdapterKind::Linear if is_map => "vectors and sequences",
            AdapterKind::Conv3x3 | AdapterKind::Regressor if !is_map => "maps",
            AdapterKind::Regressor if !pools => return Err(AdapterError::Resize),
            _ => return Ok(()),
        };
        Err(AdapterError::Layer {
            adapter: self.kind,
            takes,
            student: describe().0,
        })
    }

    /// Returns the size to which a map of the student is resized before the layer, if it is
    /// resized.
    fn target(&self, student: &Tap, teacher: &Tap) -> Option<Target> {
        let (Tap::Map(student), Tap::Map(teacher)) = (student, teacher) else {
            return None;
        };
        if self.kind == AdapterKind::Regressor {
            return None;
        }
        let ([height, width], [teacher_height, teacher_width]) =
            (spatial(student), spatial(teacher));
        let (size, interpolation) = match self.resize {
            Resize::Pool => ([height.min(teacher_height), width.min(teacher_width)], None),
            Resize::Nearest => (spatial(teacher), Some(Interpolation::Nearest)),
            Resize::Bilinear => (spatial(teacher), Some(Interpolation::Bilinear)),
        };
        (size != [height, width]).then_some(Target {
            size,
            interpolation,
        })
    }
}

impl Check for FeatureAdapterConfig {}

/// Creates a convolution with a bias and the initial weights of PyTorch.
fn conv(
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: usize,
    device: &Device,
) -> AdapterLayer {
    let padding = PaddingConfig2d::Explicit(padding, padding, padding, padding);
    AdapterLayer::Conv(
        Conv2dConfig::new(channels, kernel)
            .with_stride(stride)
            .with_padding(padding)
            .init(device),
    )
}

/// Returns the numbers of features, of rows and of columns: a sequence has `length` rows and one
/// column, a vector one of each.
fn sizes(tap: &Tap) -> [usize; 3] {
    match (tap, tap.shape().as_slice()) {
        (Tap::Vector(_), &[_, features]) => [features, 1, 1],
        (Tap::Sequence(_), &[_, length, features]) => [features, length, 1],
        (_, &[_, channels, height, width]) => [channels, height, width],
        (_, shape) => panic!("The shape of a tap should have 2 to 4 axes, got {shape:?}."),
    }
}

fn spatial(map: &Tensor<4>) -> [usize; 2] {
    let [.., height, width] = map.dims();
    [height, width]
}

/// Change of the size of a map by a regressor.
enum Regression {
    Halve,
    Double,
    /// By a convolution with this kernel and without padding.
    Shrink([usize; 2]),
}

fn regression(from: [usize; 2], to: [usize; 2]) -> Option<Regression> {
    if from == to.map(|size| 2 * size) {
        Some(Regression::Halve)
    } else if from.map(|size| 2 * size) == to {
        Some(Regression::Double)
    } else if from[0] >= to[0] && from[1] >= to[1] {
        Some(Regression::Shrink([
            1 + from[0] - to[0],
            1 + from[1] - to[1],
        ]))
    } else {
        None
    }
}

/// Adapter from a tap of the student to a tap of the teacher.
///
/// ```text
/// output = relu(norm(layer(resize(student))))
/// ```
///
/// All parts but the layer are optional. The adapter is trained with the student and is not part of
/// the deployed network. The output has the number of features, and of tokens, of the teacher's
/// tap. A map also has the height and width of the teacher's map, except that with [`Resize::Pool`]
/// a smaller map keeps its size. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
/// use burn_distill_core::{Tap, TapAdapter};
///
/// let device = Device::default();
/// let student = Tap::Map(Tensor::zeros([2, 16, 8, 8], &device));
/// let teacher = Tap::Map(Tensor::zeros([2, 64, 4, 4], &device));
///
/// let config = FeatureAdapterConfig::new(AdapterKind::Regressor);
/// let adapter = config.init(&student, &teacher, &device)?;
///
/// assert_eq!(adapter.adapt(student).shape(), teacher.shape());
/// # Ok::<(), burn_distill_architecture::AdapterError>(())
/// ```
///
/// # Reference
///
/// The regressor is that of A. Romero et al., [FitNets](https://arxiv.org/abs/1412.6550), ICLR
/// 2015, in the form of `ConvReg` of RepDistiller, which always ends in a ReLU. The connector is
/// that of B. Heo et al., [Activation Boundaries](https://arxiv.org/abs/1811.03233), AAAI 2019.
#[derive(Module, Debug)]
pub struct FeatureAdapter {
    /// Layer.
    pub layer: AdapterLayer,
    /// Normalization after the layer, if there is one.
    pub norm: Option<BatchNorm>,
    /// Whether a ReLU comes last.
    pub activation: bool,
    #[module(skip)]
    resize: Option<Target>,
}

/// Layer of a [`FeatureAdapter`].
#[derive(Module, Debug)]
pub enum AdapterLayer {
    /// No layer.
    None(Identity),
    /// Linear layer.
    Linear(Linear),
    /// Convolution.
    Conv(Conv2d),
    /// Transposed convolution, which enlarges a map.
    Transposed(ConvTranspose2d),
}

/// Size to which a map is resized, by interpolation or else by pooling.
#[derive(Clone, Copy, Debug)]
struct Target {
    size: [usize; 2],
    interpolation: Option<Interpolation>,
}

impl FeatureAdapter {
    /// Adapts features in the form of a map.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - output: `[batch_size, teacher_channels, output_height, output_width]`
    ///
    /// # Panics
    ///
    /// Panics if the adapter was created for another number of channels.
    pub fn forward(&self, student: Tensor<4>) -> Tensor<4> {
        let student = at_least_f32(student);
        let student = match &self.resize {
            None => student,
            Some(Target {
                size,
                interpolation: None,
            }) => pool_to(student, *size),
            Some(Target {
                size,
                interpolation: Some(interpolation),
            }) => resize_to(student, *size, *interpolation),
        };
        let features = match &self.layer {
            AdapterLayer::None(identity) => identity.forward(student),
            AdapterLayer::Linear(linear) => {
                let last = student.permute([0, 2, 3, 1]);
                linear.forward(last).permute([0, 3, 1, 2])
            }
            AdapterLayer::Conv(conv) => conv.forward(student),
            AdapterLayer::Transposed(conv) => conv.forward(student),
        };
        self.finish(features)
    }

    /// Normalizes and activates the output of the layer.
    fn finish<const D: usize>(&self, features: Tensor<D>) -> Tensor<D> {
        let features = match &self.norm {
            Some(norm) => batch_norm(norm, features),
            None => features,
        };
        match self.activation {
            true => relu(features),
            false => features,
        }
    }
}

impl TapAdapter for FeatureAdapter {
    fn adapt(&self, student: Tap) -> Tap {
        match (&self.layer, student) {
            (AdapterLayer::None(_), Tap::Vector(vectors)) => {
                Tap::Vector(self.finish(at_least_f32(vectors)))
            }
            (AdapterLayer::Linear(linear), Tap::Vector(vectors)) => {
                Tap::Vector(self.finish(linear.forward(at_least_f32(vectors))))
            }
            // A convolution takes vectors as maps of one pixel.
            (_, vector @ Tap::Vector(_)) => {
                Tap::Vector(self.forward(vector.into_map()).flatten(1, 3))
            }
            (_, sequence @ Tap::Sequence(_)) => {
                let adapted = self.forward(sequence.into_map());
                Tap::Sequence(adapted.squeeze_dim::<3>(3).swap_dims(1, 2))
            }
            (_, other) => Tap::Map(self.forward(other.into_map())),
        }
    }
}

#[cfg(test)]
mod tests;
