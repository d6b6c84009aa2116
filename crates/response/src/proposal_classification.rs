use crate::LabeledLoss;
use crate::entry::labeled;
use crate::target::at_target;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{cross_entropy_rows, tempered_log_softmax};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};

/// Configuration to create a [proposal-classification loss](ProposalClassificationLoss) using the
/// [init function](ProposalClassificationLossConfig::init).
#[derive(Config, Debug)]
pub struct ProposalClassificationLossConfig {
    /// Weight of the cross-entropy with the labels. The cross-entropy with the teacher has a weight
    /// of `1 − hard_weight`. Between 0 and 1. Default: `0.5`.
    #[config(default = 0.5)]
    pub hard_weight: f64,
    /// Index of the background class. Default: `0`.
    #[config(default = 0)]
    pub background: usize,
    /// Factor of the background class in the cross-entropy with the teacher. Not negative. Default:
    /// `1.5`.
    #[config(default = 1.5)]
    pub background_weight: f64,
    /// Factor of every other class in the cross-entropy with the teacher. Not negative. Default:
    /// `1.0`.
    #[config(default = 1.0)]
    pub foreground_weight: f64,
}

impl ProposalClassificationLossConfig {
    /// Creates a [proposal-classification loss](ProposalClassificationLoss).
    ///
    /// # Panics
    ///
    /// Panics if `hard_weight` is not between 0 and 1, or if a weight is negative or not finite.
    pub fn init(&self) -> ProposalClassificationLoss {
        self.assert_valid();
        ProposalClassificationLoss {
            hard_weight: self.hard_weight,
            background: self.background,
            background_weight: self.background_weight,
            foreground_weight: self.foreground_weight,
        }
    }
}

impl Check for ProposalClassificationLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::in_range("hard_weight", self.hard_weight, 0.0..=1.0)?;
        check::weight("background_weight", self.background_weight)?;
        check::weight("foreground_weight", self.foreground_weight)
    }
}

/// Proposal classification: cross-entropy of the classes of a detector's proposals, most of which
/// are background, with the labels and with the teacher.
///
/// For every proposal of class `y`, with `wₖ` the `background_weight` for the background and the
/// `foreground_weight` for the others,
///
/// ```text
/// p = softmax(teacher)
/// q = softmax(student)
/// L = −hard_weight · log q_y − (1 − hard_weight) Σₖ wₖ pₖ log qₖ
/// ```
///
/// The weight of the background penalizes mistaking it for an object. The loss contains the
/// cross-entropy with the labels, so it replaces [that
/// term](burn_distill_core::CrossEntropyObjective). A class that student and teacher both exclude
/// by a logit of −∞ contributes nothing, unless it is the label. The teacher is a constant: no
/// gradient flows to it. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{LabeledLoss, ProposalClassificationLossConfig};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0]], &device); // undecided
/// let teacher = Tensor::<2>::from_data([[1e4, 0.0]], &device); // background
/// let classes = Tensor::from_data([0], &device);
///
/// let criterion = ProposalClassificationLossConfig::new().init();
/// let loss = criterion.forward(student, teacher, classes, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 0.8664).abs() < 1e-4); // (½ + ½ · 1.5) ln 2
/// ```
///
/// # Reference
///
/// G. Chen et al., Learning Efficient Object Detection Models with Knowledge Distillation, NIPS
/// 2017. The authors published no code. This is our interpretation of the paper, and the defaults
/// are its values as we understand them, not checked against an implementation.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ProposalClassificationLoss {
    /// Weight of the cross-entropy with the labels.
    pub hard_weight: f64,
    /// Index of the background class.
    pub background: usize,
    /// Factor of the background class in the cross-entropy with the teacher.
    pub background_weight: f64,
    /// Factor of every other class in the cross-entropy with the teacher.
    pub foreground_weight: f64,
}

one_line_display!(
    ProposalClassificationLoss: hard_weight, background, background_weight, foreground_weight
);

impl NamedLoss for ProposalClassificationLoss {
    fn name(&self) -> &'static str {
        "proposal-classification"
    }
}

impl LabeledLoss for ProposalClassificationLoss {
    fn forward_rows(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> Tensor<1> {
        let [rows, num_classes] = student.dims();
        assert_shape!(teacher, [rows, num_classes]);
        assert_shape!(classes, [rows]);
        let background = self.background;
        assert!(
            background < num_classes,
            "The background is class {background}, but there are {num_classes} classes: set `background` \
             to the index of one of them, counted from 0."
        );

        let p = tempered_log_softmax(teacher.without_autodiff(), 1.0).exp();
        let weighted = p.clone().mul_scalar(self.foreground_weight).slice_assign(
            [0..rows, background..background + 1],
            p.slice([0..rows, background..background + 1])
                .mul_scalar(self.background_weight),
        );
        let log_q = tempered_log_softmax(student, 1.0);
        let of_labels = at_target(log_q.clone(), &classes).squeeze_dim::<1>(1).neg();
        let of_teacher = cross_entropy_rows(weighted, log_q);
        of_labels
            .mul_scalar(self.hard_weight)
            .add(of_teacher.mul_scalar(1.0 - self.hard_weight))
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "proposal-classification",
        abbreviation: "",
        about: "matches class probabilities of detections",
        kind: "response",
        aliases: &[],
        reference: "Chen et al., Learning Efficient Object Detection Models with Knowledge \
            Distillation, NIPS 2017",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let classes = builder.context().classes()?;
        if let Some(class) = builder.get("background").and_then(|class| class.as_i64()) {
            check::ensure(
                (0..classes as i64).contains(&class),
                "background",
                format_args!("the index of a class, from 0 to {}", classes - 1),
                class,
            )?;
        }
        labeled(builder, ProposalClassificationLossConfig::new(), |config| {
            config.init()
        })
    })
    .for_labels()
}

#[cfg(test)]
mod tests {
    use super::*;

    use burn::tensor::Device;

    #[test]
    #[should_panic(
        expected = "The background is class 5, but there are 5 classes: set `background`"
    )]
    fn the_background_must_be_one_of_the_classes() {
        let device = Device::default();
        ProposalClassificationLossConfig::new()
            .with_background(5)
            .init()
            .forward_rows(
                Tensor::zeros([4, 5], &device),
                Tensor::zeros([4, 5], &device),
                Tensor::zeros([4], &device),
            );
    }

    #[test]
    #[should_panic(expected = "`hard_weight` should be from 0 to 1, but is 2")]
    fn hard_weight_must_be_from_0_to_1() {
        ProposalClassificationLossConfig::new()
            .with_hard_weight(2.0)
            .init();
    }

    #[test]
    fn config_survives_json() {
        let config = ProposalClassificationLossConfig::new().with_background(20);

        let json = serde_json::to_string(&config).unwrap();
        let config = ProposalClassificationLossConfig::load_binary(json.as_bytes()).unwrap();

        assert_eq!(config.background, 20);
        assert_eq!(config.background_weight, 1.5);
    }

    #[test]
    fn display() {
        assert_eq!(
            ProposalClassificationLossConfig::new().init().to_string(),
            "ProposalClassificationLoss {hard_weight: 0.5, background: 0, \
             background_weight: 1.5, foreground_weight: 1}"
        );
    }
}
