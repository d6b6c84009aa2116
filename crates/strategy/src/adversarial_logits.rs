use crate::mutual::peers::lock;
use crate::{Distillation, DistillationOutput, OfflineDistiller, RecordedAdam, learner_model};
use burn::config::Config;
use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Bool, Device, Tensor};
use burn::train::TrainOutput;
use burn_distill_architecture::{LogitDiscriminator, LogitDiscriminatorConfig};
use burn_distill_core::numeric::masked_mean;
use burn_distill_core::{
    Batch, Check, ConfigError, Context, CrossEntropyObjective, Knowledge, Network, Objective,
    PairedRows, Targets, Teacher, TeacherOutput, Terms, WeightSchedule, check, initialize,
};
use std::sync::{Arc, Mutex};

/// Configuration to create an [`AdversarialLogitDistiller`] using the [init
/// function](AdversarialLogitDistillerConfig::init).
#[derive(Config, Debug)]
pub struct AdversarialLogitDistillerConfig {
    /// Number of units of both hidden layers of the discriminator. Default: `64`.
    #[config(default = 64)]
    pub d_hidden: usize,
    /// Learning rate of the discriminator. Must be positive and at most 1000. Default: `1e-3`.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// L2 penalty of the discriminator, added to its gradients. From 0 to 1000. Default: `0.0`.
    #[config(default = 0.0)]
    pub weight_decay: f64,
    /// Weight of the adversarial term of the student. Not negative. Default: `1.0`.
    #[config(default = 1.0)]
    pub weight: f64,
    /// Weight of the class labels in the loss of the discriminator. Not negative. Default: `1.0`.
    #[config(default = 1.0)]
    pub auxiliary: f64,
}

impl AdversarialLogitDistillerConfig {
    /// Creates a distiller from a student, its teacher and the objective of the student besides the
    /// game, for a number of classes. The weights of the discriminator are initialized immediately.
    ///
    /// # Panics
    ///
    /// Panics if the objective requires several views, or if a value is out of its range.
    pub fn init<S, T, O>(
        &self,
        (student, teacher): (S, T),
        objective: O,
        classes: usize,
        device: &Device,
    ) -> AdversarialLogitDistiller<S, T, O>
    where
        S: Network,
        T: Teacher<S::Input>,
        T::Output: TeacherOutput,
        O: Objective<Knowledge, T::Output>,
    {
        self.assert_valid();
        let views = objective.requirements().views;
        assert_eq!(
            views, 1,
            "The objective of a student in an adversarial game should require 1 view, but this one \
             requires {views}."
        );
        let discriminator = LogitDiscriminatorConfig::new(classes)
            .with_d_hidden(self.d_hidden)
            .init(device);
        let discriminator = initialize(discriminator);
        AdversarialLogitDistiller {
            offline: OfflineDistiller::new(student, teacher, objective),
            adam: RecordedAdam::new(&discriminator, self.learning_rate, self.weight_decay),
            discriminator,
            weight: self.weight.into(),
            auxiliary: self.auxiliary,
            updated: Arc::default(),
        }
    }
}

impl Check for AdversarialLogitDistillerConfig {
    fn check(&self) -> Result<(), ConfigError> {
        LogitDiscriminatorConfig::new(1)
            .with_d_hidden(self.d_hidden)
            .check()?;
        check::ensure(
            self.learning_rate > 0.0 && self.learning_rate <= 1e3, // This also rejects NaN
            "learning_rate",
            "above 0 and at most 1000",
            self.learning_rate,
        )?;
        check::in_range("weight_decay", self.weight_decay, 0.0..=1e3)?;
        check::weight("weight", self.weight)?;
        check::weight("auxiliary", self.auxiliary)
    }
}

