use crate::TeacherFreeLoss;
use crate::entry::teacher_free;
use crate::target::is_target;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Int, Tensor, assert_shape};
use burn_distill_core::numeric::{cross_entropy_rows, tempered_log_softmax};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Input, LossEntry, NamedLoss, check, one_line_display,
};
use serde::{Deserialize, Serialize};

/// Configuration to create a [label-smoothing loss](LabelSmoothingLoss) using the
/// [init function](LabelSmoothingLossConfig::init).
#[derive(Config, Debug)]
pub struct LabelSmoothingLossConfig {
    /// Probability that is taken from the label. Between 0 and 1. Default: `0.1`.
    #[config(default = 0.1)]
    pub smoothing: f64,
    /// Classes that receive the probability taken from the label. Default: all classes.
    #[config(default = "LabelSmoothingVariant::All")]
    pub variant: LabelSmoothingVariant,
}

impl LabelSmoothingLossConfig {
    /// Creates a [label-smoothing loss](LabelSmoothingLoss).
    ///
    /// # Panics
    ///
    /// Panics if `smoothing` is not between 0 and 1.
    pub fn init(&self) -> LabelSmoothingLoss {
        self.assert_valid();
        LabelSmoothingLoss {
            smoothing: self.smoothing,
            variant: self.variant,
        }
    }
}

impl Check for LabelSmoothingLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::in_range("smoothing", self.smoothing, 0.0..=1.0)
    }
}

/// Classes that receive the probability that a [label-smoothing loss](LabelSmoothingLoss) takes
/// from the label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelSmoothingVariant {
    /// All classes equally, including the label: `smoothing / K` each, as in the paper and PyTorch.
    #[default]
    All,
    /// All other classes equally: `smoothing / (K − 1)` each, as in Teacher-free-KD.
    Others,
}

/// Label smoothing (LSR): cross-entropy with smoothed labels, which give some probability to the
/// other classes.
///
/// For every row of class `y` out of `K`, with `a` the `smoothing`,
///
/// ```text
/// p_y = 1 − a + a / K,    pₖ = a / K              All
/// p_y = 1 − a,            pₖ = a / (K − 1)        Others
/// L = −Σₖ pₖ log softmax(student)ₖ
/// ```
///
/// It is distillation from a uniform teacher: with `All` and `u` uniform, `L = (1 − a) CE + a (KL(u
/// ‖ softmax(student)) + ln K)`. It already contains the cross-entropy with the label, so it
/// replaces [that term](burn_distill_core::CrossEntropyObjective) and is not added to it. Where the
/// student excludes a class by a logit of −∞ the loss is infinite, unless `smoothing` is zero. Half
/// precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::{LabelSmoothingLossConfig, TeacherFreeLoss};
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[100.0, 0.0]], &device); // too confident
/// let classes = Tensor::from_data([0], &device);
///
/// let loss = LabelSmoothingLossConfig::new().init().forward(student, classes, Reduction::Mean);
///
/// assert!((loss.into_scalar::<f32>() - 5.0).abs() < 1e-4); // 0.1 / 2 · 100
/// ```
///
/// # References
///
/// C. Szegedy et al., [Rethinking the Inception Architecture for Computer
/// Vision](https://arxiv.org/abs/1512.00567), CVPR 2016, whose `smoothing` is the default; L. Yuan
/// et al., [Revisiting Knowledge Distillation via Label Smoothing
/// Regularization](https://arxiv.org/abs/1909.11723), CVPR 2020. `All` agrees with `cross_entropy`
/// of PyTorch, `Others` with `loss_label_smoothing` of Teacher-free-KD.
#[doc(alias = "LSR")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LabelSmoothingLoss {
    /// Probability that is taken from the label.
    pub smoothing: f64,
    /// Classes that receive the probability taken from the label.
    #[module(skip)]
    pub variant: LabelSmoothingVariant,
}

one_line_display!(LabelSmoothingLoss: smoothing, ?variant);

impl NamedLoss for LabelSmoothingLoss {
    fn name(&self) -> &'static str {
        "label-smoothing"
    }
}

impl TeacherFreeLoss for LabelSmoothingLoss {
    fn forward_rows(&self, student: Tensor<2>, classes: Tensor<1, Int>) -> Tensor<1> {
        let [rows, num_classes] = student.dims();
        assert_shape!(classes, [rows]);

        let a = self.smoothing;
        let (label, other) = match self.variant {
            LabelSmoothingVariant::All => {
                let share = a / num_classes as f64;
                (1.0 - a + share, share)
            }
            // With one class, no other class can receive it.
            LabelSmoothingVariant::Others => {
                (1.0 - a, a / num_classes.saturating_sub(1).max(1) as f64)
            }
        };
        let log_q = tempered_log_softmax(student, 1.0);
        let p = log_q
            .full_like(other)
            .mask_fill(is_target(&classes, num_classes), label)
            .without_autodiff();
        cross_entropy_rows(p, log_q)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "label-smoothing",
        abbreviation: "LSR",
        about: "cross-entropy with smoothed labels",
        kind: "targets",
        aliases: &["lsr"],
        reference: "Szegedy et al., Rethinking the Inception Architecture for Computer \
            Vision, CVPR 2016",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        teacher_free(builder, LabelSmoothingLossConfig::new(), |config| {
            config.init()
        })
    })
    .for_labels()
}

#[cfg(test)]
mod tests {
    use super::*;

    use burn::tensor::Device;

    fn criterion(smoothing: f64, variant: LabelSmoothingVariant) -> LabelSmoothingLoss {
        LabelSmoothingLossConfig::new()
            .with_smoothing(smoothing)
            .with_variant(variant)
            .init()
    }

    #[test]
    #[should_panic(expected = "assert_shape!(classes, [rows]): axis 0 expected 4, got 1")]
    fn numbers_of_labels_must_match() {
        let device = Device::default();
        let criterion = criterion(0.1, LabelSmoothingVariant::All);
        criterion.forward_rows(
            Tensor::zeros([4, 5], &device),
            Tensor::from_data([0], &device),
        );
    }

    #[test]
    #[should_panic(expected = "`smoothing` should be from 0 to 1, but is 1.5")]
    fn smoothing_must_be_a_probability() {
        criterion(1.5, LabelSmoothingVariant::All);
    }

    #[test]
    fn config_survives_json() {
        let config = LabelSmoothingLossConfig::new().with_variant(LabelSmoothingVariant::Others);

        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, r#"{"smoothing":0.1,"variant":"others"}"#);

        let config = LabelSmoothingLossConfig::load_binary(json.as_bytes()).unwrap();
        assert_eq!(config.variant, LabelSmoothingVariant::Others);
    }

    #[test]
    fn display() {
        assert_eq!(
            format!("{}", criterion(0.1, LabelSmoothingVariant::All)),
            "LabelSmoothingLoss {smoothing: 0.1, variant: All}"
        );
    }
}
