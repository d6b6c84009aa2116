use burn_distill_core::Tap;

/// Pairs the layers of the student with those of the teacher.
///
/// # Panics
///
/// Panics if there are no layers, or if the numbers of layers differ.
pub(crate) fn pair_layers(
    student: Vec<Tap>,
    teacher: Vec<Tap>,
) -> impl Iterator<Item = (Tap, Tap)> {
    assert!(
        !student.is_empty(),
        "At least 1 layer of the student is needed, found none."
    );
    assert_eq!(
        student.len(),
        teacher.len(),
        "Student and teacher need the same number of layers, found {} and {}.",
        student.len(),
        teacher.len()
    );
    student.into_iter().zip(teacher)
}
