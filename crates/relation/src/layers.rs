use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, zero_padding};
use burn_distill_core::{LossError, Tap, check_same};

/// Asserts that there are at least two layers, with the same shapes except for the size of the
/// maps.
pub(crate) fn check_layers(student: &[Tensor<4>], teacher: &[Tensor<4>]) {
    assert!(
        student.len() >= 2,
        "The student needs at least 2 layers, found {}.",
        student.len()
    );
    assert_eq!(
        student.len(),
        teacher.len(),
        "Student and teacher need the same number of layers, found {} and {}.",
        student.len(),
        teacher.len()
    );
    for (student, teacher) in student.iter().zip(teacher) {
        let [batch_size, channels, _, _] = student.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
    }
}

/// Checks that there are at least two layers, with the same number of channels in both networks.
pub(crate) fn check_maps(student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
    if student.len() < 2 {
        return Err(LossError::new(format_args!(
            "The student needs at least 2 layers, found {}.",
            student.len()
        )));
    }
    check_same("layers", student.len(), teacher.len())?;
    for (student, teacher) in student.iter().zip(teacher) {
        check_same("channels", student.channels()?, teacher.channels()?)?;
    }
    Ok(())
}

/// Checks that each network has one or two layers.
pub(crate) fn check_two_layers(student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
    for layers in [student, teacher] {
        if !(1..=2).contains(&layers.len()) {
            return Err(LossError::new(format_args!(
                "Each network needs 1 or 2 layers of tokens, found {}.",
                layers.len()
            )));
        }
    }
    Ok(())
}

/// Returns the taps as two layers of tokens; a single layer is repeated.
pub(crate) fn two_layers(taps: Vec<Tap>) -> [Tensor<3>; 2] {
    let mut layers: Vec<_> = taps.into_iter().map(Tap::into_sequence).collect();
    if let [one] = layers.as_slice() {
        layers.push(one.clone());
    }
    layers.try_into().unwrap_or_else(|layers: Vec<_>| {
        panic!(
            "Each network needs 1 or 2 layers of tokens, found {}.",
            layers.len()
        )
    })
}

/// Returns the layers in at least single precision, with zeros in place of padding.
pub(crate) fn prepared<const N: usize>(
    layers: [Tensor<3>; N],
    mask: Option<&Tensor<2, Bool>>,
) -> [Tensor<3>; N] {
    layers.map(|layer| zero_padding(at_least_f32(layer), mask))
}
