use crate::{Context, Knowledge, Objective, Requirements, Terms};
use burn::module::Module;

/// An objective for several teachers, applied to a single one.
#[derive(Module, Debug)]
pub struct SingleTeacher<O> {
    /// Objective for several teachers, created for a single one.
    pub objective: O,
}

impl<O: Objective<Knowledge, Vec<Knowledge>>> SingleTeacher<O> {
    /// Creates an objective for one teacher from an objective for several.
    pub fn new(objective: O) -> Self {
        Self { objective }
    }
}

impl<O: Objective<Knowledge, Vec<Knowledge>>> Objective for SingleTeacher<O> {
    fn requirements(&self) -> Requirements {
        let Requirements {
            student,
            teacher,
            views,
        } = self.objective.requirements();
        Requirements {
            student,
            teacher: teacher.for_network(0),
            views,
        }
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let teachers = vec![context.teacher.clone()];
        self.objective.forward(&context.taught_by(&teachers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, PerTeacher, Response, Tap, TapLoss, TapObjective, TapPair, TapRecorder};
    use crate::{NamedLoss, TapSelection, Targets};
    use burn::tensor::{Bool, Device, Tensor};

    #[derive(Module, Debug)]
    struct Difference {}

    impl NamedLoss for Difference {
        fn name(&self) -> &'static str {
            "difference"
        }
    }

    impl TapLoss for Difference {
        fn forward_taps(
            &self,
            student: Tap,
            teacher: Tap,
            _: Option<Tensor<2, Bool>>,
        ) -> Tensor<1> {
            student.into_vectors().sub(teacher.into_vectors()).mean()
        }
    }

    #[test]
    fn a_list_of_one_teacher_is_like_that_teacher() {
        let device = Device::default();
        let knowledge = |value: f32| {
            let mut taps = TapRecorder::new(TapSelection::All);
            taps.offer("pool", || Tap::Vector(Tensor::full([2, 3], value, &device)));
            Knowledge {
                response: Response::Classes(Tensor::zeros([2, 4], &device)),
                taps: taps.finish().unwrap(),
            }
        };
        let pair = TapPair::new("pool", "pool", Difference {});
        let one = TapObjective::new([pair], 1.0);
        let objective = SingleTeacher::new(PerTeacher::new([one.clone()]));

        let (student, teacher) = (knowledge(5.0), knowledge(2.0));
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());

        assert_eq!(objective.requirements(), one.requirements());
        let value = objective.forward(&context).total().into_scalar::<f32>();
        assert_eq!(value, 3.0);
    }
}
