use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_normalize, match_size};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss,
    check, one_line_display,
};

/// Kernel that measures the similarity of two neurons `x` and `y`, each of unit length.
#[derive(Config, Copy, Debug, PartialEq)]
pub enum SelectivityKernel {
    /// `(x·y + offset)²`. All implementations, including the authors', use an offset of zero.
    Polynomial {
        /// Added to the product. Must be finite and not negative.
        offset: f64,
    },
    /// `x·y`: only the means of the neurons are compared.
    Linear,
    /// `exp(−‖x − y‖² / (2 variance))`.
    Gaussian {
        /// Width of the kernel, positive and finite. Default: for each sample, the mean of
        /// `‖x − y‖²` over the neurons of student and teacher, as a constant.
        variance: Option<f64>,
    },
}

/// Configuration to create a [neuron selectivity loss](NeuronSelectivityLoss) using the
/// [init function](NeuronSelectivityLossConfig::init).
#[derive(Config, Debug)]
pub struct NeuronSelectivityLossConfig {
    /// Kernel that measures the similarity of two neurons. Default: `Polynomial`, with an offset of
    /// zero.
    #[config(default = "SelectivityKernel::Polynomial { offset: 0.0 }")]
    pub kernel: SelectivityKernel,
}

impl NeuronSelectivityLossConfig {
    /// Creates a [neuron selectivity loss](NeuronSelectivityLoss).
    ///
    /// # Panics
    ///
    /// Panics if the offset of the kernel is negative, if its variance is not positive, or if one
    /// of them is not finite.
    pub fn init(&self) -> NeuronSelectivityLoss {
        self.assert_valid();
        NeuronSelectivityLoss {
            kernel: self.kernel,
        }
    }
}

impl Check for NeuronSelectivityLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        match self.kernel {
            SelectivityKernel::Polynomial { offset } => {
                check::not_negative("kernel.Polynomial.offset", offset)
            }
            SelectivityKernel::Gaussian {
                variance: Some(variance),
            } => check::positive("kernel.Gaussian.variance", variance),
            SelectivityKernel::Gaussian { variance: None } | SelectivityKernel::Linear => Ok(()),
        }
    }
}

/// Neuron selectivity transfer (NST): matches the distributions of activation patterns over the
/// channels. The order and the number of the channels do not matter.
///
/// A neuron is one channel: its pattern of activations over the map, as a unit vector.
///
/// ```text
/// neurons(F)ᵢ = normalize(flatten(channel i of F))
/// L = mean over samples of
///     mean_{ij} k(tᵢ, tⱼ) + mean_{ij} k(sᵢ, sⱼ) − 2 mean_{ij} k(sᵢ, tⱼ)
/// Polynomial:  k(x, y) = (x·y + offset)²
/// Linear:      k(x, y) = x·y
/// Gaussian:    k(x, y) = exp(−‖x − y‖² / (2 variance))
/// ```
///
/// with `s` the neurons of the student and `t` those of the teacher: the squared maximum mean
/// discrepancy (MMD²) of the two sets. It is computed from matrix products, over pairs of pixels or
/// of channels, whichever are fewer; no tensor of all pairs of channels at all pixels is formed.
///
/// The larger map is pooled to the size of the smaller. A dead channel is the zero vector, with a
/// zero gradient. The teacher is a constant: no gradient flows to it. Half precision is widened to
/// single.
///
/// # Weights
///
/// RepDistiller uses a weight of 50 for the sum over the three stages of a CIFAR network, beside
/// the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::NeuronSelectivityLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<4>::from_data([[[[0.0, 1.0]], [[2.0, 0.0]]]], &device);
/// let teacher = Tensor::<4>::from_data([[[[3.0, 0.0]], [[0.0, 4.0]]]], &device); // swapped
///
/// let loss = NeuronSelectivityLossConfig::new().init().forward(student, teacher);
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// Z. Huang and N. Wang, [Like What You Like: Knowledge Distill via Neuron Selectivity
/// Transfer](https://arxiv.org/abs/1707.01219), 2017. The polynomial kernel agrees with `NSTLoss`
/// of RepDistiller. The linear and the Gaussian kernel follow the paper; there is no public code
/// for them.
#[doc(alias = "NST")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct NeuronSelectivityLoss {
    /// Kernel that measures the similarity of two neurons.
    #[module(skip)]
    pub kernel: SelectivityKernel,
}

