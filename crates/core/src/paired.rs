use crate::Response;
use crate::numeric::{as_precise_as, zero_rows};
use burn::tensor::{Bool, Tensor, assert_shape};

/// Rows of logits of student and teacher, with a mask of the rows that count.
///
/// A row counts if it counts for both networks: a teacher with a shorter context, or one that is
/// queried over the internet, may count fewer tokens than the student. The rows that do not count
/// are zeros on both sides, so that their original values, such as NaN and infinities, never reach
/// a loss or a gradient.
#[derive(Clone, Debug)]
pub struct PairedRows {
    /// The logits of the student. Shape: `[rows, num_classes]`.
    pub student: Tensor<2>,
    /// The logits of the teacher. Shape: `[rows, num_classes]`.
    pub teacher: Tensor<2>,
    /// True for the rows that count for both networks; `None` when all rows count. Shape: `[rows]`.
    pub mask: Option<Tensor<1, Bool>>,
}

impl PairedRows {
    /// Pairs the rows of two responses.
    ///
    /// # Panics
    ///
    /// Panics if the responses differ in rows or classes, if two sequences differ in length, or if
    /// a response has no [rows](Response::rows).
    pub fn new(student: &Response, teacher: &Response) -> Self {
        let mask = shared_mask(student, teacher).map(|mask| mask.flatten(0, 1));
        let student = student.rows().logits;
        let teacher = teacher.rows().logits;
        let [rows, num_classes] = student.dims();
        assert_shape!(teacher, [rows, num_classes]);
        let teacher = match teacher.dtype() == student.dtype() {
            true => teacher,
            // The precision of the student is that of the loss.
            false => as_precise_as(teacher, &student),
        };
        Self {
            student: zero_rows(student, mask.as_ref()),
            teacher: zero_rows(teacher, mask.as_ref()),
            mask,
        }
    }
}

/// Returns the mask of the tokens that count for both responses, or `None` if neither is a response
/// of [tokens](Response::Tokens), in which case all tokens count.
///
/// # Shapes
///
/// - output: `[batch_size, length]`
///
/// # Panics
///
/// Panics if both are responses of tokens and their masks are of different shapes.
pub fn shared_mask(student: &Response, teacher: &Response) -> Option<Tensor<2, Bool>> {
    both_masks(student.token_mask(), teacher.token_mask())
}

/// Returns the mask of the tokens that count in both masks. Without a mask, all tokens count.
///
/// # Shapes
///
/// - student, teacher, output: `[batch_size, length]`
///
/// # Panics
///
/// Panics if there are two masks of different shapes.
pub fn both_masks(
    student: Option<Tensor<2, Bool>>,
    teacher: Option<Tensor<2, Bool>>,
) -> Option<Tensor<2, Bool>> {
    // Masks are constants, also of a network that computes on autodiff.
    let student = student.map(Tensor::without_autodiff);
    let teacher_mask = teacher.map(Tensor::without_autodiff);
    match (student, teacher_mask) {
        (Some(student), Some(teacher_mask)) => {
            let [batch_size, length] = student.dims();
            assert_shape!(teacher_mask, [batch_size, length]);
            Some(student.bool_and(teacher_mask))
        }
        (student, teacher_mask) => student.or(teacher_mask),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn tokens(logits: [[[f32; 2]; 3]; 1], mask: [bool; 3]) -> Response {
        let device = Device::default();
        Response::Tokens {
            logits: Tensor::from_data(logits, &device),
            mask: Tensor::from_data([mask], &device),
        }
    }

    #[test]
    fn a_row_counts_if_it_counts_for_both_networks_and_the_others_are_zeros() {
        let student = tokens(
            [[[1.0, 2.0], [3.0, 4.0], [f32::NAN; 2]]],
            [true, true, false],
        );
        let teacher = tokens(
            [[[f32::NEG_INFINITY; 2], [5.0, 6.0], [7.0, 8.0]]],
            [false, true, true],
        );

        let rows = PairedRows::new(&student, &teacher);

        let values = |logits: Tensor<2>| logits.into_data().iter::<f32>().collect::<Vec<_>>();
        assert_eq!(values(rows.student), [0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);
        assert_eq!(values(rows.teacher), [0.0, 0.0, 5.0, 6.0, 0.0, 0.0]);
        let mask = rows.mask.unwrap().into_data();
        mask.assert_eq(&[false, true, false].into(), false);
    }

    #[test]
    fn without_a_mask_every_row_counts() {
        let device = Device::default();
        let classes = Response::Classes(Tensor::ones([3, 2], &device));
        let tokens = tokens([[[1.0; 2]; 3]], [true, false, true]);

        for (student, teacher) in [(&classes, &tokens), (&tokens, &classes)] {
            let mask = PairedRows::new(student, teacher).mask.unwrap();
            mask.into_data()
                .assert_eq(&[true, false, true].into(), false);
        }
        assert!(PairedRows::new(&classes, &classes).mask.is_none());
    }

    #[test]
    #[should_panic(expected = "assert_shape!(teacher_mask, [batch_size, length]): axis 0")]
    fn sequences_of_different_lengths_are_refused() {
        let device = Device::default();
        let tokens = |shape: [usize; 2]| Response::Tokens {
            logits: Tensor::zeros([shape[0], shape[1], 5], &device),
            mask: Tensor::full(shape, true, &device),
        };

        PairedRows::new(&tokens([2, 3]), &tokens([3, 2]));
    }
}
