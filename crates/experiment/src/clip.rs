use burn_distill::core::{Knowledge, Network, Objective, Teacher, TeacherOutput, WeightSchedule};
use burn_distill::strategy::OfflineDistiller;
use burn_distill_recipe::Loss;

/// Returns the distiller with clipping of the gradients of these losses, each to its share of the
/// gradient of the losses that are not clipped.
pub fn clipped<S, T, O>(
    distiller: OfflineDistiller<S, T, O>,
    losses: &[Loss],
) -> OfflineDistiller<S, T, O>
where
    S: Network,
    T: Teacher<S::Input>,
    T::Output: TeacherOutput,
    O: Objective<Knowledge, T::Output>,
{
    shares(losses).fold(distiller, |distiller, (name, share)| {
        distiller.with_clipped([name], share.clone())
    })
}

/// Returns the losses to be clipped, with their shares. A loss that is clipped by default is not
/// clipped if there is no other loss to bound it.
fn shares(losses: &[Loss]) -> impl Iterator<Item = (&str, &WeightSchedule)> {
    let bounded = losses.iter().any(|loss| loss.clip.is_none());
    losses.iter().filter_map(move |loss| {
        let clip = loss.clip.as_ref()?;
        (bounded || clip.is_asked_for).then_some((loss.name.as_str(), &clip.share))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use burn_distill_recipe::{InputShape, LossContext, Registry, Task, loss_context};

    /// A small student and a larger teacher for digits.
    fn context(registry: &Registry) -> LossContext {
        let network = |name: &str| {
            let input = InputShape::Image([1, 8, 8]);
            let task = Task { input, classes: 10 };
            registry
                .build(&name.into(), &task, 0, &Device::flex())
                .unwrap()
        };
        let samples = (0..100).map(|id| (id, Some(id % 10))).collect();
        loss_context(network("convnet-4-8"), network("convnet-8-16"), 4, samples)
    }

    #[test]
    fn a_loss_that_is_clipped_by_default_is_not_clipped_if_no_other_loss_bounds_it() {
        for (tables, expected) in [
            (["kind = 'mhgd'", "kind = 'hard'"], vec!["multi-head-graph"]),
            (["kind = 'mhgd'\nclip = false", "kind = 'hard'"], vec![]),
            (
                ["kind = 'mhgd'", "kind = 'kd'\nclip = 0.5"],
                vec!["soft-target"],
            ),
            (["kind = 'mhgd'", "kind = 'mhgd'\nname = 'other'"], vec![]),
        ] {
            let registry = Registry::standard();
            let context = context(&registry);
            let losses = tables.map(|table| {
                let table = table.parse().unwrap();
                registry.losses().build(&table, &context).unwrap()
            });
            let clipped: Vec<_> = shares(&losses).map(|(name, _)| name).collect();
            assert_eq!(clipped, expected, "{tables:?}");
        }
    }
}
