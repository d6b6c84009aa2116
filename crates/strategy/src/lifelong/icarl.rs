use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Bool, Int, Tensor};
use burn_distill_core::numeric::{at_least_f32, binary_cross_entropy, masked_mean};
use burn_distill_core::{
    Check, ConfigError, Context, CrossEntropyObjective, Knowledge, Objective, Requirements,
    Targets, Terms, WeightSchedule,
};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Configuration to create an [`IcarlObjective`] using the [init
/// function](IcarlObjectiveConfig::init).
#[derive(Config, Debug)]
pub struct IcarlObjectiveConfig {
    /// Losses of the two terms. Default: [`Binary`](IcarlForm::Binary), as in the authors' code.
    #[config(default = "IcarlForm::Binary")]
    pub form: IcarlForm,
    /// Weight of the distillation from the old network. Default: `1.0`.
    #[config(default = "WeightSchedule::Constant(1.0)")]
    pub weight: WeightSchedule,
}

/// Losses of an [`IcarlObjective`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IcarlForm {
    /// Binary cross-entropy of each class, divided by the number of all classes, for the labels and
    /// for the old network, as in the authors' code.
    Binary,
    /// Cross-entropy over all classes for the labels, and binary cross-entropy, summed over the old
    /// classes, for the old network, as in FACIL.
    CrossEntropy,
}

impl IcarlObjectiveConfig {
    /// Creates an objective.
    ///
    /// # Panics
    ///
    /// Panics if the weight is out of its range.
    pub fn init(&self) -> IcarlObjective {
        self.assert_valid();
        IcarlObjective {
            form: self.form,
            weight: self.weight.clone(),
        }
    }
}

impl Check for IcarlObjectiveConfig {
    fn check(&self) -> Result<(), ConfigError> {
        self.weight.check().map_err(|error| error.under("weight"))
    }
}

/// Objective of incremental classifier and representation learning (iCaRL): the labels for the new
/// classes, and the network from before the task for the old ones.
///
/// With the logits `z` of `K` classes, of which the old network with logits `z'` knows the first
/// `K'`, and with one-hot labels `y`,
///
/// ```text
/// Binary         classification = mean over samples of 1/K Σ_{k>K'} BCE(yₖ, σ(zₖ))
///                distillation   = mean over samples of 1/K Σ_{k≤K'} BCE(σ(z'ₖ), σ(zₖ))
/// CrossEntropy   classification = mean over samples of −Σₖ yₖ log softmax(z)ₖ
///                distillation   = mean over samples of Σ_{k≤K'} BCE(σ(z'ₖ), σ(zₖ))
/// loss = classification + weight · distillation
/// ```
///
/// A sample of an old class, an exemplar, has zeros as labels of the new classes; its own label is
/// only used by the cross-entropy. Unlabeled samples have no classification term. The old network is
/// a constant. Without a teacher, for the first task, there is no old class and no distillation.
///
/// The authors' network has the logits of all classes from the beginning, and divides by their
/// number. Give the student the heads of later tasks too for the same loss: their labels are zero.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::{Context, Knowledge, Objective, Targets};
/// use burn_distill_strategy::IcarlObjectiveConfig;
///
/// let device = Device::default();
/// let student = Knowledge::from_logits(Tensor::from_data([[0.0, 0.0, 0.0]], &device));
/// let old = Knowledge::from_logits(Tensor::from_data([[0.0, 0.0]], &device));
/// let targets = Targets::labels(&[Some(2)], &device);
///
/// let objective = IcarlObjectiveConfig::new().init();
/// let loss = objective.forward(&Context::of(&student, &old).with_targets(&targets)).total();
///
/// assert!((loss.into_scalar::<f32>() - 0.6931).abs() < 1e-4); // ln 2
/// ```
///
/// # Reference
///
/// S.-A. Rebuffi, A. Kolesnikov, G. Sperl and C. H. Lampert, [iCaRL: Incremental Classifier and
/// Representation Learning](https://arxiv.org/abs/1611.07725), CVPR 2017. `Binary` is the loss of
/// the authors' code, `CrossEntropy` that of `icarl` in FACIL.
#[doc(alias = "iCaRL")]
#[derive(Module, Debug)]
pub struct IcarlObjective {
    /// Losses of the two terms.
    #[module(skip)]
    pub form: IcarlForm,
    /// Weight of the distillation from the old network.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl IcarlObjective {
    /// Name of the term of the labels.
    pub const CLASSIFICATION: &'static str = "classification";
    /// Name of the term of the old network.
    pub const DISTILLATION: &'static str = "distillation";

