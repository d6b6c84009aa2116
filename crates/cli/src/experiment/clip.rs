use crate::recipe::Loss;
use burn_distill::core::{Knowledge, Lesson, Network, Objective, Teacher};
use burn_distill::strategy::OfflineDistiller;

/// A distiller that clips the gradients of these losses, each to its own share of those of the losses
/// that are not clipped.
pub fn clipped<S, T, O>(
    distiller: OfflineDistiller<S, T, O>,
    losses: &[Loss],
) -> OfflineDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: Lesson,
    O: Objective<Knowledge, T::Output>,
{
    losses
        .iter()
        .fold(distiller, |distiller, loss| match &loss.clip {
            Some(share) => distiller.with_clipped([&loss.name], share.clone()),
            None => distiller,
        })
}
