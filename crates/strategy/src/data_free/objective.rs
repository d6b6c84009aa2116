use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use burn_distill_core::{Clock, Knowledge, Requirements, Terms};

/// Objective of a generator, whose images take the place of data.
///
/// Gradients flow to the images, also through the teacher, whose parameters and running statistics
/// are constant.
pub trait GeneratorObjective: Module + ModuleDisplay + 'static {
    /// Returns the taps of student and teacher that the objective needs.
    fn requirements(&self) -> Requirements;

    /// Returns whether the objective compares the teacher with the student. If not, the student
    /// does not compute the images for it.
    fn uses_student(&self) -> bool;

    /// Computes the terms of the loss of the generator for a batch of its images.
    fn forward(&self, context: &GeneratorContext<'_>) -> Terms;
}

/// Input of a [`GeneratorObjective`]: a batch of images, and the outputs of the networks for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct GeneratorContext<'a> {
    /// Images, in training on the graph of the generator. Shape:
    /// `[batch_size, channels, height, width]`.
    pub images: &'a Tensor<4>,
    /// Output of the teacher, with gradients for the images.
    pub teacher: &'a Knowledge,
    /// Output of the student, with gradients for the images, if the objective
    /// [uses it](GeneratorObjective::uses_student).
    pub student: Option<&'a Knowledge>,
    /// Position of the batch in the training.
    pub clock: Clock,
}

impl<'a> GeneratorContext<'a> {
    /// Creates a context without a student and with an [unstamped](Clock::unstamped) clock.
    pub fn new(images: &'a Tensor<4>, teacher: &'a Knowledge) -> Self {
        Self {
            images,
            teacher,
            student: None,
            clock: Clock::unstamped(),
        }
    }

    /// Sets the output of the student.
    pub fn with_student(mut self, student: &'a Knowledge) -> Self {
        self.student = Some(student);
        self
    }

    /// Sets the position of the batch in the training.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Returns the output of the student.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    pub fn expect_student(&self) -> &'a Knowledge {
        self.student.expect(
            "The objective of the generator compares the teacher with the student, but there is \
             no output of the student: let `uses_student` return true.",
        )
    }
}
