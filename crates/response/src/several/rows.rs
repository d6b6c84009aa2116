use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{kl_divergence_rows, tempered_log_softmax, zero_rows};
use burn_distill_core::{
    CatalogEntry, Configuration, Context, Input, Knowledge, LossEntry, LossTerm, NamedLoss,
    PairedRows, assert_teacher_count, check, check_several,
};

/// Rows of logits of a student and several teachers, with a mask of the rows that count for all.
pub(super) struct TeacherRows {
    /// Logits of the student. Shape: `[rows, num_classes]`.
    pub student: Tensor<2>,
    /// Logits of each teacher. Shape: `[rows, num_classes]`.
    pub teachers: Vec<Tensor<2>>,
    /// True for the rows that count for all networks; `None` when all rows count. Shape: `[rows]`.
    pub mask: Option<Tensor<1, Bool>>,
}

impl TeacherRows {
    /// Returns the rows of a batch. Rows that do not count are zeros.
    ///
    /// # Panics
    ///
    /// Panics if there are no teachers, or if a response differs from that of the student in rows or
    /// classes.
    pub fn of(context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Self {
        let student = &context.student.response;
        let teachers = context.teacher.iter();
        let pairs: Vec<_> = teachers
            .map(|teacher| PairedRows::new(student, &teacher.response))
            .collect();
        let masks = pairs.iter().filter_map(|pair| pair.mask.clone());
        let mask = masks.reduce(Tensor::bool_and);
        let first = pairs.first().expect("There should be a teacher.");
        Self {
            student: zero_rows(first.student.clone(), mask.as_ref()),
            teachers: pairs
                .into_iter()
                .map(|pair| zero_rows(pair.teacher, mask.as_ref()))
                .collect(),
            mask,
        }
    }
}

/// Asserts that there are as many teachers as expected, each with the shape of the student's logits.
pub(super) fn assert_teachers(student: &Tensor<2>, expected: usize, teachers: &[Tensor<2>]) {
    assert_teacher_count(expected, teachers.len());
    let [rows, num_classes] = student.dims();
    for teacher in teachers {
        assert_shape!(teacher, [rows, num_classes]);
    }
}

/// Computes the soft-target loss of every row against every teacher: `T² KL(pₘ ‖ q)`.
///
/// # Shapes
///
/// - student, each teacher: `[rows, num_classes]`
/// - output: `[rows, teachers]`
pub(super) fn divergences(
    student: Tensor<2>,
    teachers: &[Tensor<2>],
    temperature: f64,
) -> Tensor<2> {
    let log_q = tempered_log_softmax(student, temperature);
    let columns = teachers.iter().map(|teacher| {
        let log_p = tempered_log_softmax(teacher.clone().without_autodiff(), temperature);
        let rows = kl_divergence_rows(log_p.cast(log_q.dtype()), log_q.clone());
        rows.unsqueeze_dim(1)
    });
    Tensor::cat(columns.collect(), 1).mul_scalar(temperature.powi(2))
}

/// Asserts that a loss that compares teachers is created for two of them or more.
pub(super) fn assert_several(teachers: usize) {
    check::at_least("teachers", teachers, 2).unwrap_or_else(|error| panic!("{error}"));
}

/// Creates the entry of a loss that compares two teachers or more. `init` creates the loss from its
/// configuration and the number of teachers.
pub(super) fn entry_of_several<I, C, L>(
    catalog: CatalogEntry,
    default: C,
    init: fn(&C, usize) -> L,
) -> LossEntry<I>
where
    I: Input,
    C: Configuration,
    L: NamedLoss + LossTerm<Knowledge, Vec<Knowledge>>,
{
    LossEntry::new(catalog, 1.0, move |builder| {
        let teachers = builder.contexts().len();
        let config = builder.configure(default.clone())?;
        check_several(teachers)?;
        builder.joint_term(init(&config, teachers))
    })
    .for_all_teachers()
}
