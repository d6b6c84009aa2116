use crate::{Context, Knowledge, Objective, Requirements, Response, Terms, View};
use burn::module::Module;
use burn::tensor::Tensor;

/// An objective over the classes that the teacher knows, which are the first ones of the student.
///
/// A network that learns tasks one after another has more classes than its copy from before the
/// task. The objective compares only the common ones:
///
/// ```text
/// L = objective(student[.., ..classes of the teacher], teacher)
/// ```
///
/// Any objective between two networks can be used. Samples of new classes count as unlabeled.
///
/// # Example
///
/// [Learning without Forgetting](https://arxiv.org/abs/1606.09282) (LwF): a cross-entropy over the
/// new classes, and a soft cross-entropy over the old ones. `first` is the number of old classes.
///
/// ```
/// # use burn::module::Module;
/// # use burn::tensor::{Device, Tensor};
/// # use burn_distill_core::{Context, Knowledge, Objective, Requirements, Terms};
/// use burn_distill_core::{NewClassCrossEntropy, OldClasses};
/// # #[derive(Module, Debug)]
/// # struct Soft {}
/// # impl Objective for Soft {
/// #     fn requirements(&self) -> Requirements { Requirements::responses() }
/// #     fn forward(&self, context: &Context<'_>) -> Terms {
/// #         let both = [context.student, context.teacher];
/// #         let [student, teacher] = both.map(|it| it.response.rows().logits);
/// #         Terms::one("soft", student.sub(teacher).square().mean(), 1.0)
/// #     }
/// # }
/// # let (soft_cross_entropy, first) = (Soft {}, 3);
/// let objective = (NewClassCrossEntropy::new(1.0, first), OldClasses::new(soft_cross_entropy));
/// # let device = Device::default();
/// # let student = Knowledge::from_logits(Tensor::zeros([2, 5], &device));
/// # let teacher = Knowledge::from_logits(Tensor::zeros([2, 3], &device));
/// # let loss = objective.forward(&Context::of(&student, &teacher)).total();
/// # assert_eq!(loss.into_scalar::<f32>(), 0.0);
/// ```
#[derive(Module, Debug)]
pub struct OldClasses<O> {
    /// Objective between the common classes of student and teacher.
    pub objective: O,
}

impl<O> OldClasses<O> {
    /// Creates the objective.
    pub fn new(objective: O) -> Self {
        Self { objective }
    }
}

/// # Panics
///
/// The forward pass panics if a response is not of class logits, or if the teacher has more classes
/// than the student.
impl<O: Objective> Objective for OldClasses<O> {
    fn requirements(&self) -> Requirements {
        self.objective.requirements()
    }

    fn forward(&self, context: &Context<'_>) -> Terms {
        let [_, classes] = logits(context.teacher, "teacher").dims();
        let narrowed = |student: &Knowledge| Knowledge {
            response: Response::Classes(first_classes(logits(student, "student"), classes)),
            taps: student.taps.clone(),
        };
        let student = narrowed(context.student);
        let views = context.further.iter().map(|view| View {
            student: narrowed(&view.student),
            teacher: view.teacher.clone(),
        });
        let further: Vec<_> = views.collect();
        let targets = context.targets.within_classes(0..classes);
        let context = Context::new(
            &student,
            context.teacher,
            &targets,
            context.ids,
            context.clock,
        );
        self.objective.forward(&context.with_further(&further))
    }
}

fn logits<'a>(knowledge: &'a Knowledge, of: &str) -> &'a Tensor<2> {
    let logits = knowledge.response.classes();
    logits.unwrap_or_else(|| {
        panic!(
            "Old classes are compared by class logits, but the {of} returns another response: use a \
             classifier."
        )
    })
}

fn first_classes(logits: &Tensor<2>, count: usize) -> Tensor<2> {
    let [_, classes] = logits.dims();
    assert!(
        count <= classes,
        "The teacher has {count} classes, but the student has only {classes}: the student should have \
         the classes of the teacher, and new ones after them."
    );
    logits.clone().narrow(1, 0, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CrossEntropyObjective, Targets};
    use burn::tensor::{Device, TensorData, Tolerance};

    /// The squared difference of the logits, and the cross-entropy with the targets.
    #[derive(Module, Debug)]
    struct Difference {}

    impl Objective for Difference {
        fn requirements(&self) -> Requirements {
            Requirements {
                views: 2,
                ..Requirements::responses()
            }
        }

        fn forward(&self, context: &Context<'_>) -> Terms {
            let of_view = |view: usize| {
                let context = context.of_view(view);
                let logits = |side: &Knowledge| side.response.rows().logits;
                logits(context.student)
                    .sub(logits(context.teacher))
                    .square()
                    .sum()
            };
            let labels = CrossEntropyObjective::new(1.0).forward(context);
            Terms::one("difference", of_view(0).add(of_view(1)), 1.0).and(labels)
        }
    }

    #[test]
    fn the_teacher_is_compared_with_the_first_classes() {
        let device = Device::default().autodiff();
        let logits = Tensor::<2>::from_data([[1.0, 1.0, 9.0], [0.0, 2.0, 9.0]], &device);
        let logits = logits.require_grad();
        let student = Knowledge::from_logits(logits.clone());
        let teacher =
            || Knowledge::from_logits(Tensor::from_data([[0.0, 1.0], [0.0, 0.0]], &device));
        let targets = Targets::labels(&[Some(1), Some(2)], &device);
        let further = [View {
            student: student.clone(),
            teacher: teacher(),
        }];

        let teacher = teacher();
        let context = Context::of(&student, &teacher).with_targets(&targets);
        let objective = OldClasses::new(Difference {});
        let terms = objective.forward(&context.with_further(&further));
        let values: Vec<_> = terms
            .iter()
            .map(|term| (term.name.clone(), term.value.clone().into_scalar::<f32>()))
            .collect();
        let grads = terms.total().backward();

        // 1 + 4 in both views; the second sample is of a new class, so only the first has a label.
        assert_eq!(objective.requirements().views, 2);
        assert_eq!(values[0], ("difference".into(), 10.0));
        assert!(
            (values[1].1 - std::f32::consts::LN_2).abs() < 1e-5,
            "{values:?}"
        );
        // Twice 2 · (student − teacher), and softmax − one-hot.
        let expected = TensorData::from([[4.5, -0.5, 0.0], [0.0, 8.0, 0.0]]);
        logits
            .grad(&grads)
            .unwrap()
            .into_data()
            .assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    #[should_panic(expected = "The teacher has 3 classes, but the student has only 2")]
    fn a_teacher_with_more_classes_is_refused() {
        let of = |classes| Knowledge::from_logits(Tensor::zeros([1, classes], &Device::default()));
        OldClasses::new(Difference {}).forward(&Context::of(&of(2), &of(3)));
    }
}
