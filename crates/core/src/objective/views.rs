use crate::{Context, Objective, Requirements, Terms};
use burn::module::Module;

/// An objective that is applied to several views of each sample. The values of each term are
/// summed.
///
/// ```text
/// term = Σ over views of term(student(view), teacher(view), targets)
/// ```
///
/// The loader has to create the views, which are augmentations of the same samples.
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
    /// Objective that is applied to each view.
    pub objective: O,
    /// Number of views.
    pub views: usize,
}

crate::one_line_display!(EveryView<O>: objective, views);

impl<O> EveryView<O> {
    /// Creates an objective of several views from an objective of one.
    ///
    /// # Panics
    ///
    /// Panics if the number of views is zero.
    pub fn new(objective: O, views: usize) -> Self {
        assert!(
            views > 0,
            "An objective needs at least one view, but got 0."
        );
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
            .reduce(Terms::add_values)
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
    #[should_panic(
        expected = "View 1 (counted from 0) is needed, but this training provides only 1"
    )]
    fn a_view_that_is_not_provided_is_refused() {
        let student = knowledge([[0.0, 0.0]]);
        let context = Context::new(&student, &(), &Targets::Unlabeled, &[0], Clock::start());

        EveryView::new(CrossEntropyObjective::new(1.0), 2).forward(&context);
    }

    #[test]
    fn a_sum_requires_the_most_views_of_its_parts() {
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
            "EveryView {objective: CrossEntropyObjective {weight: Constant(0.5), denominator: \
             Labeled}, views: 2}"
        );
    }
}
