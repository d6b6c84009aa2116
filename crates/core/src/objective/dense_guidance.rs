use super::per_teacher::{assert_one_view, of_each_teacher, summed};
use crate::{Clock, Context, KeyedRng, Knowledge, Objective, Requirements, Terms};
use burn::module::Module;

/// Key of the drawn guides: other draws with the same seed are independent of them.
const PURPOSE: u64 = 0x4447_4b44; // DGKD

/// Densely guided knowledge distillation (DGKD): one objective per guide, added up over the guides
/// that are not dropped in this step.
///
/// The guides of a student are the teacher and all assistants. With `dropped` of `M` guides left
/// out at random, `K` the guides that are kept,
///
/// ```text
/// L = Σ_(m ∈ K) objectiveₘ(student, guideₘ, targets),    |K| = M − dropped
/// ```
///
/// Every guide, also the teacher, is left out with the same probability. The choice depends only on
/// the seed and the clock, so it is the same in a resumed run. It is made on the validation data
/// too, so that the loss there is of the same size.
///
/// A term that does not use the guides would be added up as well: give the cross-entropy with the
/// labels as another objective, beside this one. Only objectives of one view are supported.
///
/// # Example
///
/// ```
/// use burn_distill_core::{Clock, DenseGuidance, Objective};
///
/// /// Creates the objective of a student with a teacher and two assistants, one of which is left
/// /// out in every step.
/// fn guided<O: Objective>(soft_targets: impl Fn() -> O, seed: u64) -> DenseGuidance<O> {
///     let objective = DenseGuidance::new([soft_targets(), soft_targets(), soft_targets()], 1, seed);
///     assert_eq!(objective.kept(Clock::start()).len(), 2);
///     objective
/// }
/// ```
///
/// # Reference
///
/// W. Son, J. Na, J. Choi and W. Hwang, [Densely Guided Knowledge Distillation using Multiple
/// Teacher Assistants](https://arxiv.org/abs/2009.08825), ICCV 2021. Code: `wonchulSon/DGKD`.
#[doc(alias = "DGKD")]
#[derive(Module, Debug)]
pub struct DenseGuidance<O> {
    /// Objectives in the order of the guides. The adapters of each fit its guide.
    pub objectives: Vec<O>,
    /// Number of guides that are left out in every step.
    pub dropped: usize,
    /// Seed of the choice.
    #[module(skip)]
    seed: u64,
}

impl<O: Objective> DenseGuidance<O> {
    /// Creates the sum of several objectives, in the order of the guides, of which `dropped` are
    /// left out in every step.
    ///
    /// # Panics
    ///
    /// Panics if there are not more objectives than are left out, or if one requires several views.
    pub fn new(objectives: impl IntoIterator<Item = O>, dropped: usize, seed: u64) -> Self {
        let objectives: Vec<_> = objectives.into_iter().collect();
        assert!(
            objectives.len() > dropped,
            "There should be more guides than the {dropped} that are left out in every step, but there \
             are {}.",
            objectives.len()
        );
        objectives.iter().for_each(assert_one_view);
        Self {
            objectives,
            dropped,
            seed,
        }
    }

    /// Returns the indices of the guides that are kept in the step of a clock, ascending.
    pub fn kept(&self, clock: Clock) -> Vec<usize> {
        let all = self.objectives.len();
        let key = [self.seed, clock.epoch as u64, clock.batch as u64, PURPOSE];
        let mut kept = KeyedRng::new(key).distinct(all - self.dropped, all);
        kept.sort_unstable();
        kept
    }
}

impl<O: Objective> Objective<Knowledge, Vec<Knowledge>> for DenseGuidance<O> {
    fn requirements(&self) -> Requirements {
        of_each_teacher(&self.objectives)
    }

