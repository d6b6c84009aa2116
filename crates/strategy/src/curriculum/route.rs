use crate::EpochLoader;
use burn::data::dataset::DatasetError;
use burn::tensor::Tensor;
use burn_distill_core::numeric::{kl_divergence_rows, tempered_log_softmax};
use burn_distill_core::{Network, PairedRows};

/// Route-constrained optimization (RCO): a student learns from snapshots of its teacher's training,
/// from early to late.
///
/// A small student that cannot imitate a converged teacher at once learns from early states of the
/// teacher first. These states are the anchors, in the order of the training, of which the last is
/// the converged teacher. They are [`Snapshots`](crate::Snapshots), with running statistics.
///
/// The route is divided into anchor stages. Each is a [`Stage`](crate::Stage) of offline
/// distillation from a frozen anchor, and starts from the student's weights of the stage before,
/// with a new optimizer and a learning rate schedule that starts again. With a single anchor it is
/// plain offline distillation.
///
/// With `n` anchors and equal intervals, the anchor of epoch `e` is `a(e)`, both counted from 0:
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
/// Alternatively, [`Route::next`] chooses anchors by their hardness.
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

/// A stage of a route: a number of epochs with one anchor as the teacher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorStage {
    /// Index of the anchor that is the teacher, counted from 0.
    pub anchor: usize,
    /// Number of epochs.
    pub epochs: usize,
}

impl Route {
    /// Creates a route along a number of anchors for a student that trains for `epochs` epochs in
    /// total.
    ///
    /// # Panics
    ///
    /// Panics if `anchors` or `epochs` is 0.
    pub fn new(anchors: usize, epochs: usize) -> Self {
        assert!(
            anchors > 0 && epochs > 0,
            "A route needs at least 1 anchor and 1 epoch, but has {anchors} and {epochs}."
        );
        Self { anchors, epochs }
    }

    /// Returns `E`, the number of epochs of a stage that is not the last: `⌈epochs / anchors⌉`.
    pub fn interval(&self) -> usize {
        self.epochs.div_ceil(self.anchors)
    }

    /// Returns `a(e)`, the anchor of an epoch counted from 0, with equal intervals.
    pub fn anchor(&self, epoch: usize) -> usize {
        (epoch / self.interval()).min(self.anchors - 1)
    }

    /// Returns the stages with equal intervals.
    ///
    /// Since the interval is rounded up, the last anchors may have no stage: 9 epochs along 4
    /// anchors are 3 with each of the first 3.
    pub fn anchor_stages(&self) -> Vec<AnchorStage> {
        let starts = (0..self.epochs).step_by(self.interval());
        starts
            .map(|start| AnchorStage {
                anchor: self.anchor(start),
                epochs: self.interval().min(self.epochs - start),
            })
            .collect()
    }

    /// Returns the first stage of a route by hardness, whose teacher is the first anchor.
    pub fn start(&self) -> AnchorStage {
        self.stage(0, 0)
    }

    /// Returns the next stage of a route by hardness, or `None` after the last.
    ///
    /// Its anchor is the farthest later one that is not too hard, which means that its hardness is
    /// at most `ratio` times that of the current anchor. If all are too hard, it is the next
    /// anchor. The teacher of the last stage is the last anchor, whatever its hardness, and the
    /// stage takes all remaining epochs; every other stage takes an [interval](Self::interval).
    ///
    /// The paper also searches greedily by a ratio of hardness, but does not say what happens when
    /// all anchors are too hard, or how long a stage is: this is our interpretation.
    ///
    /// - `done`: number of finished epochs of the route
    /// - `current`: index of the current anchor
    /// - `hardness`: hardness of the current anchor, then of each later one, by [`hardness`]
    ///
    /// # Panics
    ///
    /// Panics if the number of values in `hardness` is not that of the current and the later
    /// anchors.
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
            "There should be one hardness for the current anchor and one for each later anchor."
        );
        if done >= self.epochs {
            return None;
        }
        let limit = ratio * hardness[0];
        let farthest = hardness[1..].iter().rposition(|&later| later <= limit);
        Some(self.stage(done, current + 1 + farthest.unwrap_or(0)))
    }

    /// Returns the stage with an anchor, or the last stage if no epochs remain for stages after it.
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

/// Computes the hardness of a teacher for a student: the mean of `KL(teacher ‖ student)` over the
/// samples of a loader, at a temperature of 1.
///
/// It is not divided by the entropy of the teacher, since the probabilities of early anchors are
/// almost uniform and close to those of any student.
///
/// Both networks should be in validation mode, on the device of the loader. The result is read from
/// the device once, at the end. It is NaN for a loader without batches.
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
        let rows = PairedRows::new(&student.forward(input.clone()), &teacher.forward(input));
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
        // The last anchor is also that of all later epochs.
        assert_eq!(Route::new(4, 8).anchor(1000), 3);
    }

    #[test]
    fn stages_agree_with_the_anchors_of_the_epochs() {
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
    fn the_farthest_anchor_that_is_not_too_hard_is_next() {
        let route = Route::new(5, 50);
        let next = |hardness: &[f64], ratio| route.next(10, 0, hardness, ratio).unwrap();

        let rising = [0.1, 0.15, 0.2, 0.3, 0.4];
        assert_eq!(next(&rising, 2.0), stage(2, 10));
        assert_eq!(next(&rising, 3.5), stage(3, 10));
        // The last anchor has all remaining epochs.
        assert_eq!(next(&rising, 4.5), stage(4, 40));
        // All are too hard: the next anchor.
        assert_eq!(next(&rising, 1.0), stage(1, 10));
        // Hardness need not rise: the farthest counts, not the first that is too hard.
        assert_eq!(next(&[0.1, 0.5, 0.15, 0.5, 0.5], 2.0), stage(2, 10));
        // A student that equals its anchor continues with the next one.
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
        // No epochs remain for the anchors in between.
        assert_eq!(route.next(8, 0, &steep, 1.0), Some(stage(3, 2)));
        assert_eq!(Route::new(1, 7).start(), stage(0, 7));
    }
}