one_line_display!(NeuronSelectivityLoss: ?kernel);

impl NeuronSelectivityLoss {
    /// Computes the loss of a batch of maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let batch_size = student.dims()[0];
        assert_shape!(teacher, [batch_size, _, _, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match_size(at_least_f32(student), teacher);
        let (student, teacher) = (neurons(student), neurons(teacher));
        let sum = match self.kernel {
            SelectivityKernel::Linear => linear(student, teacher),
            SelectivityKernel::Gaussian { variance } => gaussian(student, teacher, variance),
            SelectivityKernel::Polynomial { offset: 0.0 } => square(student, teacher),
            // (x·y + c)² = (x·y)² + 2c x·y + c², and the discrepancy of a constant is zero.
            SelectivityKernel::Polynomial { offset } => {
                let linear = linear(student.clone(), teacher.clone());
                square(student, teacher).add(linear.mul_scalar(2.0 * offset))
            }
        };
        sum.div_scalar(batch_size as f64)
    }
}

/// Returns the neurons: one unit vector per channel. Shape: `[batch_size, channels, pixels]`.
fn neurons(map: Tensor<4>) -> Tensor<3> {
    l2_normalize(map.flatten(2, 3), 2)
}

/// Returns the discrepancy with the kernel `(x·y)²`, summed over the batch.
fn square(student: Tensor<3>, teacher: Tensor<3>) -> Tensor<1> {
    let [_, channels, pixels] = student.dims();
    let [_, teacher_channels, _] = teacher.dims();
    match pixels <= channels.max(teacher_channels) {
        true => square_by_pixels(student, teacher),
        false => square_by_channels(student, teacher),
    }
}

/// Returns the discrepancy of the square kernel from products of pixels. The sum of the squared
/// products of all pairs of neurons equals that of all pairs of pixels, where the subtraction comes
/// first and avoids cancellation.
fn square_by_pixels(student: Tensor<3>, teacher: Tensor<3>) -> Tensor<1> {
    let pixels = |neurons: Tensor<3>| {
        let [_, channels, _] = neurons.dims();
        let product = neurons.clone().swap_dims(1, 2).matmul(neurons);
        product.div_scalar(channels as f64)
    };
    pixels(student).sub(pixels(teacher)).square().sum()
}

fn square_by_channels(student: Tensor<3>, teacher: Tensor<3>) -> Tensor<1> {
    discrepancy(student, teacher, |x, y| {
        x.matmul(y.swap_dims(1, 2)).square()
    })
}

/// Returns the discrepancy with the kernel `x·y`, summed over the batch: the squared distance
/// between the mean neurons.
fn linear(student: Tensor<3>, teacher: Tensor<3>) -> Tensor<1> {
    student.mean_dim(1).sub(teacher.mean_dim(1)).square().sum()
}

/// Returns the discrepancy with a Gaussian kernel, summed over the batch.
fn gaussian(student: Tensor<3>, teacher: Tensor<3>, variance: Option<f64>) -> Tensor<1> {
    // Below this, distances between unit vectors in single precision are mostly rounding errors.
    const MIN_VARIANCE: f64 = 1e-4;
    let variance = match variance {
        Some(variance) => Tensor::full([1, 1, 1], variance, (&student.device(), student.dtype())),
        None => squared_distances(student.clone().without_autodiff(), teacher.clone())
            .mean_dims(&[1, 2])
            .clamp_min(MIN_VARIANCE),
    };
    discrepancy(student, teacher, |x, y| {
        squared_distances(x, y)
            .div(variance.clone())
            .mul_scalar(-0.5)
            .exp()
    })
}

/// Returns the squared distance of every pair of neurons. The lengths are computed, because that of
/// a dead neuron is zero. Shape: `[batch_size, channels of x, channels of y]`.
fn squared_distances(x: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    let length = |neurons: &Tensor<3>| neurons.clone().square().sum_dim(2);
    let lengths = length(&x).add(length(&y).swap_dims(1, 2));
    lengths.sub(x.matmul(y.swap_dims(1, 2)).mul_scalar(2.0))
}

/// Returns the discrepancy with any kernel, computed from all pairs, summed over the batch.
fn discrepancy(
    student: Tensor<3>,
    teacher: Tensor<3>,
    kernel: impl Fn(Tensor<3>, Tensor<3>) -> Tensor<3>,
) -> Tensor<1> {
    let mean = |x: &Tensor<3>, y: &Tensor<3>| {
        let pairs = x.dims()[1] * y.dims()[1];
        kernel(x.clone(), y.clone()).sum().div_scalar(pairs as f64)
    };
    mean(&teacher, &teacher)
        .add(mean(&student, &student))
        .sub(mean(&student, &teacher).mul_scalar(2.0))
}

impl NamedLoss for NeuronSelectivityLoss {
    fn name(&self) -> &'static str {
        "neuron-selectivity"
    }
}

