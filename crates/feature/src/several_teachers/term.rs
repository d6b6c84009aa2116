use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_core::{
    Context, DefaultTaps, Input, Knowledge, LossBuilder, LossError, LossTerm, NamedLoss,
    Requirements, Tap, Targets, requirements_of_several,
};

/// Loss between a map of a student and a map of each of its teachers.
pub trait TeacherMapsLoss: NamedLoss {
    /// Computes the loss, reduced to one value. No gradient flows to the teachers.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - each teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the one that the loss was created for.
    fn forward_maps(
        &self,
        student: Tensor<4>,
        teachers: Vec<Tensor<4>>,
        targets: &Targets,
    ) -> Tensor<1>;
}

/// Term of a loss between a tap of the student and a tap of each of its teachers.
///
/// The taps are maps, or vectors, which are maps of one pixel. The parameters of the loss are
/// trained with the student.
#[derive(Module, Debug)]
pub struct TeacherMapsTerm<L> {
    /// Loss.
    pub loss: L,
    /// Name of the student's tap.
    pub student: String,
    /// Name of the tap of each teacher.
    pub teachers: Vec<String>,
}

impl<L> TeacherMapsTerm<L> {
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

impl<L: TeacherMapsLoss> NamedLoss for TeacherMapsTerm<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: TeacherMapsLoss> LossTerm<Knowledge, Vec<Knowledge>> for TeacherMapsTerm<L> {
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
        let student = context.student.taps.expect(&self.student).into_map();
        let teachers = context.teacher.iter().zip(&self.teachers);
        let teachers = teachers.map(|(teacher, tap)| teacher.taps.expect(tap).into_map());
        self.loss
            .forward_maps(student, teachers.collect(), context.targets)
    }
}

/// Taps of a student and of each of its teachers that a loss compares.
pub(super) struct TeacherMaps {
    /// Name of the student's tap.
    pub student: String,
    /// Tap of the student.
    pub student_map: Tensor<4>,
    /// Name of the tap of each teacher.
    pub teachers: Vec<String>,
    /// Tap of each teacher.
    pub teacher_maps: Vec<Tensor<4>>,
}

impl TeacherMaps {
    /// Takes the taps from the keys `student` (one tap) and `teachers` (one tap for each teacher),
    /// by default the last map of each network, or else its pooled features.
    pub fn take<I: Input>(builder: &mut LossBuilder<'_, I>) -> Result<Self, LossError> {
        let contexts = builder.contexts();
        let student_taps = &contexts[0].student_taps;
        let student = builder.one("student", student_taps, DefaultTaps::LastMap)?;
        let teachers = builder.of_each_teacher(DefaultTaps::LastMap)?;
        let teacher_maps = contexts.iter().zip(&teachers);
        let teacher_maps = teacher_maps
            .map(|(context, tap)| map_of("teachers", tap, context.teacher_taps.get(tap)?));
        Ok(Self {
            student_map: map_of("student", &student, student_taps.get(&student)?)?,
            teacher_maps: teacher_maps.collect::<Result<_, LossError>>()?,
            student,
            teachers,
        })
    }
}

fn map_of(key: &str, name: &str, tap: &Tap) -> Result<Tensor<4>, LossError> {
    match tap {
        Tap::Map(_) | Tap::Vector(_) => Ok(tap.clone().into_map()),
        other => Err(LossError::of_key(
            key,
            format_args!(
                "the tap `{name}` should be a map or a vector, but its kind is {}: name another tap",
                other.kind()
            ),
        )),
    }
}
