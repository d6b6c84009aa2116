use crate::BatchLogitLoss;
use crate::entry::batch;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{connected_zero, l2_norm, masked_mean, tempered_log_softmax};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Constant that is added to the product of two norms.
const EPS: f64 = 1e-8;

/// Relative variation up to which a vector counts as constant, because it may be rounding.
const ROUNDING: f64 = 1e-6;

/// Configuration to create a [DIST loss](DistLoss) using the
/// [init function](DistLossConfig::init).
#[derive(Config, Debug)]
pub struct DistLossConfig {
    /// Softmax temperature, which divides the logits of student and teacher. Must be positive and
    /// finite. Default: `4.0`, which the paper uses for CIFAR-100; it uses `1.0` for ImageNet.
    #[config(default = 4.0)]
    pub temperature: f64,
    /// Weight of `inter`, the relations between the classes of each sample. Default: `1.0`.
    #[config(default = 1.0)]
    pub beta: f64,
    /// Weight of `intra`, the relations between the samples of each class. Default: `1.0`.
    #[config(default = 1.0)]
    pub gamma: f64,
    /// Whether to multiply by `temperature²`. Default: `true`, as in the code of the authors; the
    /// paper does not multiply.
    #[config(default = true)]
    pub scale_t2: bool,
}

impl DistLossConfig {
    /// Creates a [DIST loss](DistLoss).
    ///
    /// # Panics
    ///
    /// Panics if `temperature` is not positive and finite, or if `beta` or `gamma` is negative or
    /// not finite.
    pub fn init(&self) -> DistLoss {
        self.assert_valid();
        DistLoss {
            temperature: self.temperature,
            beta: self.beta,
            gamma: self.gamma,
            scale_t2: self.scale_t2,
        }
    }
}

impl Check for DistLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::weight("beta", self.beta)?;
        check::weight("gamma", self.gamma)
    }
}

/// Distillation from a stronger teacher (DIST): correlates the probabilities of student and
/// teacher, over the classes of every sample and over the samples of every class.
///
/// With `T` the `temperature`,
///
/// ```text
/// P = softmax(teacher / T)
/// Q = softmax(student / T)
/// ρ(x, y) = Σ(x − mean(x))(y − mean(y)) / (‖x − mean(x)‖₂ ‖y − mean(y)‖₂ + 1e-8)
/// inter = 1 − mean over rows of ρ(Q row, P row)
/// intra = 1 − mean over columns of ρ(Q column, P column)
/// L = T² (beta inter + gamma intra)          without T² unless scale_t2
/// ```
///
/// Pearson's correlation ignores scale and shift, so a small student need not reach the confidence
/// of its teacher. `inter` and `intra` are between 0 and 2.
///
/// The correlation of a row or column that does not vary beyond rounding is 0, without a gradient.
/// This holds for a single class, for the columns of a single sample, and for a class that student
/// and teacher both exclude by a logit of −∞, which adds `1 / num_classes` to `intra`. Without any
/// row the loss is 0. The teacher is a constant: no gradient flows to it. Half precision is widened
/// to single.
///
/// # Weights
///
/// The paper adds twice the loss to the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{BatchLogitLoss, DistLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.1, 0.0], [0.0, 0.1]], &device); // hesitant
/// let teacher = Tensor::<2>::from_data([[9.0, 0.0], [0.0, 9.0]], &device); // certain of the same
///
/// let loss = DistLossConfig::new().init().forward(student, teacher);
///
/// assert!(loss.into_scalar::<f32>() < 1e-2);
/// ```
///
/// # Reference
///
/// T. Huang, S. You, F. Wang, C. Qian and C. Xu, [Knowledge Distillation from A Stronger
/// Teacher](https://arxiv.org/abs/2205.10536), NeurIPS 2022. Agrees with `DIST` of the authors'
/// image_classification_sota; the paper does not write the factor `T²`, which `scale_t2 = false`
/// leaves out. Torchdistill's `DISTLoss` bounds the product of norms from below instead of adding
/// to it.
#[doc(alias = "DIST")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct DistLoss {
    /// Softmax temperature, which divides the logits of student and teacher.
    pub temperature: f64,
    /// Weight of `inter`, the relations between the classes of each sample.
    pub beta: f64,
    /// Weight of `intra`, the relations between the samples of each class.
    pub gamma: f64,
    /// Whether the loss is multiplied by `temperature²`.
    pub scale_t2: bool,
}

one_line_display!(DistLoss: temperature, beta, gamma, scale_t2);

/// The two parts of a [DIST loss](DistLoss), not yet multiplied by `beta`, `gamma` and the square
/// of the temperature.
#[derive(Clone, Debug)]
pub struct DistParts {
    /// Relations between the classes of each sample, `inter`. Shape: `[1]`.
    pub inter: Tensor<1>,
    /// Relations between the samples of each class, `intra`. Shape: `[1]`.
    pub intra: Tensor<1>,
}