    fn classification(
        &self,
        logits: &Tensor<2>,
        targets: &Targets,
        new: Range<usize>,
    ) -> Tensor<1> {
        let [_, classes] = logits.dims();
        match self.form {
            IcarlForm::CrossEntropy => {
                CrossEntropyObjective::cross_entropy(logits.clone(), targets)
            }
            IcarlForm::Binary => {
                let (one_hot, labeled) = one_hot(targets, logits);
                let columns = |all: Tensor<2>| all.narrow(1, new.start, new.len());
                let loss = binary_cross_entropy(columns(one_hot), columns(logits.clone()));
                let rows = over_classes(loss, classes);
                masked_mean(rows, labeled)
            }
        }
    }

    fn distillation(&self, logits: &Tensor<2>, old: &Tensor<2>) -> Tensor<1> {
        let [_, classes] = logits.dims();
        let [_, old_classes] = old.dims();
        let old = sigmoid(at_least_f32(old.clone().without_autodiff()));
        let loss = binary_cross_entropy(old, logits.clone().narrow(1, 0, old_classes));
        let rows = match self.form {
            IcarlForm::Binary => over_classes(loss, classes),
            IcarlForm::CrossEntropy => over_classes(loss, 1),
        };
        masked_mean(rows, None)
    }
}

/// Returns the sum of each row, divided by a number of classes.
fn over_classes(loss: Tensor<2>, classes: usize) -> Tensor<1> {
    // A product, because burn computes the gradient of a quotient by a number in single precision.
    let share = (classes as f64).recip();
    loss.sum_dim(1).squeeze_dim::<1>(1).mul_scalar(share)
}

/// Returns the labels as one row of probabilities for each row of the logits, with the mask of the
/// labeled rows.
fn one_hot(targets: &Targets, logits: &Tensor<2>) -> (Tensor<2>, Option<Tensor<1, Bool>>) {
    let [rows, classes] = logits.dims();
    if let Targets::Probabilities {
        probabilities,
        labeled,
    } = targets
    {
        return (probabilities.clone(), labeled.clone());
    }
    match targets.class_labels() {
        Some((labels, labeled)) => {
            // burn's `one_hot` takes two classes or more, but the first task may have one.
            let classes = Tensor::<1, Int>::arange(0..classes as i64, &labels.device());
            let is_class = labels.unsqueeze_dim::<2>(1).equal(classes.unsqueeze_dim(0));
            (is_class.float(), labeled)
        }
        None => {
            let device = logits.device().without_autodiff();
            let none = Tensor::<1>::zeros([rows], &device).greater_scalar(0.0);
            (Tensor::zeros([rows, classes], &device), Some(none))
        }
    }
}

fn logits_of(knowledge: &Knowledge) -> &Tensor<2> {
    let logits = knowledge.response.classes();
    logits.expect(
        "Classes are learned one after another by a network that responds with class logits.",
    )
}

/// # Panics
///
/// The forward pass panics if a response is not of class logits, or if the student has no class that
/// the old network does not know.
impl Objective<Knowledge, Knowledge> for IcarlObjective {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let (logits, old) = (logits_of(context.student), logits_of(context.teacher));
        let ([_, classes], [_, old_classes]) = (logits.dims(), old.dims());
        assert!(
            old_classes < classes,
            "The old network has {old_classes} classes, and the student {classes}: add a head for the new \
             task to the student."
        );
        let new = old_classes..classes;
        let classification = self.classification(logits, context.targets, new);
        Terms::one(Self::CLASSIFICATION, classification, 1.0).and(Terms::one(
            Self::DISTILLATION,
            self.distillation(logits, old),
            self.weight.at(&context.clock),
        ))
    }
}

/// The objective of the first task.
impl Objective<Knowledge, ()> for IcarlObjective {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_, Knowledge, ()>) -> Terms {
        let logits = logits_of(context.student);
        let [_, classes] = logits.dims();
        let classification = self.classification(logits, context.targets, 0..classes);
        Terms::one(Self::CLASSIFICATION, classification, 1.0)
    }
}
