use super::per_teacher::{assert_one_view, of_each_teacher};
use crate::{Clock, Context, KeyedRng, Knowledge, Objective, Requirements, Terms};
use burn::module::Module;
use std::sync::Once;

/// An objective for one of several teachers.
///
/// The other teachers do not count for it. Only objectives of one view are supported.
///
/// # Example
///
/// The first of several teachers gives hints, while all of them give soft targets:
///
/// ```
/// use burn_distill_core::{Objective, OfTeacher, PerTeacher};
///
/// fn objective<H: Objective, S: Objective>(
///     hints: H,
///     soft: [S; 2],
/// ) -> (OfTeacher<H>, PerTeacher<S>) {
///     (OfTeacher::new(hints, 0), PerTeacher::new(soft))
/// }
/// ```
#[derive(Module, Debug)]
pub struct OfTeacher<O> {
    /// Objective for the teacher.
    pub objective: O,
    /// Index of the teacher, counted from 0.
    pub index: usize,
}

impl<O: Objective> OfTeacher<O> {
    /// Creates an objective for the teacher of an index, counted from 0.
    ///
    /// # Panics
    ///
    /// Panics if the objective requires several views.
    pub fn new(objective: O, index: usize) -> Self {
        assert_one_view(&objective);
        Self { objective, index }
    }
}

impl<O: Objective> Objective<Knowledge, Vec<Knowledge>> for OfTeacher<O> {
    fn requirements(&self) -> Requirements {
        let requirements = self.objective.requirements();
        Requirements {
            teacher: requirements.teacher.of_network(self.index),
            ..requirements
        }
    }

    fn forward(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Terms {
        let teachers = context.teacher.len();
        let teacher = context.teacher.get(self.index).unwrap_or_else(|| {
            panic!(
                "This objective is for the teacher with index {}, but there are {teachers} teachers, \
                 whose indices begin at 0.",
                self.index
            )
        });
        self.objective.forward(&context.with_teacher(teacher))
    }
}

/// Key of the choice of a teacher: other draws with the same seed are independent of it.
const PURPOSE: u64 = 0x5445_4143;

/// One objective per teacher, of which a random one is used in each batch.
///
/// ```text
/// L = objectiveₘ(student, teacherₘ, targets),   m uniform in 0..M
/// ```
///
/// The teacher depends only on the seed and on the clock of the batch, so it is the same in a
/// resumed training, and the same for all objectives of one seed. The objectives must have terms of
/// the same names. Parameters of an objective have no gradient in the batches of other teachers.
/// All teachers compute their outputs in each batch. Only objectives of one view are supported.
///
/// # Reference
///
/// T. Fukuda, M. Suzuki, G. Kurata, S. Thomas, J. Cui and B. Ramabhadran, [Efficient Knowledge
/// Distillation from an Ensemble of Teachers](https://doi.org/10.21437/Interspeech.2017-614),
/// Interspeech 2017: the training that switches teachers at the level of mini-batches.
#[derive(Module, Debug)]
pub struct RandomTeacher<O> {
    /// Objectives in the order of the teachers. The adapters of each fit its teacher.
    pub objectives: Vec<O>,
    /// Seed of the choices.
    #[module(skip)]
    pub seed: u64,
}

impl<O: Objective> RandomTeacher<O> {
    /// Creates the random choice between several objectives, in the order of the teachers.
    ///
    /// # Panics
    ///
    /// Panics if there are no objectives, or if one requires several views.
    pub fn new(objectives: impl IntoIterator<Item = O>, seed: u64) -> Self {
        let objectives: Vec<_> = objectives.into_iter().collect();
        assert!(
            !objectives.is_empty(),
            "There should be an objective for at least one teacher, but there is none."
        );
        objectives.iter().for_each(assert_one_view);
        Self { objectives, seed }
    }

    /// Returns the index of the teacher of a batch.
    ///
    /// If the clock is not [stamped](Clock::is_stamped), it is the same teacher in every batch, and
    /// a warning is logged the first time.
    pub fn teacher_at(&self, clock: &Clock) -> usize {
        if !clock.is_stamped() {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| {
                log::warn!(
                    "the teacher should be chosen for each batch, but the batches have no clock, so it \
                     is always the same one: wrap the data loader in a `ClockedLoader`, or set \
                     `Batch::clock`"
                );
            });
        }
        let key = [self.seed, clock.epoch as u64, clock.batch as u64, PURPOSE];
        KeyedRng::new(key).below(self.objectives.len() as u64) as usize
    }
}

