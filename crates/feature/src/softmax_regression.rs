use crate::entry::{Adapted, adapted_by};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
use burn_distill_core::numeric::{at_least_f32, connected_zero};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Frozen, Input, LossEntry, LossError, NamedLoss,
    Network, Tap, TapLoss, check, one_line_display,
};

/// Configuration to create a [softmax-regression loss](SoftmaxRegressionLoss) using the [init
/// function](SoftmaxRegressionLossConfig::init).
#[derive(Config, Debug)]
pub struct SoftmaxRegressionLossConfig {
    /// Weight of the part that compares the features. Not negative. Default: `1.0`.
    #[config(default = 1.0)]
    pub alpha: f64,
    /// Weight of the part that compares the logits of the teacher's classifier. Not negative.
    /// Default: `1.0`.
    #[config(default = 1.0)]
    pub beta: f64,
}

impl SoftmaxRegressionLossConfig {
    /// Creates a [softmax-regression loss](SoftmaxRegressionLoss) for the classifier of a teacher.
    ///
    /// # Errors
    ///
    /// Returns an error if the teacher has no classifier.
    ///
    /// # Panics
    ///
    /// Panics if `alpha` or `beta` is negative or not finite.
    pub fn init<T: Network>(&self, teacher: &T) -> Result<SoftmaxRegressionLoss, LossError> {
        let Some(classifier) = teacher.classifier() else {
            return Err(LossError::new(
                "The teacher has no classifier to reuse: implement `Network::classifier`, or use another \
                 teacher.",
            ));
        };
        Ok(self.init_with_weight(classifier.weight.val()))
    }

    /// Creates a [softmax-regression loss](SoftmaxRegressionLoss) from the weight of the teacher's
    /// classifier. Its bias does not matter. Shape: `[channels, num_classes]`.
    ///
    /// # Panics
    ///
    /// Panics if `alpha` or `beta` is negative or not finite.
    pub fn init_with_weight(&self, weight: Tensor<2>) -> SoftmaxRegressionLoss {
        self.assert_valid();
        SoftmaxRegressionLoss {
            classifier: Frozen::new(ClassifierWeight {
                weight: Param::from_tensor(weight.without_autodiff()),
            }),
            alpha: self.alpha,
            beta: self.beta,
        }
    }
}

impl Check for SoftmaxRegressionLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::weight("alpha", self.alpha)?;
        check::weight("beta", self.beta)
    }
}

/// Softmax regression (SRRL): the pooled features of the student should equal those of the teacher,
/// and the teacher's classifier should predict the same from both.
///
/// With `W` the weight of the teacher's classifier and the means over the pixels of each map,
///
/// ```text
/// d = mean(student) − mean(teacher)
/// L = alpha · mean over samples and channels of d² + beta · mean over samples and classes of (d W)²
/// ```
///
/// The second part is the squared error between the logits of the teacher and those that its
/// classifier computes from the student's features, whose bias cancels. The adapter of the student's
/// map is a 1×1 convolution with batch normalization and a ReLU, which trains with the student. The
/// classifier and the teacher's features are constants. Half precision is widened to single.
///
/// In contrast to [SimKD](crate::SimKdLoss), the student keeps its classifier, and neither the
/// adapter nor the classifier of the teacher is deployed.
///
/// # Weights
///
/// Added to the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective), both with
/// a weight of 1, as in the authors' code for ImageNet.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::SoftmaxRegressionLossConfig;
///
/// let device = Device::default();
/// let weight = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 2.0]], &device);
/// let loss = SoftmaxRegressionLossConfig::new().init_with_weight(weight);
///
/// let student = Tensor::<4>::from_data([[[[1.0, 3.0]], [[0.0, 0.0]]]], &device);
/// let teacher = Tensor::<4>::from_data([[[[1.0, 1.0]], [[1.0, 1.0]]]], &device);
///
/// // d = (1, −1), and d W = (1, −2): (1 + 1) / 2 + (1 + 4) / 2.
/// assert_eq!(loss.forward(student, teacher).into_scalar::<f32>(), 3.5);
/// ```
///
/// # Reference
///
/// J. Yang, B. Martinez, A. Bulat and G. Tzimiropoulos, [Knowledge distillation via softmax
/// regression representation learning](https://openreview.net/forum?id=ZzwDy_wiWv), ICLR 2021.
/// Agrees with the losses of the authors' `KD_SRRL` for ImageNet.
#[doc(alias = "SRRL")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SoftmaxRegressionLoss {
    /// Weight of the classifier of the teacher, a constant.
    classifier: Frozen<ClassifierWeight>,
    /// Weight of the part that compares the features.
    pub alpha: f64,
    /// Weight of the part that compares the logits of the teacher's classifier.
    pub beta: f64,
}

