//! Checks of the kinds and shapes of taps before a loss compares them.

use crate::{LossError, Tap};

impl Tap {
    /// Returns the number of channels of the tap as a [map](Self::into_map).
    ///
    /// # Errors
    ///
    /// Returns an error if the tap is attention or a mask, which hold no features.
    pub fn channels(&self) -> Result<usize, LossError> {
        let shape = self.shape();
        match self {
            Self::Vector(_) | Self::Map(_) => Ok(shape[1]),
            Self::Sequence(_) => Ok(shape[2]),
            Self::Attention(_) | Self::Mask(_) => {
                Err(self.refused("a vector, a sequence or a map"))
            }
        }
    }

    /// Returns the number of features of the tap as [one vector per sample](Self::into_vectors).
    ///
    /// # Errors
    ///
    /// Returns an error if the tap is attention or a mask, which hold no features.
    pub fn vector_size(&self) -> Result<usize, LossError> {
        match self {
            Self::Vector(_) | Self::Sequence(_) | Self::Map(_) => {
                Ok(self.shape().as_slice()[1..].iter().product())
            }
            Self::Attention(_) | Self::Mask(_) => {
                Err(self.refused("a vector, a sequence or a map"))
            }
        }
    }

    /// Returns the length and the number of features of a [sequence](Self::into_sequence).
    ///
    /// # Errors
    ///
    /// Returns an error if the tap is of another kind.
    pub fn sequence_size(&self) -> Result<[usize; 2], LossError> {
        match self {
            Self::Sequence(sequence) => {
                let [_, length, features] = sequence.dims();
                Ok([length, features])
            }
            _ => Err(self.refused("a sequence")),
        }
    }

    /// Returns the numbers of heads, queries and keys of [attention](Self::into_attention).
    ///
    /// # Errors
    ///
    /// Returns an error if the tap is of another kind.
    pub fn attention_size(&self) -> Result<[usize; 3], LossError> {
        match self {
            Self::Attention(attention) => {
                let [_, heads, queries, keys] = attention.dims();
                Ok([heads, queries, keys])
            }
            _ => Err(self.refused("attention")),
        }
    }

    /// Returns the height and the width of the tap as a [map](Self::into_map): 1 and 1 for a vector,
    /// the length and 1 for a sequence.
    ///
    /// # Errors
    ///
    /// Returns an error if the tap is attention or a mask, which hold no features.
    pub fn map_size(&self) -> Result<[usize; 2], LossError> {
        let shape = self.shape();
        match self {
            Self::Vector(_) => Ok([1, 1]),
            Self::Sequence(_) => Ok([shape[1], 1]),
            Self::Map(_) => Ok([shape[2], shape[3]]),
            Self::Attention(_) | Self::Mask(_) => {
                Err(self.refused("a vector, a sequence or a map"))
            }
        }
    }

    fn refused(&self, expected: &str) -> LossError {
        LossError::new(self.not(expected))
    }
}

/// Checks that two taps hold features.
///
/// # Errors
///
/// Returns an error if one of them is attention or a mask.
pub fn check_features(student: &Tap, teacher: &Tap) -> Result<(), LossError> {
    student.channels()?;
    teacher.channels()?;
    Ok(())
}

/// Checks that two taps have more than one position in common, for a loss that compares positions.
///
/// # Errors
///
/// Returns an error if one of them has a single position, after the larger is pooled to the size of
/// the smaller, or if one of them is attention or a mask.
pub fn check_positions(student: &Tap, teacher: &Tap) -> Result<(), LossError> {
    let ([height, width], [teacher_height, teacher_width]) =
        (student.map_size()?, teacher.map_size()?);
    match height.min(teacher_height) * width.min(teacher_width) {
        2.. => Ok(()),
        _ => Err(LossError::new(format_args!(
            "the loss compares positions, but the maps of {height}x{width} of the student and \
             {teacher_height}x{teacher_width} of the teacher have a single position in common: name taps \
             before the pooling"
        ))),
    }
}

/// Checks that a number, such as that of "layers", is the same for student and teacher.
///
/// # Errors
///
/// Returns an error with both numbers if they differ.
pub fn check_same<T: PartialEq + std::fmt::Display>(
    what: &str,
    student: T,
    teacher: T,
) -> Result<(), LossError> {
    match student == teacher {
        true => Ok(()),
        false => Err(LossError::new(format_args!(
            "student and teacher should have the same number of {what}, but have {student} and {teacher}"
        ))),
    }
}

/// Checks that there is at least one layer, and the same number of layers for student and teacher.
///
/// # Errors
///
/// Returns an error if there is no layer or if the numbers differ.
pub fn check_paired(student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
    match student.is_empty() {
        true => Err(LossError::new(
            "there should be at least one layer to compare, but there is none",
        )),
        false => check_same("layers", student.len(), teacher.len()),
    }
}

/// Checks that the layers of student and teacher are sequences of the same length, and, with
/// `same_features`, of the same number of features.
///
/// # Errors
///
/// Returns an error if they are not.
pub fn check_sequences(
    student: &[Tap],
    teacher: &[Tap],
    same_features: bool,
) -> Result<(), LossError> {
    check_paired(student, teacher)?;
    for (student, teacher) in student.iter().zip(teacher) {
        let [length, features] = student.sequence_size()?;
        let [teacher_length, teacher_features] = teacher.sequence_size()?;
        check_same("tokens", length, teacher_length)?;
        if same_features {
            check_same("features of a token", features, teacher_features)?;
        }
    }
    Ok(())
}

/// Checks that all taps hold features.
///
/// # Errors
///
/// Returns an error if one of them is attention or a mask.
pub fn check_all_features(student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
    let mut taps = student.iter().chain(teacher);
    taps.try_for_each(|tap| tap.channels().map(|_| ()))
}
