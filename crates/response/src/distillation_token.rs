use crate::labeled::rows_of_samples;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, CrossEntropyObjective, Input, LossContext,
    LossEntry, LossError, LossTerm, NamedLoss, Network, Requirements, Tap, TapSelection, Targets,
    check, one_line_display,
};

/// Configuration to create a [distillation-token loss](DistillationTokenLoss) using the
/// [init function](DistillationTokenLossConfig::init).
#[derive(Config, Debug)]
pub struct DistillationTokenLossConfig {
    /// Share of the teacher in the loss, from 0 to 1; the labels have the rest. Default: `0.5`.
    #[config(default = 0.5)]
    pub teacher_share: f64,
    /// Name of the tap with the logits of the head that learns the labels. Default:
    /// `class-logits`.
    #[config(default = "String::from(\"class-logits\")")]
    pub class_tap: String,
    /// Name of the tap with the logits of the head that learns from the teacher. Default:
    /// `distillation-logits`.
    #[config(default = "String::from(\"distillation-logits\")")]
    pub distillation_tap: String,
}

impl DistillationTokenLossConfig {
    /// Creates a [distillation-token loss](DistillationTokenLoss).
    ///
    /// # Panics
    ///
    /// Panics if `teacher_share` is not between 0 and 1.
    pub fn init(&self) -> DistillationTokenLoss {
        self.assert_valid();
        DistillationTokenLoss {
            teacher_share: self.teacher_share,
            class_tap: self.class_tap.clone(),
            distillation_tap: self.distillation_tap.clone(),
        }
    }
}

impl Check for DistillationTokenLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::in_range("teacher_share", self.teacher_share, 0.0..=1.0)
    }
}

/// Hard distillation through a distillation token (DeiT): one head of the student learns the labels,
/// a second one the classes that the teacher predicts.
///
/// With `a` the `teacher_share`, `y` the labels and `CE` the mean cross-entropy,
///
/// ```text
/// L = (1 − a) CE(class, y) + a CE(distillation, argmaxₖ teacherₖ)
/// ```
///
/// All samples count in the second part, labeled or not. The loss already contains the cross-entropy
/// with the labels, so it replaces [that term](CrossEntropyObjective) and is not added to it. For
/// predictions, the logits of both heads are averaged. The teacher is a constant: no gradient flows
/// to it. Half precision is widened to single.
///
/// # Panics
///
/// `value` panics if the student does not offer the two taps.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::{NamedLoss, Targets};
/// use burn_distill_response::DistillationTokenLossConfig;
///
/// let device = Device::default();
/// let class = Tensor::<2>::from_data([[3.0, 0.0]], &device);
/// let distillation = Tensor::<2>::from_data([[0.0, 3.0]], &device);
/// let teacher = Tensor::<2>::from_data([[1.0, 2.0]], &device); // disagrees with the label
/// let targets = Targets::classes(Tensor::from_data([0], &device));
///
/// let criterion = DistillationTokenLossConfig::new().init();
/// let loss = criterion.forward(class, distillation, teacher, &targets);
///
/// assert!((loss.into_scalar::<f32>() - 0.048587).abs() < 1e-5); // ln(1 + e⁻³) of both heads
/// ```
///
/// # Reference
///
/// H. Touvron, M. Cord, M. Douze, F. Massa, A. Sablayrolles and H. Jégou, [Training data-efficient
/// image transformers & distillation through attention](https://arxiv.org/abs/2012.12877), ICML
/// 2021. The formula is that of `DistillationLoss` of deit with `distillation_type` `hard`, whose
/// `alpha` is the share.
#[doc(alias = "DeiT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct DistillationTokenLoss {
    /// Share of the teacher in the loss; the labels have the rest.
    pub teacher_share: f64,
    /// Name of the tap with the logits of the head that learns the labels.
    pub class_tap: String,
    /// Name of the tap with the logits of the head that learns from the teacher.
    pub distillation_tap: String,
}

