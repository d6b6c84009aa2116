use crate::{Distillation, DistillationOutput, learner_model};
use burn::module::{DisplaySettings, ModuleDisplay, ModuleDisplayDefault};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::train::TrainOutput;
use burn_distill_core::{Batch, Dynamic, ErasedModule, Input, Slot, delegate_module};
use std::any::Any;
use std::fmt;

/// A distiller whose type is known only at run time, for inputs of type `I`.
///
/// As a module it equals the inner distiller: it has the same parameters, paths and records.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::NetworkConfig;
/// use burn_distill_core::{DynNetwork, CrossEntropyObjective, NoTeacher};
/// use burn_distill_strategy::{DynDistiller, OfflineDistiller};
///
/// type Baseline = OfflineDistiller<DynNetwork<Tensor<4>>, NoTeacher, CrossEntropyObjective>;
///
/// let network = NetworkConfig::by_name("mlp-8")?.init([1, 8, 8], 10, &Device::default())?;
/// let cross_entropy = CrossEntropyObjective::new(1.0);
/// let distiller = OfflineDistiller::without_teacher(network, cross_entropy);
/// let distiller = DynDistiller::new(distiller);
///
/// let inside = distiller.into_inner::<Baseline>();
/// assert!(inside.is_some());
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DynDistiller<I: Input> {
    inner: Dynamic<dyn ErasedDistiller<I>>,
}

/// The object-safe form of a [`Distillation`].
pub trait ErasedDistiller<I: Input>: ErasedModule + 'static {
    /// Calls [`Distillation::forward`].
    fn forward_erased(&self, batch: &Batch<I>) -> DistillationOutput;
    /// Calls [`Distillation::training_step`].
    fn training_step_erased(&self, batch: Batch<I>) -> TrainOutput<DistillationOutput>;
    /// Calls [`Distillation::validation_step`].
    fn validation_step_erased(&self, batch: Batch<I>) -> DistillationOutput;
    /// Calls [`Distillation::optimizer_step`].
    fn optimizer_step_erased(
        &mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    );
    /// Calls [`Distillation::optimizer_step_multi`].
    fn optimizer_step_multi_erased(
        &mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: MultiGradientsParams,
    );
    /// Clones the distiller.
    fn clone_erased(&self) -> Box<dyn ErasedDistiller<I>>;
    /// Returns the distiller as a value of any type, which can be cast to its type.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<D> ErasedDistiller<D::Input> for Slot<D>
where
    D: Distillation + ModuleDisplay + 'static,
{
    fn forward_erased(&self, batch: &Batch<D::Input>) -> DistillationOutput {
        self.module().forward(batch)
    }

    fn training_step_erased(&self, batch: Batch<D::Input>) -> TrainOutput<DistillationOutput> {
        self.module().training_step(batch)
    }

    fn validation_step_erased(&self, batch: Batch<D::Input>) -> DistillationOutput {
        self.module().validation_step(batch)
    }

    fn optimizer_step_erased(
        &mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) {
        self.replace(|module| module.optimizer_step(optimizer, rate, gradients));
    }

    fn optimizer_step_multi_erased(
        &mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: MultiGradientsParams,
    ) {
        self.replace(|module| module.optimizer_step_multi(optimizer, rate, gradients));
    }

    fn clone_erased(&self) -> Box<dyn ErasedDistiller<D::Input>> {
        Box::new(self.clone())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.into_module())
    }
}

impl<I: Input> Clone for Box<dyn ErasedDistiller<I>> {
    fn clone(&self) -> Self {
        (**self).clone_erased()
    }
}

impl<I: Input> DynDistiller<I> {
    /// Creates a distiller of a run-time type from one of a type `D`.
    pub fn new<D>(distiller: D) -> Self
    where
        D: Distillation<Input = I> + ModuleDisplay + 'static,
    {
        Self {
            inner: Dynamic::from_erased(Box::new(Slot::new(distiller))),
        }
    }

    /// Returns the distiller as one of type `D`, or `None` if it is of another type.
    pub fn into_inner<D: 'static>(self) -> Option<D> {
        let inner = self.inner.into_erased().into_any().downcast();
        inner.ok().map(|inner: Box<D>| *inner)
    }
}

impl<I: Input> Distillation for DynDistiller<I> {
    type Input = I;

    fn forward(&self, batch: &Batch<I>) -> DistillationOutput {
        self.inner.erased().forward_erased(batch)
    }

    fn training_step(&self, batch: Batch<I>) -> TrainOutput<DistillationOutput> {
        self.inner.erased().training_step_erased(batch)
    }

    fn validation_step(&self, batch: Batch<I>) -> DistillationOutput {
        self.inner.erased().validation_step_erased(batch)
    }

    fn optimizer_step(
        mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let inner = self.inner.erased_mut();
        inner.optimizer_step_erased(optimizer, rate, gradients);
        self
    }

    fn optimizer_step_multi(
        mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: MultiGradientsParams,
    ) -> Self {
        let inner = self.inner.erased_mut();
        inner.optimizer_step_multi_erased(optimizer, rate, gradients);
        self
    }
}

learner_model!([I: Input] DynDistiller<I>);
delegate_module!([I: Input] DynDistiller<I>: inner);

impl<I: Input> ModuleDisplayDefault for DynDistiller<I> {
    fn content(&self, content: burn::module::Content) -> Option<burn::module::Content> {
        self.inner.content(content)
    }
}

impl<I: Input> ModuleDisplay for DynDistiller<I> {
    fn format(&self, settings: DisplaySettings) -> String {
        self.inner.format(settings)
    }
}

impl<I: Input> fmt::Display for DynDistiller<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
