use super::AdapterKind;
use burn_distill_core::Tap;

/// Why there is no adapter from one tap to another. Shapes are given without the batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// Attention or a mask.
    #[error("the {side}'s tap is {tap}: only a vector, a sequence or a map has features to adapt")]
    NoFeatures {
        /// Whose: `student` or `teacher`.
        side: &'static str,
        /// Its tap.
        tap: String,
    },
    /// A vector beside a map, for instance.
    #[error(
        "the student's tap is {student} and the teacher's {teacher}: \
         an adapter joins two taps of one kind"
    )]
    Kinds {
        /// The student's tap.
        student: String,
        /// The teacher's tap.
        teacher: String,
    },
    /// No layer, but something to adapt.
    #[error(
        "without an adapter both taps should have one shape, \
         but the student's is {student} and the teacher's {teacher}"
    )]
    Shapes {
        /// The student's tap.
        student: String,
        /// The teacher's tap.
        teacher: String,
    },
    /// Sequences are adapted token by token.
    #[error(
        "both sequences should have as many tokens, \
         but the student's tap is {student} and the teacher's {teacher}"
    )]
    Lengths {
        /// The student's tap.
        student: String,
        /// The teacher's tap.
        teacher: String,
    },
    /// A layer for another kind of tap.
    #[error("the adapter `{adapter}` is for {takes}, but the student's tap is {student}")]
    Layer {
        /// The layer.
        adapter: AdapterKind,
        /// What it is for.
        takes: &'static str,
        /// The student's tap.
        student: String,
    },
    /// A map that no regressor brings to the teacher's size.
    #[error(
        "a regressor halves or doubles a map, or makes it smaller in both directions, \
         but the student's tap is {student} and the teacher's {teacher}; `conv3x3` takes any sizes"
    )]
    Size {
        /// The student's tap.
        student: String,
        /// The teacher's tap.
        teacher: String,
    },
    /// Two ways at once to bring a map to another size.
    #[error("a regressor changes the size of a map itself: leave out `resize`")]
    Resize,
}

/// A tap in words, without its batch: `a map [16, 8, 8]`.
pub(super) fn describe(tap: &Tap) -> String {
    let shape = tap.shape();
    let article = match tap.kind() {
        "attention" => "",
        _ => "a ",
    };
    format!("{article}{} {:?}", tap.kind(), &shape.as_slice()[1..])
}