/// Adversarial distillation of logits: a discriminator learns to distinguish the logits of the
/// teacher from those of the student, and the student learns to deceive it.
///
/// With `z` the logits, `D` the score of the [discriminator](LogitDiscriminator) and `σ` the
/// sigmoid, a batch takes two steps, first that of the discriminator and then that of the student,
/// against the discriminator after its step:
///
/// ```text
/// discriminator = − mean log σ(D(z_T)) − mean log (1 − σ(D(z_S)))
///                 + auxiliary · (CE(label(z_T), y) + CE(label(z_S), y))        step: Adam
/// L = objective(student, teacher, y) − weight · mean log σ(D(z_S))             step: optimizer
/// ```
///
/// In the first line both logits are constants, in the second the discriminator is. The
/// discriminator's second head predicts the labels of both networks' samples; samples without a
/// label count only in the other terms. The term of the student does not saturate: its gradient is
/// largest where the discriminator is certain.
///
/// The discriminator has its own [optimizer](RecordedAdam), whose rate does not follow the schedule
/// of the training. Both are part of the record of this module, so that a training can be resumed,
/// and neither is a part of the student. The running statistics of the student are updated once per
/// batch. There must be a step of the optimizer for each batch: neither gradient accumulation nor
/// several devices are possible.
///
/// The objective of the authors is the cross-entropy with the labels and the distance of the
/// logits, `‖z_S − z_T‖₁`. The loss of the discriminator is shown as `discriminator`, and is not
/// part of the loss.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_core::{CrossEntropyObjective, Frozen, Network, Objective};
/// use burn_distill_strategy::{AdversarialLogitDistiller, AdversarialLogitDistillerConfig};
///
/// /// Creates a distiller of networks for ten classes.
/// fn distiller<N: Network, O: Objective>(
///     student: N,
///     teacher: N,
///     distance: O,
/// ) -> AdversarialLogitDistiller<N, Frozen<N>, (CrossEntropyObjective, O)> {
///     let objective = (CrossEntropyObjective::new(1.0), distance);
///     let networks = (student, Frozen::new(teacher));
///     let device = Device::default().autodiff();
///     AdversarialLogitDistillerConfig::new().init(networks, objective, 10, &device)
/// }
/// ```
///
/// # Reference
///
/// Z. Xu, Y.-C. Hsu and J. Huang, [Training Student Networks for Acceleration with Conditional
/// Adversarial Networks](https://arxiv.org/abs/1709.00513), BMVC 2018. The authors published no
/// code: this is our interpretation of the paper.
#[derive(Module, Debug)]
pub struct AdversarialLogitDistiller<S, T, O> {
    /// Student, teacher and the objective of the student besides the game.
    pub offline: OfflineDistiller<S, T, O>,
    /// Discriminator between the logits of both networks.
    pub discriminator: LogitDiscriminator,
    /// Optimizer of the discriminator.
    pub adam: RecordedAdam,
    /// Weight of the adversarial term of the student.
    #[module(skip)]
    weight: WeightSchedule,
    /// Weight of the class labels in the loss of the discriminator.
    auxiliary: f64,
    /// Discriminator after its step, between that step and that of the student.
    #[module(skip)]
    updated: Arc<Mutex<Option<LogitDiscriminator>>>,
}

/// Name of the adversarial term of the student.
const ADVERSARIAL: &str = "adversarial";

/// Name of the loss of the discriminator.
const DISCRIMINATOR: &str = "discriminator";

