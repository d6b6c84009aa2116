use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, zero_padding};
use burn_distill_core::{LossError, Tap, check_same};

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

/// Checks that there are pairs of layers, of as many channels on both sides.
pub(crate) fn check_maps(student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
    if student.len() < 2 {
        return Err(LossError::new(format_args!(
            "There should be at least two layers of the student, got {}.",
            student.len()
        )));
    }
    check_same("layers", student.len(), teacher.len())?;
    for (student, teacher) in student.iter().zip(teacher) {
        check_same("channels", student.channels()?, teacher.channels()?)?;
    }
    Ok(())
}

/// Checks that there are one or two layers on both sides.
pub(crate) fn check_two_layers(student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
    for layers in [student, teacher] {
        if !(1..=2).contains(&layers.len()) {
            return Err(LossError::new(format_args!(
                "There should be one layer of tokens or two, got {}.",
                layers.len()
            )));
        }
    }
    Ok(())
}

/// The two taps as layers of tokens; one alone is there twice.
pub(crate) fn two_layers(taps: Vec<Tap>) -> [Tensor<3>; 2] {
    let mut layers: Vec<_> = taps.into_iter().map(Tap::into_sequence).collect();
    if let [one] = layers.as_slice() {
        layers.push(one.clone());
    }
    layers.try_into().unwrap_or_else(|layers: Vec<_>| {
        panic!(
            "There should be one layer of tokens or two, got {}.",
            layers.len()
        )
    })
}

/// The layers in at least single precision, with zeros in place of padding.
pub(crate) fn prepared<const N: usize>(
    layers: [Tensor<3>; N],
    mask: Option<&Tensor<2, Bool>>,
) -> [Tensor<3>; N] {
    layers.map(|layer| zero_padding(at_least_f32(layer), mask))
}
