use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::numeric::at_least_f32;

/// Returns the maps of a loss over several layers, in at least single precision and the teacher's
/// as constants, after checking their numbers and batch sizes.
pub(crate) fn checked(
    student: Vec<Tensor<4>>,
    teacher: Vec<Tensor<4>>,
    [students, teachers]: [usize; 2],
) -> (Vec<Tensor<4>>, Vec<Tensor<4>>) {
    assert_eq!(
        [student.len(), teacher.len()],
        [students, teachers],
        "The loss was created for {students} maps of the student and {teachers} of the teacher, \
         found {} and {}.",
        student.len(),
        teacher.len()
    );
    let batch_size = student[0].dims()[0];
    for map in &student {
        assert_shape!(map, [batch_size, _, _, _]);
    }
    for teacher in &teacher {
        assert_shape!(teacher, [batch_size, _, _, _]);
    }
    let student = student.into_iter().map(at_least_f32).collect();
    let teacher = teacher
        .into_iter()
        .map(|map| at_least_f32(map.without_autodiff()))
        .collect();
    (student, teacher)
}
