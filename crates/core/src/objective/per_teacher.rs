use crate::{Context, Knowledge, Objective, Requirements, Term, Terms};
use burn::module::Module;
use std::collections::BTreeMap;

/// One objective per teacher, averaged over the teachers.
///
/// ```text
/// L = 1 / M · Σₘ objectiveₘ(student, teacherₘ, targets)
/// ```
///
/// The values of terms with the same name are averaged into one term, so they must have the same
/// weight. A term that does not use the teacher, such as the cross-entropy with the labels, keeps
/// its value. Only objectives of one view are supported.
#[derive(Module, Debug)]
pub struct PerTeacher<O> {
    /// Objectives in the order of the teachers. The adapters of each fit its teacher.
    pub objectives: Vec<O>,
}

impl<O: Objective> PerTeacher<O> {
    /// Creates the average of several objectives, in the order of the teachers.
    ///
    /// # Panics
    ///
    /// Panics if there are no objectives, or if one requires several views.
    pub fn new(objectives: impl IntoIterator<Item = O>) -> Self {
        let objectives: Vec<_> = objectives.into_iter().collect();
        assert!(
            !objectives.is_empty(),
            "There should be an objective for at least one teacher, but there is none."
        );
        objectives.iter().for_each(assert_one_view);
        Self { objectives }
    }
}

/// Asserts that an objective for several teachers is of one view.
pub(super) fn assert_one_view<O: Objective>(objective: &O) {
    let views = objective.requirements().views;
    assert_eq!(
        views, 1,
        "An objective for several teachers should require 1 view, but this one requires {views}."
    );
}

/// Returns the requirements of one objective per teacher, in the order of the teachers.
pub(super) fn of_each_teacher<O: Objective>(objectives: &[O]) -> Requirements {
    let requirements = |(index, objective): (usize, &O)| {
        let Requirements {
            student, teacher, ..
        } = objective.requirements();
        Requirements {
            student,
            teacher: teacher.of_network(index),
            ..Requirements::default()
        }
    };
    let all = objectives.iter().enumerate().map(requirements);
    all.fold(Requirements::default(), Requirements::union)
}

impl<O: Objective> Objective<Knowledge, Vec<Knowledge>> for PerTeacher<O> {
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
        let each = self.objectives.iter().zip(context.teacher);
        let terms =
            each.map(|(objective, teacher)| objective.forward(&context.with_teacher(teacher)));
        summed(terms, 1.0 / self.objectives.len() as f64)
    }
}

/// Returns the terms of several objectives, of which those of one name are added up into one term.
/// Each value is multiplied by `share`.
///
/// # Panics
///
/// Panics if terms of one name have different weights.
pub(super) fn summed(all: impl IntoIterator<Item = Terms>, share: f64) -> Terms {
    let mut sums: Vec<Term> = Vec::new();
    let mut places = BTreeMap::new();
    for term in all.into_iter().flatten() {
        let value = term.value.mul_scalar(share);
        match places.get(&term.name) {
            None => {
                places.insert(term.name.clone(), sums.len());
                sums.push(Term { value, ..term });
            }
            Some(&place) => {
                let sum: &mut Term = &mut sums[place];
                assert_eq!(
                    sum.weight, term.weight,
                    "The weight of a term should be the same for all teachers, but that of `{}` \
                     differs: give the term another name for one of the teachers.",
                    term.name
                );
                sum.value = sum.value.clone().add(value);
            }
        }
    }
    sums.into_iter()
        .map(Terms::from)
        .fold(Terms::default(), Terms::and)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SquaredDifference;
    use crate::{
        Clock, CrossEntropyObjective, EveryView, NoAdapter, TapObjective, TapPair, TapSelection,
        Targets,
    };
    use burn::tensor::{Device, Tensor};

    fn knowledge(name: &str, value: f32, device: &Device) -> Knowledge {
        let vectors = Tensor::<2>::full([2, 3], value, device);
        Knowledge::from_logits(Tensor::zeros([2, 4], device)).with_taps([(name, vectors)])
    }

    #[test]
    fn terms_are_averaged_over_the_teachers() {
        let device = Device::default();
        let against = |tap: &str| -> (
            CrossEntropyObjective,
            TapObjective<SquaredDifference, NoAdapter>,
        ) {
            let pair = TapPair::new("pool", tap, SquaredDifference {});
            (
                CrossEntropyObjective::new(0.5),
                TapObjective::new([pair], 2.0),
            )
        };
        let objective = PerTeacher::new([against("pool"), against("hidden.1")]);

        let student = knowledge("pool", 1.0, &device);
        let teachers = vec![
            knowledge("pool", 2.0, &device),
            knowledge("hidden.1", 4.0, &device),
        ];
        let targets = Targets::classes(Tensor::zeros([2], &device));
        let context = Context::new(&student, &teachers, &targets, &[0, 1], Clock::start());
        let terms = objective.forward(&context);

        let terms: Vec<_> = terms
            .into_iter()
            .map(|term| (term.name, term.weight, term.value.into_scalar::<f32>()))
            .collect();
        assert_eq!(terms[0].0, "cross-entropy");
        assert!((terms[0].2 - 4.0_f32.ln()).abs() < 1e-6);
        assert_eq!(
            terms[1],
            ("squared-difference".to_string(), 2.0, (1.0 + 9.0) / 2.0)
        );
        let requirements = objective.requirements().teacher;
        assert_eq!(
            requirements.for_network(1),
            TapSelection::named(["hidden.1"])
        );
    }

    #[test]
    #[should_panic(
        expected = "The weight of a term should be the same for all teachers, but that of `cross-entropy`"
    )]
    fn different_weights_of_one_term_are_refused() {
        let device = Device::default();
        let objective = PerTeacher::new([
            CrossEntropyObjective::new(0.5),
            CrossEntropyObjective::new(1.0),
        ]);
        let student = knowledge("pool", 1.0, &device);
        let teachers = vec![student.clone(), student.clone()];
        let targets = Targets::classes(Tensor::zeros([2], &device));
        objective.forward(&Context::new(
            &student,
            &teachers,
            &targets,
            &[0, 1],
            Clock::start(),
        ));
    }

    #[test]
    #[should_panic(expected = "should require 1 view, but this one requires 2")]
    fn several_views_are_refused() {
        let of_views = |views| EveryView::new(TapObjective::new([pair()], 1.0), views);
        PerTeacher::new([of_views(1), of_views(2)]);
    }

    fn pair() -> TapPair<SquaredDifference, NoAdapter> {
        TapPair::new("pool", "pool", SquaredDifference {})
    }
}
