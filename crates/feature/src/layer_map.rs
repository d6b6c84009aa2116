/// The layer of a deep teacher that each layer of its student learns from: every `k`-th.
///
/// ```text
/// m → k m,    k = teacher_layers / student_layers
/// ```
///
/// Layer 0 is the embedding, for hidden states; the layers of attention begin with 1. Counted from
/// zero, as in the authors' code, the latter is `m → k (m + 1) − 1`.
///
/// ```
/// use burn_distill_feature::uniform_layer_map;
///
/// assert_eq!(uniform_layer_map(4, 12)?, [0, 3, 6, 9, 12]);
/// # Ok::<(), burn_distill_feature::UnevenLayers>(())
/// ```
///
/// # Errors
///
/// Returns an error if the student has no layer, or if the layers of the teacher are no multiple of its.
///
/// # Reference
///
/// X. Jiao et al., [TinyBERT](https://arxiv.org/abs/1909.10351), Findings of EMNLP 2020.
pub fn uniform_layer_map(
    student_layers: usize,
    teacher_layers: usize,
) -> Result<Vec<usize>, UnevenLayers> {
    let spread =
        student_layers > 0 && teacher_layers > 0 && teacher_layers.is_multiple_of(student_layers);
    if !spread {
        return Err(UnevenLayers {
            student: student_layers,
            teacher: teacher_layers,
        });
    }
    let step = teacher_layers / student_layers;
    Ok((0..=student_layers).map(|layer| step * layer).collect())
}

/// An error of layers of a teacher that do not spread over those of a student.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{teacher} layers of a teacher do not spread over {student} of a student: name the layers that belong \
     together."
)]
pub struct UnevenLayers {
    /// The number of layers of the student.
    pub student: usize,
    /// The number of layers of the teacher.
    pub teacher: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_layer_learns_from_the_last() {
        assert_eq!(uniform_layer_map(2, 4).unwrap(), [0, 2, 4]);
        assert_eq!(uniform_layer_map(3, 3).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn layers_are_a_multiple() {
        let error = uniform_layer_map(2, 5).unwrap_err().to_string();
        let expected = "5 layers of a teacher do not spread over 2 of a student";
        assert!(error.starts_with(expected), "{error}");
        assert!(uniform_layer_map(0, 4).is_err());
    }
}