/// Weight of a classifier. Shape: `[channels, num_classes]`.
#[derive(Module, Debug)]
struct ClassifierWeight {
    weight: Param<Tensor<2>>,
}

one_line_display!(SoftmaxRegressionLoss: alpha, beta);

impl SoftmaxRegressionLoss {
    /// Computes the loss of a batch of maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`, after the adapter
    /// - teacher: `[batch_size, channels, teacher_height, teacher_width]`, the map whose mean is the
    ///   input of its classifier
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ, or if the channels are not those of the classifier.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let weight = self.classifier.inner().weight.val();
        let [channels, _] = weight.dims();
        let [batch_size, ..] = student.dims();
        assert_shape!(student, [_, channels, _, _]);
        assert_shape!(teacher, [batch_size, channels, _, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let student = pooled(at_least_f32(student));
        let teacher = pooled(at_least_f32(teacher.without_autodiff()));
        let difference = student.sub(teacher);
        let weight = weight.to_device(&difference.device().without_autodiff());
        let logits = difference.clone().matmul(weight.cast(difference.dtype()));
        let features = difference.square().mean().mul_scalar(self.alpha);
        features.add(logits.square().mean().mul_scalar(self.beta))
    }
}

/// Returns the mean of each channel. From `[batch_size, channels, height, width]` to `[batch_size,
/// channels]`.
fn pooled(map: Tensor<4>) -> Tensor<2> {
    map.mean_dims(&[2, 3]).flatten(1, 3)
}

impl NamedLoss for SoftmaxRegressionLoss {
    fn name(&self) -> &'static str {
        "softmax-regression"
    }
}

impl TapLoss for SoftmaxRegressionLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "softmax-regression",
        abbreviation: "SRRL",
        about: "matches pooled features, also by the teacher's classifier",
        kind: "feature",
        aliases: &["srrl"],
        reference: "Yang et al., Knowledge distillation via softmax regression representation \
            learning, ICLR 2021",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let defaults = Adapted {
            taps: DefaultTaps::LastStage,
            check: |_, _| Ok(()),
            adapter: |_, _| FeatureAdapterConfig::new(AdapterKind::Connector).with_activation(true),
            weights: |pairs| vec![1.0; pairs],
            config: SoftmaxRegressionLossConfig::new(),
        };
        let context = builder.context();
        adapted_by(builder, defaults, |config, tap| {
            let loss = config.init(&context.teacher)?;
            let [inputs, _] = loss.classifier.inner().weight.dims();
            let features = context.teacher_taps.get(tap)?.channels()?;
            match inputs == features {
                true => Ok(loss),
                false => Err(LossError::new(format_args!(
                    "the teacher's classifier takes {inputs} features, but its tap `{tap}` has \
                     {features}: name the tap whose mean is the input of the classifier as `teacher`"
                ))),
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use burn_distill_core::parameter_count;
    use burn_distill_core::testing::LinearClassifier;

    #[test]
    fn the_classifier_is_neither_trained_nor_saved() {
        let device = Device::default().autodiff();
        let teacher = LinearClassifier::new(3, 4, &device);
        let loss = SoftmaxRegressionLossConfig::new().init(&teacher).unwrap();

        assert_eq!(parameter_count(&loss), 0);
        assert!(loss.clone().into_record().is_empty());
        let student = Tensor::<4>::ones([2, 3, 1, 1], &device).require_grad();
        let grads = loss
            .forward(student.clone(), Tensor::zeros([2, 3, 2, 2], &device))
            .backward();
        assert!(student.grad(&grads).is_some());
        assert!(teacher.linear.weight.val().grad(&grads).is_none());
    }

    #[test]
    #[should_panic(expected = "`beta` should be from 0 to 1e9")]
    fn beta_must_not_be_negative() {
        let weight = Tensor::zeros([2, 2], &Device::default());
        SoftmaxRegressionLossConfig::new()
            .with_beta(-1.0)
            .init_with_weight(weight);
    }
}
