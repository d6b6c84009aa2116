use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::Response;

/// The logits of student and teacher, row by row, and which of the rows count.
pub(crate) struct PairedRows {
    /// Shape: `[rows, num_classes]`.
    pub student: Tensor<2>,
    /// Shape: `[rows, num_classes]`.
    pub teacher: Tensor<2>,
    /// The mask of the student; `None` when all rows count. Shape: `[rows]`.
    pub mask: Option<Tensor<1, Bool>>,
}

impl PairedRows {
    /// The rows of two responses.
    ///
    /// # Panics
    ///
    /// Panics if they differ in rows or classes, or have no rows.
    pub fn of(student: &Response, teacher: &Response) -> Self {
        let student = student.rows();
        let teacher = teacher.rows().logits;
        let [rows, num_classes] = student.logits.dims();
        assert_shape!(teacher, [rows, num_classes]);

        // What either says about padding may be anything. Filling the loss alone would not do: zero
        // times a NaN is a NaN in the backward pass.
        let fill = |logits: Tensor<2>| match &student.mask {
            Some(mask) => {
                let padding: Tensor<2, Bool> = mask.clone().bool_not().unsqueeze_dim(1);
                // Not `expand`, which refuses a batch of no rows.
                logits.mask_fill(padding.repeat_dim(1, num_classes), 0.0)
            }
            None => logits,
        };
        Self {
            student: fill(student.logits.clone()),
            teacher: fill(teacher),
            mask: student.mask.clone(),
        }
    }
}
