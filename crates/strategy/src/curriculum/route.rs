use crate::EpochLoader;
use burn::data::dataset::DatasetError;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{kl_divergence_rows, tempered_log_softmax};
use burn_distill_core::{Network, PairedRows};

/// Which anchor teaches when, in route-constrained optimization.
///
/// A small student that cannot follow a converged teacher at once follows the route that the teacher
/// took: it learns from the teacher as it was early in its training, then from later states of it.
/// These states are the anchors, ordered; the last is the converged teacher. They are
/// [`Snapshots`](crate::Snapshots) of the teacher's training, running statistics included.
///
/// A leg of the route is a [`Stage`](crate::Stage): it starts from the student's weights of the leg
/// before, with a fresh optimizer and a learning rate schedule that starts again. It is offline
/// distillation from a frozen teacher; with a single anchor there is nothing else to it.
///
/// By equal intervals of epochs, with `n` anchors and epochs `e` counted from 0:
///
/// ```text
/// a(e) = min(⌊e / E⌋, n − 1)     E = ⌈epochs / n⌉
/// ```
///
/// ```
/// use burn_distill_strategy::{AnchorStage, Route};
///
/// let route = Route::new(3, 8);
///
/// assert_eq!(
///     route.anchor_stages(),
///     [
///         AnchorStage { anchor: 0, epochs: 3 },
///         AnchorStage { anchor: 1, epochs: 3 },
///         AnchorStage { anchor: 2, epochs: 2 },
///     ]
/// );
/// ```
///
/// By hardness, see [`Route::next`].
///
/// # Reference
///
/// X. Jin, B. Peng, Y. Wu, Y. Liu, J. Liu, D. Liang, J. Yan and X. Hu, [Knowledge Distillation via
/// Route Constrained Optimization](https://arxiv.org/abs/1904.09149), ICCV 2019. The authors have
/// published no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    anchors: usize,
    epochs: usize,
}

/// A part of a route: so many epochs with one anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorStage {
    /// The place of the anchor that teaches, from 0.
    pub anchor: usize,
    /// For how many epochs.
    pub epochs: usize,
}

impl Route {
    /// A route along so many anchors, for a student that trains for so many epochs in all.
    ///
    /// # Panics
    ///
    /// Panics if there is no anchor or no epoch.
    pub fn new(anchors: usize, epochs: usize) -> Self {
        assert!(
            anchors > 0 && epochs > 0,
            "A route has at least one anchor and one epoch, got {anchors} and {epochs}."
        );
        Self { anchors, epochs }
    }

    /// `E`, the epochs of a leg that is not the last: `⌈epochs / anchors⌉`.
    pub fn interval(&self) -> usize {
        self.epochs.div_ceil(self.anchors)
    }

    /// `a(e)`, the anchor that teaches in an epoch counted from 0, by equal intervals.
    pub fn anchor(&self, epoch: usize) -> usize {
        (epoch / self.interval()).min(self.anchors - 1)
    }

    /// The legs by equal intervals.
    ///
    /// Rounding up may leave no epoch to the last anchors: 9 epochs along 4 anchors are 3 with each
    /// of the first 3.
    pub fn anchor_stages(&self) -> Vec<AnchorStage> {
        let starts = (0..self.epochs).step_by(self.interval());
        starts
            .map(|start| AnchorStage {
                anchor: self.anchor(start),
                epochs: self.interval().min(self.epochs - start),
            })
            .collect()
    }

    /// The first leg by hardness: with the first anchor.
    pub fn start(&self) -> AnchorStage {
        self.stage(0, 0)
    }

    /// The leg by hardness that follows after so many epochs in all; `None` after the last.
    ///
    /// It is with the farthest later anchor that is not too hard: whose hardness is at most `ratio`
    /// times that of the current one. If all are too hard, it is with the next one. The last leg is
    /// with the last anchor, whatever its hardness, and takes all epochs that are left; the others
    /// take an [interval](Self::interval) each.
    ///
    /// The paper searches greedily by a ratio of hardness too, but does not say what happens when all
    /// are too hard, or how long a leg is: this is our interpretation.
    ///
    /// - `hardness`: that of the current anchor, then of each later one, by [`hardness`].
    ///
    /// # Panics
    ///
    /// Panics if `hardness` is not of as many anchors.
    pub fn next(
        &self,
        done: usize,
        current: usize,
        hardness: &[f64],
        ratio: f64,
    ) -> Option<AnchorStage> {
        assert_eq!(
            hardness.len(),
            self.anchors - current,
            "The hardness should be of the current anchor and each later one."
        );
        if done >= self.epochs {
            return None;
        }
        let bearable = ratio * hardness[0];
        let farthest = hardness[1..].iter().rposition(|&later| later <= bearable);
        Some(self.stage(done, current + 1 + farthest.unwrap_or(0)))
    }

    /// The leg with an anchor, if there is time for others after it.
    fn stage(&self, done: usize, anchor: usize) -> AnchorStage {
        let (last, left) = (self.anchors - 1, self.epochs - done);
        if anchor >= last || left <= self.interval() {
            return AnchorStage {
                anchor: last,
                epochs: left,
            };
        }
        AnchorStage {
            anchor,
            epochs: self.interval(),
        }
    }
}

