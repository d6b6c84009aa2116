use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::Tap;

/// The taps as maps.
pub(crate) fn maps(taps: Vec<Tap>) -> Vec<Tensor<4>> {
    taps.into_iter().map(Tap::into_map).collect()
}

/// Check that there are pairs of layers, of as many channels on both sides.
pub(crate) fn check_layers(student: &[Tensor<4>], teacher: &[Tensor<4>]) {
    assert!(
        student.len() >= 2,
        "There should be at least two layers of the student, got {}.",
        student.len()
    );
    assert_eq!(
        student.len(),
        teacher.len(),
        "There should be as many layers of the teacher as of the student."
    );
    for (student, teacher) in student.iter().zip(teacher) {
        let [batch_size, channels, _, _] = student.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
    }
}
