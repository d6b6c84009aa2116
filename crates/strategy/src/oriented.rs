use crate::{Distillation, DistillationOutput, OfflineDistiller, learner_model};
use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::tensor::{DType, Tensor};
use burn::train::TrainOutput;
use burn_distill_core::numeric::widest;
use burn_distill_core::{
    Batch, Buffer, Check, ConfigError, Knowledge, Network, Objective, Teacher, TeacherOutput,
    Terms, check, initialize,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Configuration to create an [`OrientedDistiller`] using the [init
/// function](OrientedDistillerConfig::init).
#[derive(Config, Debug)]
pub struct OrientedDistillerConfig {
    /// Momentum, before the difference. From 0 and below 1. Default: `0.9`.
    #[config(default = 0.9)]
    pub momentum: f64,
    /// Difference of both momenta from `momentum`. From 0, not above `momentum`, and below `1 -
    /// momentum`. Default: `0.075`.
    #[config(default = 0.075)]
    pub delta: f64,
    /// L2 penalty, which is part of the velocity of the task. From 0 to 1000. Default: `5e-4`.
    #[config(default = 5e-4)]
    pub weight_decay: f64,
}

impl OrientedDistillerConfig {
    /// Creates a distiller from a student, its teacher, the objective of the student and the names
    /// of its terms that belong to the task, such as the cross-entropy with the labels.
    ///
    /// # Panics
    ///
    /// Panics if there is no name, or if a value is out of its range.
    pub fn init<S, T, O>(
        &self,
        (student, teacher): (S, T),
        objective: O,
        task: impl IntoIterator<Item = impl Into<String>>,
    ) -> OrientedDistiller<S, T, O>
    where
        S: Network,
        T: Teacher<S::Input>,
        T::Output: TeacherOutput,
        O: Objective<Knowledge, T::Output>,
    {
        self.assert_valid();
        let task: Vec<_> = task.into_iter().map(Into::into).collect();
        assert!(
            !task.is_empty(),
            "There should be the name of at least one term of the task, such as `cross-entropy`."
        );
        let (student, objective) = initialize((student, objective));
        let offline = OfflineDistiller::new(student, teacher, objective);
        let mut elements = Elements(0, DType::F32);
        offline.visit(&mut elements);
        let Elements(count, dtype) = elements;
        let device = offline.devices().first().cloned().unwrap_or_default();
        let options = (&device.without_autodiff(), dtype);
        let velocity = || Buffer::new(Tensor::zeros([count], options));
        OrientedDistiller {
            task_velocity: velocity(),
            distillation_velocity: velocity(),
            offline,
            task,
            momentum: self.momentum,
            delta: self.delta,
            weight_decay: self.weight_decay,
            waiting: Arc::default(),
        }
    }
}

impl Check for OrientedDistillerConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let Self {
            momentum, delta, ..
        } = *self;
        check::ensure(
            (0.0..1.0).contains(&momentum), // This also rejects NaN
            "momentum",
            "from 0 and below 1",
            momentum,
        )?;
        check::ensure(
            delta >= 0.0 && delta <= momentum && momentum + delta < 1.0,
            "delta",
            format_args!(
                "from 0, at most the momentum, {momentum}, and below {:.6}, so that both momenta are from \
                 0 and below 1",
                1.0 - momentum
            ),
            delta,
        )?;
        check::in_range("weight_decay", self.weight_decay, 0.0..=1e3)
    }
}