impl<O: Objective> Objective<Knowledge, Vec<Knowledge>> for RandomTeacher<O> {
    fn requirements(&self) -> Requirements {
        of_each_teacher(&self.objectives)
    }

    fn forward(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Terms {
        assert_eq!(
            context.teacher.len(),
            self.objectives.len(),
            "There should be one objective for each of the {} teachers, but there are {}.",
            context.teacher.len(),
            self.objectives.len()
        );
        let index = self.teacher_at(&context.clock);
        self.objectives[index].forward(&context.with_teacher(&context.teacher[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SquaredDifference;
    use crate::{EveryView, NoAdapter, TapObjective, TapPair, TapSelection, Targets};
    use burn::tensor::{Device, Tensor};

    type Difference = TapObjective<SquaredDifference, NoAdapter>;

    fn difference(tap: &str) -> Difference {
        TapObjective::new([TapPair::new("pool", tap, SquaredDifference {})], 2.0)
    }

    fn knowledge(name: &str, value: f32) -> Knowledge {
        let device = Device::default();
        let vectors = Tensor::<2>::full([2, 3], value, &device);
        Knowledge::from_logits(Tensor::zeros([2, 4], &device)).with_taps([(name, vectors)])
    }

    fn clock(epoch: usize, batch: usize) -> Clock {
        Clock {
            epoch,
            batch,
            batches: 8,
        }
    }

    fn value<O: Objective<Knowledge, Vec<Knowledge>>>(objective: &O, clock: Clock) -> f32 {
        let student = knowledge("pool", 0.0);
        let teachers = vec![knowledge("pool", 1.0), knowledge("hidden.1", 2.0)];
        let context = Context::new(&student, &teachers, &Targets::Unlabeled, &[0, 1], clock);
        objective.forward(&context).total().into_scalar()
    }

    #[test]
    fn only_the_teacher_of_the_index_counts() {
        let objective = OfTeacher::new(difference("hidden.1"), 1);

        assert_eq!(value(&objective, Clock::start()), 8.0);
        let teacher = objective.requirements().teacher;
        assert_eq!(teacher.for_network(1), TapSelection::named(["hidden.1"]));
        assert_eq!(teacher.for_network(0), TapSelection::None);
    }

    #[test]
    fn the_teacher_is_random_and_depends_only_on_seed_and_clock() {
        let random = |seed| RandomTeacher::new([difference("pool"), difference("hidden.1")], seed);
        let of = |seed| -> Vec<f32> {
            let objective = random(seed);
            let clocks = (1..=40).flat_map(|epoch| (0..8).map(move |batch| clock(epoch, batch)));
            clocks.map(|clock| value(&objective, clock)).collect()
        };

        let values = of(7);
        assert_eq!(values, of(7));
        assert_ne!(values, of(8));
        assert_ne!(values[..8], values[8..16]);
        assert!(values.iter().all(|value| [2.0, 8.0].contains(value)));
        // 160 of 320, give or take five standard deviations.
        let second = values.iter().filter(|value| **value == 8.0).count();
        assert!((115..205).contains(&second), "{second}");

        let teacher = random(7).requirements().teacher;
        assert_eq!(teacher.for_network(0), TapSelection::named(["pool"]));
        assert_eq!(teacher.for_network(1), TapSelection::named(["hidden.1"]));
    }

    #[test]
    #[should_panic(
        expected = "is for the teacher with index 2, but there are 2 teachers, whose indices begin at 0"
    )]
    fn a_teacher_that_does_not_exist_is_refused() {
        value(&OfTeacher::new(difference("pool"), 2), Clock::start());
    }

    #[test]
    #[should_panic(
        expected = "There should be one objective for each of the 2 teachers, but there are 3"
    )]
    fn another_number_of_objectives_is_refused() {
        let objectives = [(); 3].map(|_| difference("pool"));
        value(&RandomTeacher::new(objectives, 0), Clock::start());
    }

    #[test]
    #[should_panic(expected = "should require 1 view, but this one requires 2")]
    fn several_views_are_refused() {
        OfTeacher::new(EveryView::new(difference("pool"), 2), 0);
    }
}
