use crate::{Context, Objective, Requirements, Terms};
use burn::module::Module;

/// An objective of every view of the samples, summed term by term.
///
/// ```text
/// term = Σ over views of term(student(view), teacher(view), targets)
/// ```
///
/// For methods that teach several augmentations of each sample, which a loader then has to make.
///
/// # Example
///
/// ```
/// use burn_distill_core::{EveryView, CrossEntropyObjective, Knowledge, Objective};
///
/// let objective = EveryView::new(CrossEntropyObjective::new(0.1), 2);
///
/// assert_eq!(Objective::<Knowledge, ()>::requirements(&objective).views, 2);
/// ```
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct EveryView<O> {
    /// What is computed of each view.
    pub objective: O,
    /// How many views there are.
    pub views: usize,
}

crate::one_line_display!(EveryView<O>: objective, views);

impl<O> EveryView<O> {
    /// That objective of so many views.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    pub fn new(objective: O, views: usize) -> Self {
        assert!(views > 0, "An objective needs at least one view.");
        Self { objective, views }
    }
}

impl<S, T, O> Objective<S, T> for EveryView<O>
where
    O: Objective<S, T>,
{
    /// # Panics
    ///
    /// Panics if the objective inside requires several views, as another `EveryView` does.
    fn requirements(&self) -> Requirements {
        let requirements = self.objective.requirements();
        assert_eq!(
            requirements.views, 1,
            "`EveryView` computes an objective of one view for each view, but the objective inside \
             requires {} views: use a single `EveryView`.",
            requirements.views
        );
        Requirements {
            views: self.views,
            ..requirements
        }
    }

    fn forward(&self, context: &Context<'_, S, T>) -> Terms {
        (0..self.views)
            .map(|view| self.objective.forward(&context.of_view(view)))
            .reduce(Terms::plus)
            .expect("there is at least one view")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, CrossEntropyObjective, Knowledge, Response, Taps, Targets, View};
    use burn::tensor::{Device, Tensor};

    fn knowledge(logits: [[f32; 2]; 1]) -> Knowledge {
        Knowledge {
            response: Response::Classes(Tensor::from_data(logits, &Device::default())),
            taps: Taps::default(),
        }
    }

    #[test]
    fn terms_of_the_views_add_up_under_one_name() {
        let targets = Targets::classes(Tensor::from_data([0], &Device::default()));
        let weak = knowledge([[0.0, 0.0]]);
        let strong = [View {
            student: knowledge([[0.0, 3.0_f32.ln()]]),
            teacher: (),
        }];
        let context = Context::new(&weak, &(), &targets, &[0], Clock::start());

        let terms = EveryView::new(CrossEntropyObjective::new(0.5), 2)
            .forward(&context.with_further(&strong));

        let term = terms.iter().next().unwrap();
        assert_eq!(
            (terms.len(), term.name.as_str(), term.weight),
            (1, "cross-entropy", 0.5)
        );
        let value = term.value.clone().into_scalar::<f32>(); // ln 2 + ln 4
        assert!((value - 2.079442).abs() < 1e-6, "{value}");
    }

    #[test]
    #[should_panic(expected = "View 1 is asked for, but only 1 are known")]
    fn views_that_nobody_showed_are_missed() {
        let student = knowledge([[0.0, 0.0]]);
        let context = Context::new(&student, &(), &Targets::Unlabeled, &[0], Clock::start());

        EveryView::new(CrossEntropyObjective::new(1.0), 2).forward(&context);
    }

    #[test]
    fn a_sum_wants_as_many_views_as_the_most_of_its_parts() {
        let objective = (
            EveryView::new(CrossEntropyObjective::new(1.0), 3),
            CrossEntropyObjective::new(1.0),
        );

        assert_eq!(
            Objective::<Knowledge, ()>::requirements(&objective).views,
            3
        );
    }

    #[test]
    #[should_panic(expected = "the objective inside requires 3 views: use a single `EveryView`")]
    fn every_view_does_not_nest() {
        let inner = EveryView::new(CrossEntropyObjective::new(1.0), 3);

        Objective::<Knowledge, ()>::requirements(&EveryView::new(inner, 2));
    }

    #[test]
    fn display() {
        assert_eq!(
            EveryView::new(CrossEntropyObjective::new(0.5), 2).to_string(),
            "EveryView {objective: Hard {weight: Constant(0.5)}, views: 2}"
        );
    }
}