/// Distillation-oriented trainer (DOT): gradient descent with a velocity of the task and another of
/// the distillation, which has a larger momentum.
///
/// With `g` the gradients of the terms of the task and of all others, `θ` a parameter and `λ` the
/// weight decay, every step
///
/// ```text
/// v_task ← (momentum − delta) · v_task + g_task + λ θ
/// v_distillation ← (momentum + delta) · v_distillation + g_distillation
/// θ ← θ − rate · (v_task + v_distillation)
/// ```
///
/// A parameter that only one of them reaches, such as that of an adapter, has the plain `momentum`,
/// and the weight decay in any case.
///
/// This distiller computes both velocities, and gives their sum to the optimizer of the training as
/// the gradient: that optimizer has to be plain gradient descent, without momentum and weight
/// decay. Its learning rate and schedule apply as usual.
///
/// The two gradients need separate graphs: a step costs another pass through student and objective,
/// as with [clipped terms](OfflineDistiller::with_clipped). It uses the same outputs of the teacher,
/// and updates neither running statistics nor the memory of an objective; random operations of the
/// student, such as dropout, draw again. The velocities are part of the record, so that a training
/// can be resumed. There must be a step of the optimizer for each batch: neither gradient
/// accumulation nor several devices are possible.
///
/// # Example
///
/// ```
/// use burn_distill_core::{CrossEntropyObjective, Frozen, Network, Objective};
/// use burn_distill_strategy::{OptimizerConfig, OrientedDistiller, OrientedDistillerConfig};
///
/// /// Creates a distiller, and the optimizer that belongs to it.
/// fn distiller<N: Network, O: Objective>(
///     student: N,
///     teacher: N,
///     soft_targets: O,
/// ) -> (OrientedDistiller<N, Frozen<N>, (CrossEntropyObjective, O)>, OptimizerConfig) {
///     let objective = (CrossEntropyObjective::new(1.0), soft_targets);
///     let networks = (student, Frozen::new(teacher));
///     let distiller =
///         OrientedDistillerConfig::new().init(networks, objective, [CrossEntropyObjective::TERM]);
///     (distiller, OptimizerConfig::descent())
/// }
/// ```
///
/// # Reference
///
/// B. Zhao, Q. Cui, R. Song and J. Liang, [DOT: A Distillation-Oriented
/// Trainer](https://arxiv.org/abs/2307.08436), ICCV 2023. Agrees with `DistillationOrientedTrainer`
/// of the authors' mdistiller, except that there the first step of a parameter of the distillation
/// only has no weight decay.
#[doc(alias = "DOT")]
#[derive(Module, Debug)]
pub struct OrientedDistiller<S, T, O> {
    /// Student, teacher and the objective of the student.
    pub offline: OfflineDistiller<S, T, O>,
    /// Names of the terms of the task.
    #[module(skip)]
    task: Vec<String>,
    /// Momentum, before the difference.
    pub momentum: f64,
    /// Difference of both momenta from `momentum`.
    pub delta: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// Velocity of the task of all tensors, concatenated. Shape: `[elements]`.
    task_velocity: Buffer<Tensor<1>>,
    /// Velocity of the distillation of all tensors, concatenated. Shape: `[elements]`.
    distillation_velocity: Buffer<Tensor<1>>,
    /// Whether a step of the optimizer is awaited.
    #[module(skip)]
    waiting: Arc<AtomicBool>,
}

/// A visitor that counts the elements of all tensors, including running statistics, whose
/// velocities stay zero, and finds the highest precision.
struct Elements(usize, DType);

impl ModuleVisitor for Elements {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0 += param.lazy_shape().num_elements();
        self.1 = widest(self.1, param.val().dtype());
    }
}

impl<S, T, O> OrientedDistiller<S, T, O> {
    /// Returns whether a term belongs to the task.
    fn is_of_task(&self, name: &str) -> bool {
        self.task.iter().any(|own| own == name)
    }

    /// Selects the terms of the task, or all others.
    ///
    /// # Panics
    ///
    /// Panics if there is no such term.
    fn selected(&self, terms: Terms, of_task: bool) -> Terms {
        let names: Vec<_> = terms.iter().map(|term| term.name.clone()).collect();
        let selected = terms.only(|name| self.is_of_task(name) == of_task);
        assert!(
            !selected.is_empty(),
            "A loss in two parts needs terms of the task ({}) and others, found {}.",
            self.task.join(", "),
            names.join(", ")
        );
        selected
    }
}