impl TapLoss for NeuronSelectivityLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "neuron-selectivity",
        abbreviation: "NST",
        about: "matches the activation patterns of channels",
        kind: "feature",
        aliases: &["nst"],
        reference: "Huang and Wang, Like What You Like: Knowledge Distill via Neuron \
            Selectivity Transfer, 2017",
    };
    LossEntry::new(catalog, 50.0, |builder| {
        builder.pairs_of(
            DefaultTaps::Stages,
            NeuronSelectivityLossConfig::new(),
            |config| config.init(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn random(shape: [usize; 4], device: &Device) -> Tensor<3> {
        neurons(Tensor::random(shape, Distribution::Default, device))
    }

    fn gradient(student: &Tensor<3>, loss: impl Fn(Tensor<3>) -> Tensor<1>) -> (f32, Tensor<3>) {
        let student = student.clone().autodiff().require_grad();
        let loss = loss(student.clone());
        let grads = loss.clone().backward();
        (loss.into_scalar(), student.grad(&grads).unwrap())
    }

    /// Computes the discrepancy from every pair of channels, pixel by pixel.
    fn all_pairs(x: &Tensor<3>, y: &Tensor<3>) -> Tensor<1> {
        let (x, y) = (x.clone(), y.clone());
        let product = x.unsqueeze_dim::<4>(2).mul(y.unsqueeze_dim::<4>(1));
        product.sum_dim(3).square().mean()
    }

    #[test]
    fn products_of_pixels_and_of_channels_agree_with_all_pairs() {
        let device = Device::default();
        for [height, width] in [[2, 3], [4, 5]] {
            let student = random([2, 7, height, width], &device);
            let teacher = random([2, 9, height, width], &device);

            let (value, expected) = gradient(&student, |student| {
                let cross = all_pairs(&student, &teacher).mul_scalar(2.0);
                let own = all_pairs(&student, &student).add(all_pairs(&teacher, &teacher));
                own.sub(cross).mul_scalar(2.0) // two samples
            });

            for form in [square_by_pixels, square_by_channels, square] {
                let (other, actual) = gradient(&student, |s| form(s, teacher.clone()));
                assert!((other - value).abs() < 1e-5, "{other} is not {value}");
                let error = actual.sub(expected.clone()).abs().max();
                assert!(error.into_scalar::<f32>() < 1e-5);
            }
        }
    }

    #[test]
    fn the_offset_is_added_in_the_kernel() {
        let device = Device::default();
        let [student, teacher] =
            [3, 5].map(|c| Tensor::<4>::random([2, c, 4, 3], Distribution::Default, &device));
        let offset = 0.7;

        let expected = discrepancy(
            neurons(student.clone()),
            neurons(teacher.clone()),
            |x, y| x.matmul(y.swap_dims(1, 2)).add_scalar(offset).square(),
        );
        let kernel = SelectivityKernel::Polynomial { offset };
        let loss = NeuronSelectivityLossConfig::new()
            .with_kernel(kernel)
            .init();
        let error = loss.forward(student, teacher).sub(expected.div_scalar(2.0));

        assert!(error.into_scalar::<f32>().abs() < 1e-5);
    }

    #[test]
    #[should_panic(expected = "`kernel.Gaussian.variance` should be finite and above 0, but is 0")]
    fn the_variance_must_be_positive() {
        let kernel = SelectivityKernel::Gaussian {
            variance: Some(0.0),
        };
        NeuronSelectivityLossConfig::new()
            .with_kernel(kernel)
            .init();
    }

    #[test]
    #[should_panic(expected = "`kernel.Polynomial.offset` should be finite and not negative")]
    fn the_offset_must_not_be_negative() {
        let kernel = SelectivityKernel::Polynomial { offset: -1.0 };
        NeuronSelectivityLossConfig::new()
            .with_kernel(kernel)
            .init();
    }
}
