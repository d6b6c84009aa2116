use crate::DistillationOutput;
use burn::module::Module;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::train::TrainOutput;
use burn_distill_core::{Batch, Input};

/// A distillation strategy: computes the loss of a batch and takes the steps of a training.
///
/// Only [`forward`](Self::forward) is required. [`learner_model!`](crate::learner_model) implements
/// burn's step traits with the methods of this trait, so that burn's `SupervisedTraining` and
/// [`Training`](crate::Training) train the module.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn_distill_core::{Batch, Clock, Context, CrossEntropyObjective, Network, Objective};
/// use burn_distill_strategy::{Distillation, DistillationOutput, learner_model};
///
/// /// Trains a network on the labels.
/// #[derive(Module, Debug)]
/// struct Supervised<N> {
///     network: N,
///     cross_entropy: CrossEntropyObjective,
/// }
///
/// impl<N: Network> Distillation for Supervised<N> {
///     type Input = N::Input;
///
///     fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
///         let taps = Default::default();
///         let student = self.network.forward_knowledge(batch.view().clone(), &taps);
///         let context = Context::new(&student, &(), &batch.targets, &batch.ids, batch.clock);
///         let terms = self.cross_entropy.forward(&context);
///         DistillationOutput::new(terms, &student.response, None, &batch.targets)
///     }
/// }
///
/// learner_model!([N: Network] Supervised<N>);
/// ```
pub trait Distillation: Module {
    /// The input of the student.
    type Input: Input;

    /// Computes the loss of a batch, term by term, and the values of its metrics.
    fn forward(&self, batch: &Batch<Self::Input>) -> DistillationOutput;

    /// Computes the output and the gradients of a training step. Default: the output of
    /// [`forward`](Self::forward) and the gradients of its loss.
    fn training_step(&self, batch: Batch<Self::Input>) -> TrainOutput<DistillationOutput> {
        let output = self.forward(&batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }

    /// Computes the output of a validation step. Default: the output of [`forward`](Self::forward).
    fn validation_step(&self, batch: Batch<Self::Input>) -> DistillationOutput {
        self.forward(&batch)
    }

    /// Takes the step of the optimizer, and updates all state that depends on the new parameters.
    fn optimizer_step(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        optimizer.step(rate, self, gradients)
    }

    /// Takes the step of the optimizer with the gradients of several devices, and updates all state
    /// that depends on the new parameters.
    fn optimizer_step_multi(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: MultiGradientsParams,
    ) -> Self {
        optimizer.step_multi(rate, self, gradients)
    }
}

/// Implements burn's `TrainStep` and `InferenceStep` for a [`Distillation`].
///
/// Its argument is the type, preceded by the generic parameters of the type in brackets.
///
/// # Example
///
/// See [`Distillation`].
#[macro_export]
macro_rules! learner_model {
    ([$($parameters:tt)*] $distiller:ty) => {
        impl<$($parameters)*> $crate::__learner::TrainStep for $distiller
        where
            Self: $crate::Distillation,
        {
            type Input = $crate::__learner::Batch<<Self as $crate::Distillation>::Input>;
            type Output = $crate::DistillationOutput;

            fn step(&self, batch: Self::Input) -> $crate::__learner::TrainOutput<Self::Output> {
                $crate::Distillation::training_step(self, batch)
            }

            fn optimize(
                self,
                optimizer: &mut $crate::__learner::ModuleOptimizer,
                rate: $crate::__learner::ModuleLearningRate,
                gradients: $crate::__learner::GradientsParams,
            ) -> Self {
                $crate::Distillation::optimizer_step(self, optimizer, rate, gradients)
            }

            fn optimize_multi(
                self,
                optimizer: &mut $crate::__learner::ModuleOptimizer,
                rate: $crate::__learner::ModuleLearningRate,
                gradients: $crate::__learner::MultiGradientsParams,
            ) -> Self {
                $crate::Distillation::optimizer_step_multi(self, optimizer, rate, gradients)
            }
        }

        impl<$($parameters)*> $crate::__learner::InferenceStep for $distiller
        where
            Self: $crate::Distillation,
        {
            type Input = $crate::__learner::Batch<<Self as $crate::Distillation>::Input>;
            type Output = $crate::DistillationOutput;

            fn step(&self, batch: Self::Input) -> Self::Output {
                $crate::Distillation::validation_step(self, batch)
            }
        }
    };
}