impl<S, T, O> OrientedDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: TeacherOutput,
    O: Objective<Knowledge, T::Output>,
{
    /// Updates both velocities, and returns their sum for each parameter.
    fn directions(
        &self,
        task: &GradientsParams,
        distillation: &GradientsParams,
    ) -> GradientsParams {
        let mut directions = Directions {
            gradients: [task, distillation],
            momenta: [self.momentum - self.delta, self.momentum + self.delta],
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            velocities: [self.task_velocity.get(), self.distillation_velocity.get()],
            visited: 0,
            rows: [Vec::new(), Vec::new()],
            sum: GradientsParams::new(),
        };
        self.offline.visit(&mut directions);
        let [task, distillation] = directions.rows.map(|rows| Tensor::cat(rows, 0));
        self.task_velocity.set(task);
        self.distillation_velocity.set(distillation);
        directions.sum
    }
}

/// A visitor that computes the new velocities of each tensor.
struct Directions<'a> {
    /// Gradients of the task and of the distillation.
    gradients: [&'a GradientsParams; 2],
    /// Momenta of the task and of the distillation.
    momenta: [f64; 2],
    /// Momentum of a parameter that only one of them reaches.
    momentum: f64,
    weight_decay: f64,
    /// Velocities before the step.
    velocities: [Tensor<1>; 2],
    /// Number of elements before the current tensor.
    visited: usize,
    /// New velocities, tensor by tensor.
    rows: [Vec<Tensor<1>>; 2],
    sum: GradientsParams,
}

impl ModuleVisitor for Directions<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let elements = param.lazy_shape().num_elements();
        let gradients = self.gradients.map(|all| all.get::<D>(param.id));
        let reached: Vec<_> = gradients.iter().flatten().collect();
        let like = reached
            .first()
            .map(|gradient| (gradient.shape(), gradient.dtype()));
        let both = reached.len() == 2;
        let mut sum: Option<Tensor<1>> = None;
        for (part, gradient) in gradients.into_iter().enumerate() {
            let velocity = self.velocities[part].clone();
            let velocity = velocity.narrow(0, self.visited, elements);
            let Some(gradient) = gradient else {
                self.rows[part].push(velocity);
                continue;
            };
            let dtype = velocity.dtype();
            let mut gradient = gradient.reshape([elements]).cast(dtype);
            // Once: in the velocity of the task, if the task reaches the parameter.
            if part == 0 || !both {
                let value = param.val().without_autodiff().reshape([elements]);
                let penalty = value.cast(dtype).mul_scalar(self.weight_decay);
                gradient = gradient.add(penalty);
            }
            let momentum = match both {
                true => self.momenta[part],
                false => self.momentum,
            };
            let velocity = velocity.mul_scalar(momentum).add(gradient);
            sum = Some(match sum {
                Some(sum) => velocity.clone().add(sum),
                None => velocity.clone(),
            });
            self.rows[part].push(velocity);
        }
        if let (Some(sum), Some((shape, dtype))) = (sum, like) {
            let sum: Tensor<D> = sum.reshape(shape).cast(dtype);
            self.sum.register(param.id, sum);
        }
        self.visited += elements;
    }
}

impl<S, T, O> Distillation for OrientedDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: TeacherOutput,
    O: Objective<Knowledge, T::Output>,
{
    type Input = S::Input;

    fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        self.offline.forward(batch)
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        assert!(
            !self.waiting.swap(true, Ordering::SeqCst),
            "Two velocities need a step of the optimizer for each batch: train without gradient \
             accumulation."
        );
        let others = |terms| self.selected(terms, false);
        let (item, task, further) = self.offline.separate_gradients(
            &batch,
            |terms| self.selected(terms, true),
            std::slice::from_ref(&others),
        );
        TrainOutput {
            grads: self.directions(&task, &further[0]),
            item,
        }
    }

    fn optimizer_step(
        mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        self.waiting.store(false, Ordering::SeqCst);
        self.offline = self.offline.optimizer_step(optimizer, rate, gradients);
        self
    }

    fn optimizer_step_multi(
        self,
        _optimizer: &mut ModuleOptimizer,
        _rate: ModuleLearningRate,
        _gradients: MultiGradientsParams,
    ) -> Self {
        panic!("The velocities of a student are on one device: use one device.")
    }
}

learner_model!([S, T, O] OrientedDistiller<S, T, O>);
