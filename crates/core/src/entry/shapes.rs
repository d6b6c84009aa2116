//! The kinds and shapes of taps, checked before a loss compares them.

use crate::{LossError, Tap};

impl Tap {
    /// Returns the number of channels of the tap as a [map](Self::into_map).
    ///
    /// # Errors
    ///
    /// Returns an error if it is attention or a mask, which are no features.
    pub fn channels(&self) -> Result<usize, LossError> {
        let shape = self.shape();
        match self {
            Self::Vector(_) | Self::Map(_) => Ok(shape[1]),
            Self::Sequence(_) => Ok(shape[2]),
            Self::Attention(_) | Self::Mask(_) => Err(self.refused("a map of features")),
        }
    }

    /// Returns the number of features of the tap as [one vector per sample](Self::into_vectors).
    ///
    /// # Errors
    ///
    /// Returns an error if it is attention or a mask, which are no features.
    pub fn vector_size(&self) -> Result<usize, LossError> {
        match self {
            Self::Vector(_) | Self::Sequence(_) | Self::Map(_) => {
                Ok(self.shape().as_slice()[1..].iter().product())
            }
            Self::Attention(_) | Self::Mask(_) => Err(self.refused("features")),
        }
    }

    /// Returns the length and the number of features of a [sequence](Self::into_sequence).
    ///
    /// # Errors
    ///
    /// Returns an error if it is none.
    pub fn sequence_size(&self) -> Result<[usize; 2], LossError> {
        match self {
            Self::Sequence(sequence) => {
                let [_, length, features] = sequence.dims();
                Ok([length, features])
            }
            _ => Err(self.refused("a sequence")),
        }
    }

    /// Returns the heads, queries and keys of [attention](Self::into_attention).
    ///
    /// # Errors
    ///
    /// Returns an error if it is none.
    pub fn attention_size(&self) -> Result<[usize; 3], LossError> {
        match self {
            Self::Attention(attention) => {
                let [_, heads, queries, keys] = attention.dims();
                Ok([heads, queries, keys])
            }
            _ => Err(self.refused("attention")),
        }
    }

    fn refused(&self, requirements: &str) -> LossError {
        LossError::new(self.not(requirements))
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

/// Checks that the number of one thing is the same on both sides, such as "layers".
///
/// # Errors
///
/// Returns an error with both numbers if it is not.
pub fn check_same<T: PartialEq + std::fmt::Display>(
    what: &str,
    student: T,
    teacher: T,
) -> Result<(), LossError> {
    match student == teacher {
        true => Ok(()),
        false => Err(LossError::new(format_args!(
            "it compares as many {what} of the student as of the teacher, but there are {student} and \
             {teacher}"
        ))),
    }
}

/// Checks that there are layers, and as many of the teacher as of the student.
///
/// # Errors
///
/// Returns an error if there are not.
pub fn check_paired(student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
    match student.is_empty() {
        true => Err(LossError::new("there should be a layer to compare")),
        false => check_same("layers", student.len(), teacher.len()),
    }
}

/// Checks that layers of tokens of the student and of the teacher have one length, and features of one
/// size where the loss compares them number by number.
///
/// # Errors
///
/// Returns an error if they have not.
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

/// Checks that all taps hold features, as maps do.
///
/// # Errors
///
/// Returns an error if one of them is attention or a mask.
pub fn check_all_features(student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
    let mut taps = student.iter().chain(teacher);
    taps.try_for_each(|tap| tap.channels().map(|_| ()))
}