    fn forward(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Terms {
        assert_eq!(
            context.teacher.len(),
            self.objectives.len(),
            "There should be one objective for each of the {} guides, but there are {}.",
            context.teacher.len(),
            self.objectives.len()
        );
        let kept = self.kept(context.clock).into_iter();
        let terms = kept.map(|index| {
            let guide = &context.teacher[index];
            self.objectives[index].forward(&context.with_teacher(guide))
        });
        summed(terms, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SquaredDifference;
    use crate::{CrossEntropyObjective, EveryView, NoAdapter, TapObjective, TapPair, Targets};
    use burn::tensor::{Device, Tensor};
    use std::collections::BTreeMap;

    type Squared = TapObjective<SquaredDifference, NoAdapter>;

    fn squared() -> Squared {
        TapObjective::new([TapPair::new("pool", "pool", SquaredDifference {})], 2.0)
    }

    fn guided(guides: usize, dropped: usize, seed: u64) -> DenseGuidance<Squared> {
        DenseGuidance::new((0..guides).map(|_| squared()), dropped, seed)
    }

    fn knowledge(value: f32, device: &Device) -> Knowledge {
        let vectors = Tensor::<2>::full([2, 3], value, device);
        Knowledge::from_logits(Tensor::zeros([2, 4], device)).with_taps([("pool", vectors)])
    }

    fn at(epoch: usize, batch: usize) -> Clock {
        Clock {
            epoch,
            batch,
            batches: 10,
        }
    }

    /// Returns the weight and the value of the one term, for guides of these values.
    fn value(objective: &DenseGuidance<Squared>, guides: &[f32], clock: Clock) -> (String, f32) {
        let device = Device::default();
        let student = knowledge(1.0, &device);
        let guides: Vec<_> = guides.iter().map(|&of| knowledge(of, &device)).collect();
        let context = Context::new(&student, &guides, &Targets::Unlabeled, &[0, 1], clock);
        let terms: Vec<_> = objective.forward(&context).into_iter().collect();
        assert_eq!(terms.len(), 1);
        assert_eq!(terms[0].weight, 2.0);
        (terms[0].name.clone(), terms[0].value.clone().into_scalar())
    }

    #[test]
    fn terms_are_added_up_over_the_guides_that_are_kept() {
        // Squared differences of 1, 9 and 25.
        let (name, sum) = value(&guided(3, 0, 0), &[2.0, 4.0, 6.0], Clock::start());
        assert_eq!((name.as_str(), sum), ("squared-difference", 35.0));

        let objective = guided(3, 1, 7);
        for batch in 0..10 {
            let clock = at(2, batch);
            let kept = objective.kept(clock);
            assert_eq!(kept.len(), 2);
            let expected: f32 = kept.iter().map(|&index| [1.0, 9.0, 25.0][index]).sum();
            assert_eq!(value(&objective, &[2.0, 4.0, 6.0], clock).1, expected);
        }
    }

    #[test]
    fn every_guide_is_left_out_equally_often_and_the_teacher_too() {
        let objective = guided(3, 1, 5);
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for step in 0..900 {
            for index in objective.kept(at(1 + step / 10, step % 10)) {
                *counts.entry(index).or_default() += 1;
            }
        }

        // 600 each, give or take five standard deviations.
        let counts: Vec<_> = counts.into_values().collect();
        assert_eq!(counts.len(), 3);
        assert!(
            counts.iter().all(|count| (529..671).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_choice_depends_on_the_seed_and_the_clock_only() {
        let choices = |seed| -> Vec<_> {
            let objective = guided(4, 2, seed);
            (0..40)
                .map(|step| objective.kept(at(1 + step / 10, step % 10)))
                .collect()
        };

        assert_eq!(choices(3), choices(3));
        assert_ne!(choices(3), choices(4));
        let distinct: std::collections::BTreeSet<_> = choices(3).into_iter().collect();
        assert_eq!(distinct.len(), 6, "all pairs of four guides occur");
    }

    #[test]
    fn the_labels_count_once_beside_the_guides() {
        let device = Device::default();
        let student = knowledge(1.0, &device);
        let guides = vec![knowledge(2.0, &device), knowledge(4.0, &device)];
        let targets = Targets::classes(Tensor::zeros([2], &device));
        let context = Context::new(&student, &guides, &targets, &[0, 1], Clock::start());
        let objective = (CrossEntropyObjective::new(0.5), guided(2, 0, 0));

        let terms = objective.forward(&context);
        let values: Vec<_> = terms
            .into_iter()
            .map(|term| term.value.into_scalar::<f32>())
            .collect();
        assert!((values[0] - 4.0_f32.ln()).abs() < 1e-6);
        assert_eq!(values[1], 1.0 + 9.0);
    }

    #[test]
    #[should_panic(
        expected = "more guides than the 2 that are left out in every step, but there are 2"
    )]
    fn a_step_without_a_guide_is_refused() {
        guided(2, 2, 0);
    }

    #[test]
    #[should_panic(expected = "should require 1 view, but this one requires 2")]
    fn several_views_are_refused() {
        DenseGuidance::new([EveryView::new(squared(), 2)], 0, 0);
    }
}
