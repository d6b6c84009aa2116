use burn::module::Module;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{
    Context, Knowledge, LossTerm, NamedLoss, Requirements, Response, assert_teacher_count,
    requirements_of_several,
};

/// Logits and representation of one network of a graph for a batch.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// Class logits. Shape: `[batch_size, num_classes]`.
    pub logits: Tensor<2>,
    /// Representation. Shape: `[batch_size, features]`.
    pub representation: Tensor<2>,
}

impl Vertex {
    fn of(knowledge: &Knowledge, tap: &str) -> Self {
        Self {
            logits: class_logits(&knowledge.response),
            representation: knowledge.taps.expect(tap).into_vectors(),
        }
    }

    /// Returns the vertex in at least single precision.
    pub(super) fn at_least_f32(self) -> Self {
        Self {
            logits: at_least_f32(self.logits),
            representation: at_least_f32(self.representation),
        }
    }

    /// Returns the vertex as a constant, detached from the autodiff graph.
    pub(super) fn without_autodiff(self) -> Self {
        Self {
            logits: self.logits.without_autodiff(),
            representation: self.representation.without_autodiff(),
        }
    }
}

pub(super) fn class_logits(response: &Response) -> Tensor<2> {
    let logits = response.classes();
    let logits =
        logits.expect("A graph of networks compares class logits, but a network has none.");
    logits.clone()
}

/// Asserts that the number of teachers is the expected one and that each has the student's batch
/// size.
pub(super) fn assert_teachers(
    batch_size: usize,
    expected: usize,
    teachers: impl ExactSizeIterator<Item = Tensor<2>>,
) {
    assert_teacher_count(expected, teachers.len());
    for teacher in teachers {
        assert_shape!(teacher, [batch_size, _]);
    }
}

/// Loss between a student and all of its teachers at once.
pub trait GraphLoss: NamedLoss {
    /// Computes the loss, reduced to one value. No gradient flows to the teachers.
    ///
    /// # Shapes
    ///
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the one that the loss was created for.
    fn forward_graph(&self, student: Vertex, teachers: Vec<Vertex>) -> Tensor<1>;
}

/// Term of a loss between a student and all of its teachers.
///
/// The parameters of the loss are trained with the student.
#[derive(Module, Debug)]
pub struct GraphTerm<L> {
    /// Loss.
    pub loss: L,
    /// Name of the student's tap.
    pub student: String,
    /// Name of the tap of each teacher.
    pub teachers: Vec<String>,
}

impl<L> GraphTerm<L> {
    /// Creates the term of a loss between these taps.
    pub fn new<T: Into<String>>(
        loss: L,
        student: impl Into<String>,
        teachers: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            loss,
            student: student.into(),
            teachers: teachers.into_iter().map(Into::into).collect(),
        }
    }
}

impl<L: GraphLoss> NamedLoss for GraphTerm<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: GraphLoss> LossTerm<Knowledge, Vec<Knowledge>> for GraphTerm<L> {
    fn requirements(&self) -> Requirements {
        requirements_of_several(&self.student, &self.teachers)
    }

    fn value(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Tensor<1> {
        assert_eq!(
            context.teacher.len(),
            self.teachers.len(),
            "This term names taps of {} teachers, found {} teachers.",
            self.teachers.len(),
            context.teacher.len()
        );
        let student = Vertex::of(context.student, &self.student);
        let teachers = context.teacher.iter().zip(&self.teachers);
        let teachers = teachers
            .map(|(teacher, tap)| Vertex::of(teacher, tap))
            .collect();
        self.loss.forward_graph(student, teachers)
    }
}
