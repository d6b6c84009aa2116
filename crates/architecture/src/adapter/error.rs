use super::AdapterKind;
use burn_distill_core::Tap;

/// Error about an adapter that cannot map one tap to another. Shapes are without the batch axis.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// A tap is attention or a mask.
    #[error("the {side}'s tap is {tap}: only a vector, a sequence or a map has features to adapt")]
    NoFeatures {
        /// Network of the tap: `student` or `teacher`.
        side: &'static str,
        /// Description of the tap.
        tap: String,
    },
    /// The taps are of different kinds, such as a vector and a map.
    #[error(
        "both taps of an adapter should be of the same kind, \
         but the student's tap is {student} and the teacher's {teacher}"
    )]
    Kinds {
        /// Description of the student's tap.
        student: String,
        /// Description of the teacher's tap.
        teacher: String,
    },
    /// The shapes differ, but there is no adapter.
    #[error(
        "without an adapter, both taps should have the same shape, \
         but the student's is {student} and the teacher's {teacher}"
    )]
    Shapes {
        /// Description of the student's tap.
        student: String,
        /// Description of the teacher's tap.
        teacher: String,
    },
    /// The lengths of the sequences differ, but an adapter maps every token separately.
    #[error(
        "both sequences should have the same number of tokens, \
         but the student's tap is {student} and the teacher's {teacher}"
    )]
    Lengths {
        /// Description of the student's tap.
        student: String,
        /// Description of the teacher's tap.
        teacher: String,
    },
    /// The layer does not support this kind of tap.
    #[error("the adapter `{adapter}` is for {takes}, but the student's tap is {student}")]
    Layer {
        /// Layer of the adapter.
        adapter: AdapterKind,
        /// Kinds of taps that the layer supports.
        takes: &'static str,
        /// Description of the student's tap.
        student: String,
    },
    /// A regressor cannot map to the size of the teacher's map.
    #[error(
        "a regressor halves or doubles a map, or makes it smaller in both directions, \
         but the student's tap is {student} and the teacher's {teacher}: \
         use `conv3x3`, which supports all sizes"
    )]
    Size {
        /// Description of the student's tap.
        student: String,
        /// Description of the teacher's tap.
        teacher: String,
    },
    /// A regressor is combined with a resize method.
    #[error("a regressor changes the size of a map itself: leave out `resize`")]
    Resize,
}

burn_distill_core::debug_as_display!(AdapterError);

/// Describes a tap without its batch axis, as in `a map [16, 8, 8]`.
pub(super) fn describe(tap: &Tap) -> String {
    let shape = tap.shape();
    let article = match tap.kind() {
        "attention" => "",
        _ => "a ",
    };
    format!("{article}{} {:?}", tap.kind(), &shape.as_slice()[1..])
}