one_line_display!(DistillationTokenLoss: teacher_share, class_tap, distillation_tap);

impl DistillationTokenLoss {
    /// Computes the loss from the logits of both heads and of the teacher.
    ///
    /// # Shapes
    ///
    /// - class, distillation, teacher: logits `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(
        &self,
        class: Tensor<2>,
        distillation: Tensor<2>,
        teacher: Tensor<2>,
        targets: &Targets,
    ) -> Tensor<1> {
        let [batch_size, num_classes] = class.dims();
        assert_shape!(distillation, [batch_size, num_classes]);
        assert_shape!(teacher, [batch_size, num_classes]);

        let [class, distillation] = [class, distillation].map(at_least_f32);
        let predicted = teacher.without_autodiff().argmax(1).squeeze_dim(1);
        let labels = CrossEntropyObjective::cross_entropy(class, targets);
        let predictions =
            CrossEntropyObjective::cross_entropy(distillation, &Targets::classes(predicted));
        labels
            .mul_scalar(1.0 - self.teacher_share)
            .add(predictions.mul_scalar(self.teacher_share))
    }
}

impl NamedLoss for DistillationTokenLoss {
    fn name(&self) -> &'static str {
        "distillation-token"
    }
}

impl LossTerm for DistillationTokenLoss {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named([&self.class_tap, &self.distillation_tap]),
            ..Requirements::responses()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let head = |tap: &str| context.student.taps.expect(tap).into_vectors();
        let teacher = rows_of_samples(&context.teacher.response);
        self.forward(
            head(&self.class_tap),
            head(&self.distillation_tap),
            teacher,
            context.targets,
        )
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "distillation-token",
        abbreviation: "DeiT",
        about: "learns labels and predictions in two heads",
        kind: "response",
        aliases: &["deit", "hard-distillation"],
        reference: "Touvron et al., Training Data-Efficient Image Transformers & Distillation \
            through Attention, ICML 2021",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let loss = builder
            .configure(DistillationTokenLossConfig::new())?
            .init();
        for name in [&loss.class_tap, &loss.distillation_tap] {
            check_logits(builder.context(), name)?;
        }
        builder.term(loss)
    })
    .for_labels()
}

/// Checks that a tap of the student has one value per class.
fn check_logits<I: Input>(context: &LossContext<I>, name: &str) -> Result<(), LossError> {
    let tap = context.student_taps.get(name)?;
    let shape = tap.shape();
    let shape = &shape.as_slice()[1..];
    let classifier = context.teacher.classifier();
    let classes = classifier.map_or(shape[0], |classifier| classifier.weight.dims()[1]);
    match tap {
        Tap::Vector(_) if shape[0] == classes => Ok(()),
        _ => Err(LossError::new(format_args!(
            "the tap `{name}` of the student should be logits of {classes} classes, a vector for each \
             sample, but is a {} of shape {shape:?}",
            tap.kind()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    #[should_panic(expected = "assert_shape!(teacher, [batch_size, num_classes]): axis 0")]
    fn numbers_of_rows_must_match() {
        let device = Device::default();
        let logits = |rows| Tensor::zeros([rows, 5], &device);
        let criterion = DistillationTokenLossConfig::new().init();
        criterion.forward(logits(4), logits(4), logits(3), &Targets::Unlabeled);
    }

    #[test]
    #[should_panic(expected = "`teacher_share` should be from 0 to 1, but is -0.5")]
    fn the_share_must_be_a_fraction() {
        DistillationTokenLossConfig::new()
            .with_teacher_share(-0.5)
            .init();
    }

    #[test]
    fn display() {
        assert_eq!(
            DistillationTokenLossConfig::new().init().to_string(),
            "DistillationTokenLoss {teacher_share: 0.5, class_tap: class-logits, \
             distillation_tap: distillation-logits}"
        );
    }
}
