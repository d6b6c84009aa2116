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
        self.objective.forward(&context.with_teacher(&teachers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SquaredDifference;
    use crate::{PerTeacher, TapObjective, TapPair};
    use burn::tensor::{Device, Tensor};

    #[test]
    fn a_list_of_one_teacher_is_like_that_teacher() {
        let device = Device::default();
        let knowledge = |value: f32| {
            let vectors = Tensor::<2>::full([2, 3], value, &device);
            Knowledge::from_logits(Tensor::zeros([2, 4], &device)).with_taps([("pool", vectors)])
        };
        let pair = TapPair::new("pool", "pool", SquaredDifference {});
        let one = TapObjective::new([pair], 1.0);
        let objective = SingleTeacher::new(PerTeacher::new([one.clone()]));

        let (student, teacher) = (knowledge(5.0), knowledge(2.0));
        let terms = objective.forward(&Context::of(&student, &teacher));

        assert_eq!(objective.requirements(), one.requirements());
        assert_eq!(terms.total().into_scalar::<f32>(), 9.0);
    }
}