/// How hard a teacher is for a student: the mean of `KL(teacher ‖ student)` over the samples of a
/// loader, at a temperature of 1.
///
/// It is not divided by the teacher's entropy: early anchors are almost uniform, and near to any
/// student.
///
/// Both networks should be in validation mode, on the loader's device. Nothing is read from the device
/// before the end.
///
/// # Errors
///
/// Returns an error if a batch cannot be loaded.
///
/// # Panics
///
/// Panics if a response has no [rows](burn_distill_core::Response::rows) of logits.
pub fn hardness<S, T>(
    student: &S,
    teacher: &T,
    loader: &impl EpochLoader<S::Input>,
) -> Result<f64, DatasetError>
where
    S: Network,
    T: Network<Input = S::Input>,
{
    let (mut divergences, mut counts) = (Vec::new(), Vec::new());
    for batch in loader.batches() {
        let input = batch?.view().clone();
        let rows = PairedRows::of(&student.forward(input.clone()), &teacher.forward(input));
        let log = |logits| tempered_log_softmax(logits, 1.0);
        let divergence = kl_divergence_rows(log(rows.teacher), log(rows.student));
        let counted = match rows.mask {
            Some(mask) => mask.float().cast(divergence.dtype()),
            None => divergence.ones_like(),
        };
        divergences.push(divergence.mul(counted.clone()).sum());
        counts.push(counted.sum());
    }
    if counts.is_empty() {
        return Ok(f64::NAN);
    }
    let total = |values| Tensor::cat(values, 0).sum().into_scalar::<f64>();
    Ok(total(divergences) / total(counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors(route: Route) -> Vec<usize> {
        (0..route.epochs).map(|epoch| route.anchor(epoch)).collect()
    }

    fn stage(anchor: usize, epochs: usize) -> AnchorStage {
        AnchorStage { anchor, epochs }
    }

    #[test]
    fn equal_intervals_are_as_tabulated() {
        assert_eq!(anchors(Route::new(4, 8)), [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(anchors(Route::new(4, 10)), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
        assert_eq!(anchors(Route::new(3, 7)), [0, 0, 0, 1, 1, 1, 2]);
        assert_eq!(anchors(Route::new(4, 9)), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        assert_eq!(anchors(Route::new(1, 3)), [0, 0, 0]);
        assert_eq!(anchors(Route::new(5, 3)), [0, 1, 2]);
        // An epoch more than there are does not run over the last anchor.
        assert_eq!(Route::new(4, 8).anchor(1000), 3);
    }

    #[test]
    fn legs_are_the_table_in_short() {
        for (count, epochs) in [(4, 8), (4, 10), (3, 7), (4, 9), (1, 3), (5, 3), (4, 240)] {
            let route = Route::new(count, epochs);
            let unrolled: Vec<_> = route
                .anchor_stages()
                .iter()
                .flat_map(|stage| std::iter::repeat_n(stage.anchor, stage.epochs))
                .collect();
            assert_eq!(unrolled, anchors(route), "{route:?}");
        }
    }

    #[test]
    fn the_farthest_bearable_anchor_is_next() {
        let route = Route::new(5, 50);
        let next = |hardness: &[f64], ratio| route.next(10, 0, hardness, ratio).unwrap();

        let rising = [0.1, 0.15, 0.2, 0.3, 0.4];
        assert_eq!(next(&rising, 2.0), stage(2, 10));
        assert_eq!(next(&rising, 3.5), stage(3, 10));
        // The last anchor has all the time that is left.
        assert_eq!(next(&rising, 4.5), stage(4, 40));
        // All are too hard: one step.
        assert_eq!(next(&rising, 1.0), stage(1, 10));
        // Hardness need not rise: the farthest counts, not the first that is too hard.
        assert_eq!(next(&[0.1, 0.5, 0.15, 0.5, 0.5], 2.0), stage(2, 10));
        // A student that has become its anchor goes one step.
        assert_eq!(next(&[0.0, 0.1, 0.1, 0.1, 0.1], 2.0), stage(1, 10));
        assert_eq!(next(&[f64::NAN; 5], 2.0), stage(1, 10));
    }

    #[test]
    fn a_route_by_hardness_ends_with_the_last_anchor() {
        let route = Route::new(4, 10);
        let steep = [1.0, 9.0, 9.0, 9.0];

        assert_eq!(route.start(), stage(0, 3));
        assert_eq!(route.next(3, 0, &steep, 1.0), Some(stage(1, 3)));
        assert_eq!(route.next(6, 1, &steep[1..], 0.5), Some(stage(2, 3)));
        assert_eq!(route.next(9, 2, &steep[2..], 0.5), Some(stage(3, 1)));
        assert_eq!(route.next(10, 3, &steep[3..], 0.5), None);
        // No time is left for the anchors in between.
        assert_eq!(route.next(8, 0, &steep, 1.0), Some(stage(3, 2)));
        assert_eq!(Route::new(1, 7).start(), stage(0, 7));
    }
}