impl DistLoss {
    /// Computes the two parts of a batch.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_parts(&self, student: Tensor<2>, teacher: Tensor<2>) -> DistParts {
        self.parts(student, teacher, None)
    }

    fn parts(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        mask: Option<Tensor<1, Bool>>,
    ) -> DistParts {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes]);
        if batch_size == 0 {
            let zero = connected_zero(student);
            return DistParts {
                inter: zero.clone(),
                intra: zero,
            };
        }
        let p = tempered_log_softmax(teacher.without_autodiff(), self.temperature).exp();
        let q = tempered_log_softmax(student, self.temperature).exp();

        let columns = mask.clone().map(|mask| {
            let mask: Tensor<2, Bool> = mask.unsqueeze_dim(1);
            mask.expand([batch_size, num_classes])
        });
        let inter = correlation(
            centered(q.clone(), 1, None),
            centered(p.clone(), 1, None),
            1,
        );
        let inter = masked_mean(distance(inter).squeeze_dim(1), mask.clone());
        let intra = correlation(centered(q, 0, columns.clone()), centered(p, 0, columns), 0);
        let intra = masked_mean(distance(intra), None);
        let intra = match mask {
            // Without a row, no columns differ.
            Some(mask) => {
                let any = mask.float().cast(intra.dtype()).sum().clamp_max(1.0);
                intra.mul(any)
            }
            None => intra,
        };
        DistParts { inter, intra }
    }
}

impl NamedLoss for DistLoss {
    fn name(&self) -> &'static str {
        "dist"
    }
}

impl BatchLogitLoss for DistLoss {
    fn forward_masked(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        mask: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        let DistParts { inter, intra } = self.parts(student, teacher, mask);
        let scale = match self.scale_t2 {
            true => self.temperature.powi(2),
            false => 1.0,
        };
        inter
            .mul_scalar(self.beta)
            .add(intra.mul_scalar(self.gamma))
            .mul_scalar(scale)
    }
}

fn distance(correlation: Tensor<2>) -> Tensor<2> {
    correlation.neg().add_scalar(1.0)
}

/// Returns the values minus their mean along an axis; zero where the mask is false, and where the
/// values do not vary.
fn centered(values: Tensor<2>, dim: usize, mask: Option<Tensor<2, Bool>>) -> Tensor<2> {
    let shape = values.shape();
    let (values, centered) = match mask {
        None => {
            let mean = values.clone().mean_dim(dim);
            (values.clone(), values.sub(mean))
        }
        Some(mask) => {
            let padding = mask.clone().bool_not();
            let values = values.mask_fill(padding.clone(), 0.0);
            let count = mask.float().cast(values.dtype()).sum_dim(dim);
            let mean = values.clone().sum_dim(dim).div(count.clamp_min(1.0));
            (values.clone(), values.sub(mean).mask_fill(padding, 0.0))
        }
    };
    // Equal values and their mean differ by a rounding error, which normalizing would magnify.
    let size = |values: Tensor<2>| values.without_autodiff().square().sum_dim(dim);
    let rounding = size(values).mul_scalar(ROUNDING.powi(2));
    let constant = size(centered.clone()).lower_equal(rounding);
    centered.mask_fill(constant.expand(shape), 0.0)
}

/// Returns Pearson's correlation along an axis, of values whose mean is zero.
fn correlation(a: Tensor<2>, b: Tensor<2>, dim: usize) -> Tensor<2> {
    let norms = l2_norm(a.clone(), dim).mul(l2_norm(b.clone(), dim));
    a.mul(b).sum_dim(dim).div(norms.add_scalar(EPS))
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "dist",
        abbreviation: "DIST",
        about: "matches correlations of classes and of samples",
        kind: "response",
        aliases: &["correlation"],
        reference: "Huang et al., Knowledge Distillation from A Stronger Teacher, NeurIPS \
            2022",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        batch(builder, DistLossConfig::new(), |config| config.init())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, num_classes]): axis 0 expected 4"
    )]
    fn batch_sizes_must_match() {
        let device = Device::default();
        let criterion = DistLossConfig::new().init();
        criterion.forward(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([3, 5], &device),
        );
    }

    #[test]
    #[should_panic(expected = "`gamma` should be from 0 to 1e9")]
    fn weights_must_not_be_negative() {
        DistLossConfig::new().with_gamma(-1.0).init();
    }

    #[test]
    fn config_survives_json() {
        let json = serde_json::to_string(&DistLossConfig::new().with_beta(2.0)).unwrap();
        assert_eq!(
            json,
            r#"{"temperature":4.0,"beta":2.0,"gamma":1.0,"scale_t2":true}"#
        );

        let config = DistLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!((config.beta, config.gamma), (2.0, 1.0));
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", DistLossConfig::new().init()),
            "DistLoss {temperature: 4, beta: 1, gamma: 1, scale_t2: true}"
        );
    }
}
