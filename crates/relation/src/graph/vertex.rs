use burn::module::Module;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{
    Context, Knowledge, LossTerm, NamedLoss, Requirements, Response, TapSelection,
};

/// What one network of a graph says about a batch.
#[derive(Clone, Debug)]
pub struct Vertex {
    /// The class logits. Shape: `[batch_size, num_classes]`.
    pub logits: Tensor<2>,
    /// The representation. Shape: `[batch_size, features]`.
    pub representation: Tensor<2>,
}

impl Vertex {
    fn of(knowledge: &Knowledge, tap: &str) -> Self {
        Self {
            logits: class_logits(&knowledge.response),
            representation: knowledge.taps.expect(tap).into_vectors(),
        }
    }

    /// The same in at least single precision.
    pub(super) fn at_least_f32(self) -> Self {
        Self {
            logits: at_least_f32(self.logits),
            representation: at_least_f32(self.representation),
        }
    }

    /// The same values as constants, off the autodiff graph.
    pub(super) fn without_autodiff(self) -> Self {
        Self {
            logits: self.logits.without_autodiff(),
            representation: self.representation.without_autodiff(),
        }
    }
}

pub(super) fn class_logits(response: &Response) -> Tensor<2> {
    let logits = response.classes();
    let logits = logits.expect("A graph of networks compares class logits.");
    logits.clone()
}

/// Assert that a teacher speaks about the same samples as the student, and about that many teachers.
pub(super) fn assert_teachers(
    batch_size: usize,
    expected: usize,
    teachers: impl ExactSizeIterator<Item = Tensor<2>>,
) {
    assert_eq!(
        teachers.len(),
        expected,
        "This graph has {expected} teachers, not {}.",
        teachers.len()
    );
    for teacher in teachers {
        assert_shape!(teacher, [batch_size, _]);
    }
}

/// A loss between a student and all of its teachers at once.
pub trait GraphLoss: NamedLoss {
    /// The loss, reduced to one value. No gradient flows to the teachers.
    ///
    /// # Shapes
    ///
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there are more or fewer teachers than the loss was made for, or if shapes differ
    /// from those it was made for.
    fn forward_graph(&self, student: Vertex, teachers: Vec<Vertex>) -> Tensor<1>;
}

/// The term of a loss between a student and all of its teachers.
///
/// The parameters of the loss itself train with the student.
#[derive(Module, Debug)]
pub struct GraphTerm<L> {
    /// The loss.
    pub loss: L,
    /// The name of the student's tap.
    pub student: String,
    /// The name of the tap of each teacher.
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
        let teachers = self.teachers.iter().enumerate();
        let teacher = teachers
            .map(|(index, tap)| TapSelection::named([tap]).of_network(index))
            .fold(TapSelection::None, TapSelection::union);
        Requirements {
            student: TapSelection::named([&self.student]),
            teacher,
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Tensor<1> {
        assert_eq!(
            context.teacher.len(),
            self.teachers.len(),
            "There are taps for {} teachers, not {}.",
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
