use crate::LogitLoss;
use crate::entry::logits;
use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::tempered_log_softmax;
use burn_distill_core::{CatalogEntry, Check, Input, LossEntry};
use burn_distill_core::{NamedLoss, one_line_display, reduce_rows};

/// Configuration to create a [probability-matching loss](ProbabilityMatchingLoss) using the
/// [init function](ProbabilityMatchingLossConfig::init).
#[derive(Config, Debug)]
pub struct ProbabilityMatchingLossConfig {}

impl ProbabilityMatchingLossConfig {
    /// Creates a [probability-matching loss](ProbabilityMatchingLoss).
    pub fn init(&self) -> ProbabilityMatchingLoss {
        ProbabilityMatchingLoss {}
    }
}

impl Check for ProbabilityMatchingLossConfig {}

/// Probability matching (softmax MSE): the squared error between the class probabilities of student
/// and teacher.
///
/// For every row of `K` classes,
///
/// ```text
/// d = softmax(student) − softmax(teacher)
/// L = (1/K) Σₖ dₖ²
/// ```
///
/// It is bounded by `2/K`, however confident the teacher is. Mean teacher uses it as its
/// consistency cost, because its student and teacher both begin undecided. A class that the teacher
/// excludes by a logit of −∞ does not count in `K`. The teacher is a constant: no gradient flows to
/// it. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_response::ProbabilityMatchingLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[0.0, 0.0]], &device); // undecided
/// let teacher = Tensor::<2>::from_data([[100.0, 0.0]], &device); // certain
///
/// let loss = ProbabilityMatchingLossConfig::new().init();
/// let loss = loss.forward(student, teacher, Reduction::Mean);
/// assert_eq!(loss.into_scalar::<f32>(), 0.25); // (½² + ½²) / 2
/// ```
///
/// # Reference
///
/// A. Tarvainen and H. Valpola, [Mean teachers are better role
/// models](https://arxiv.org/abs/1703.01780), NIPS 2017. Agrees with `softmax_mse_loss` of the
/// authors' mean-teacher, divided by the number of samples, as in that code.
#[doc(alias = "softmax-mse")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ProbabilityMatchingLoss {}

one_line_display!(ProbabilityMatchingLoss:);

impl ProbabilityMatchingLoss {
    /// Computes the loss of every row and reduces the losses to a single value.
    ///
    /// `Reduction::Auto` and `Reduction::BatchMean` behave as `Reduction::Mean`, the mean over
    /// rows.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        reduction: Reduction,
    ) -> Tensor<1> {
        let loss = self.forward_no_reduction(student, teacher);
        reduce_rows(loss, None, &reduction)
    }

    /// Computes the loss of every row, without reducing.
    ///
    /// # Shapes
    ///
    /// - student, teacher: logits `[batch_size, num_classes]`
    /// - output: `[batch_size]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward_no_reduction(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, num_classes] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes]);

        let teacher = teacher.without_autodiff();
        let excluded = teacher.clone().equal_scalar(f64::NEG_INFINITY);
        let probabilities = |logits| tempered_log_softmax(logits, 1.0).exp();
        let difference = probabilities(student).sub(probabilities(teacher));
        let classes = excluded.bool_not().float().cast(difference.dtype());
        let classes = classes.sum_dim(1).clamp_min(1.0); // Avoids 0 / 0 in a row without a class
        difference.square().sum_dim(1).div(classes).squeeze_dim(1)
    }
}

impl NamedLoss for ProbabilityMatchingLoss {
    fn name(&self) -> &'static str {
        "probability-matching"
    }
}

impl LogitLoss for ProbabilityMatchingLoss {
    fn forward_rows(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        self.forward_no_reduction(student, teacher)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "probability-matching",
        abbreviation: "",
        about: "matches the probabilities by squared error",
        kind: "response",
        aliases: &["softmax-mse"],
        reference: "Tarvainen and Valpola, Mean teachers are better role models, NIPS 2017",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        logits(builder, ProbabilityMatchingLossConfig::new(), |config| {
            config.init()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    #[should_panic(
        expected = "assert_shape!(teacher, [batch_size, num_classes]): axis 1 expected 5"
    )]
    fn numbers_of_classes_must_match() {
        let device = Device::default();
        let loss = ProbabilityMatchingLossConfig::new().init();
        loss.forward_no_reduction(
            Tensor::zeros([4, 5], &device),
            Tensor::zeros([4, 1], &device),
        );
    }

    #[test]
    fn display() {
        let loss = ProbabilityMatchingLossConfig::new().init();
        assert_eq!(loss.to_string(), "ProbabilityMatchingLoss");
    }
}
