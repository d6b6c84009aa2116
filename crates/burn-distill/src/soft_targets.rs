use burn_distill_core::{CrossEntropyObjective, Frozen, Network};
use burn_distill_response::{ResponseObjective, SoftTargetLoss, SoftTargetLossConfig};
use burn_distill_strategy::OfflineDistiller;

/// A short constructor of [`OfflineDistiller`](burn_distill_strategy::OfflineDistiller) for
/// knowledge distillation with soft targets (KD).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill::architecture::NetworkConfig;
/// use burn_distill::prelude::*;
///
/// let device = Device::default().autodiff();
/// let network = |name: &str| NetworkConfig::by_name(name)?.init([1, 8, 8], 10, &device);
/// let (teacher, student) = (network("convnet-16-32")?, network("mlp-16")?);
///
/// let distiller = OfflineDistiller::soft_targets(student, teacher, 4.0, 0.9);
///
/// let classes = Tensor::from_data([3, 1, 4, 1], &device);
/// let output = distiller.forward(&Batch::new(Tensor::ones([4, 1, 8, 8], &device), classes));
/// let gradients = output.loss.backward();
/// # Ok::<(), burn_distill::architecture::NetworkError>(())
/// ```
pub trait SoftTargets<S, N>: Sized {
    /// Creates a distiller whose student learns from the labels and from the softened probabilities
    /// of a teacher, which is frozen.
    ///
    /// ```text
    /// L = (1 − weight) · CE(student, labels) + weight · T² · KL(teacher at T ‖ student at T)
    /// ```
    ///
    /// with `T = temperature`. For unlabeled samples only the second term counts.
    ///
    /// # Panics
    ///
    /// Panics if the temperature is not positive, or the weight not between 0 and 1.
    ///
    /// # Reference
    ///
    /// G. Hinton, O. Vinyals and J. Dean, [Distilling the Knowledge in a Neural
    /// Network](https://arxiv.org/abs/1503.02531), NIPS 2014 Deep Learning Workshop. Agrees with
    /// RepDistiller's `DistillKL`, `γ = 1 − weight` and `α = weight`.
    fn soft_targets(student: S, teacher: N, temperature: f64, weight: f64) -> Self;
}

impl<S, N> SoftTargets<S, N>
    for OfflineDistiller<S, Frozen<N>, (CrossEntropyObjective, ResponseObjective<SoftTargetLoss>)>
where
    S: Network,
    N: Network<Input = S::Input>,
{
    fn soft_targets(student: S, teacher: N, temperature: f64, weight: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&weight),
            "The weight of the soft targets should be between 0 and 1, but is {weight}."
        );
        let loss = SoftTargetLossConfig::new()
            .with_temperature(temperature)
            .init();
        let objective = (
            CrossEntropyObjective::new(1.0 - weight),
            ResponseObjective::new(loss, weight),
        );
        OfflineDistiller::new(student, Frozen::new(teacher), objective)
    }
}
