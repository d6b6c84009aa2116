use burn_distill_core::Tap;

/// The layers of the student, each with the teacher's that it learns from.
///
/// # Panics
///
/// Panics if there is none, or if there are not as many of either.
pub(crate) fn pair_layers(
    student: Vec<Tap>,
    teacher: Vec<Tap>,
) -> impl Iterator<Item = (Tap, Tap)> {
    assert!(!student.is_empty(), "There should be a layer to compare.");
    assert_eq!(
        student.len(),
        teacher.len(),
        "Each layer of the student is compared with one of the teacher."
    );
    student.into_iter().zip(teacher)
}