impl<S, T, O> AdversarialLogitDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: TeacherOutput,
    O: Objective<Knowledge, T::Output>,
{
    /// Names of the terms and of the shown values of the game.
    pub const TERMS: [&'static str; 2] = [ADVERSARIAL, DISCRIMINATOR];

    /// Sets the weight of the adversarial term of the student, such as one that rises.
    pub fn with_weight(mut self, weight: impl Into<WeightSchedule>) -> Self {
        self.weight = weight.into();
        self
    }

    /// Returns the terms of the student against a discriminator, which stays constant.
    fn terms(
        &self,
        context: &Context<'_, Knowledge, T::Output>,
        rows: &PairedRows,
        discriminator: &LogitDiscriminator,
    ) -> Terms {
        let score = discriminator.valid().forward(rows.student.clone()).score;
        let deceived = classified(score, true, rows.mask.clone());
        let weight = self.weight.at(&context.clock);
        let terms = self.offline.objective.forward(context);
        terms.and(Terms::one(ADVERSARIAL, deceived, weight))
    }

    /// Computes the loss of a discriminator, for which both logits are constants. Shape: `[1]`.
    fn discriminator_loss(
        &self,
        discriminator: &LogitDiscriminator,
        rows: &PairedRows,
        targets: &Targets,
    ) -> Tensor<1> {
        let targets = targets.clone().labeled_where(rows.mask.as_ref());
        let side = |logits: &Tensor<2>, is_real: bool| {
            let verdict = discriminator.forward(logits.clone().without_autodiff());
            let labels = CrossEntropyObjective::cross_entropy(verdict.classes, &targets);
            classified(verdict.score, is_real, rows.mask.clone())
                .add(labels.mul_scalar(self.auxiliary))
        };
        side(&rows.teacher, true).add(side(&rows.student, false))
    }
}

/// Computes the binary cross-entropy of the scores of logits that are all real, or all fake. Shape:
/// `[1]`.
fn classified(score: Tensor<1>, is_real: bool, mask: Option<Tensor<1, Bool>>) -> Tensor<1> {
    let right = match is_real {
        true => score,
        false => score.neg(),
    };
    masked_mean(log_sigmoid(right).neg(), mask)
}

/// Returns the logits of student and teacher.
///
/// # Panics
///
/// Panics if the teacher has no response.
fn rows<T: TeacherOutput>(context: &Context<'_, Knowledge, T>) -> PairedRows {
    let teacher = context.teacher.response();
    let teacher = teacher.expect("A discriminator of logits needs a teacher with a response.");
    PairedRows::new(&context.student.response, teacher)
}

impl<S, T, O> Distillation for AdversarialLogitDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: TeacherOutput,
    O: Objective<Knowledge, T::Output>,
{
    type Input = S::Input;

    fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        let (views, _) = self.offline.views(batch);
        let context = OfflineDistiller::<S, T, O>::context(&views, batch);
        let rows = rows(&context);
        let discriminator = self.discriminator.valid();
        let loss = self.discriminator_loss(&discriminator, &rows, &batch.targets);
        let terms = self.terms(&context, &rows, &discriminator);
        crate::offline::output(terms, &context).showing(Terms::shown(DISCRIMINATOR, loss))
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        let (views, _) = self.offline.views(&batch);
        let context = OfflineDistiller::<S, T, O>::context(&views, &batch);
        let rows = rows(&context);

        let loss = self.discriminator_loss(&self.discriminator, &rows, &batch.targets);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.discriminator);
        let updated = self.adam.step(self.discriminator.clone(), &gradients);

        let terms = self.terms(&context, &rows, &updated);
        let output = crate::offline::output(terms, &context);
        let waiting = lock(&self.updated).replace(updated);
        assert!(
            waiting.is_none(),
            "An adversarial game needs a step of the optimizer for each batch: train without gradient \
             accumulation."
        );
        let gradients = GradientsParams::from_grads(output.loss.backward(), &self.offline);
        TrainOutput {
            grads: gradients,
            item: output.showing(Terms::shown(DISCRIMINATOR, loss)),
        }
    }

    fn optimizer_step(
        mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        if let Some(updated) = lock(&self.updated).take() {
            self.discriminator = updated;
        }
        self.offline = self.offline.optimizer_step(optimizer, rate, gradients);
        self
    }

    fn optimizer_step_multi(
        self,
        _optimizer: &mut ModuleOptimizer,
        _rate: ModuleLearningRate,
        _gradients: MultiGradientsParams,
    ) -> Self {
        panic!("The student and its discriminator train on one device: use one device.")
    }
}

learner_model!([S, T, O] AdversarialLogitDistiller<S, T, O>);
