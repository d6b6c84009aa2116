/// Returns the layer of the teacher that each layer of the student is compared with: every `k`-th.
///
/// ```text
/// m → k m,    k = teacher_layers / student_layers
/// ```
///
/// Layer 0 is the embedding, for hidden states; attention layers begin with 1. Counted from zero,
/// as in the authors' code, the attention layers are mapped as `m → k (m + 1) − 1`.
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
/// Returns an error if the student has no layers, or if the number of the teacher's layers is not a
/// multiple of the number of the student's layers.
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

/// Error of [`uniform_layer_map`]: the number of the teacher's layers is not a multiple of the
/// student's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a teacher of {teacher} layers cannot be spread evenly over a student of {student} layers: \
     name the layers to compare"
)]
pub struct UnevenLayers {
    /// Number of layers of the student.
    pub student: usize,
    /// Number of layers of the teacher.
    pub teacher: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_layers_are_paired() {
        assert_eq!(uniform_layer_map(2, 4).unwrap(), [0, 2, 4]);
        assert_eq!(uniform_layer_map(3, 3).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn the_number_of_layers_must_be_a_multiple() {
        let error = uniform_layer_map(2, 5).unwrap_err().to_string();
        let expected = "a teacher of 5 layers cannot be spread evenly over a student of 2 layers";
        assert!(error.starts_with(expected), "{error}");
        assert!(uniform_layer_map(0, 4).is_err());
    }
}
