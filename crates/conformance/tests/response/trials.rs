//! Trials of the kinds of losses on responses.

use burn::tensor::{Int, Tensor, TensorData};
use burn_distill_core::reduce_rows;
use burn_distill_core::testing::{Fill, QUARTER, Trial, wave};
use burn_distill_response::{
    BatchLogitLoss, DistributionLoss, LabeledLoss, LogitLoss, TeacherFreeLoss,
};
use std::fmt::Display;

/// Shape of the logits of the golden values: four samples of five classes.
pub const SHAPE: [usize; 2] = [4, 5];

/// Logits of the student: `3 sin(0.7 n + 0.3)`.
pub fn student_wave() -> Fill {
    wave(3.0, 0.7, 0.3)
}

/// Logits of the teacher: `3 cos(1.1 n + 0.1)`.
pub fn teacher_wave() -> Fill {
    wave(3.0, 1.1, 0.1 + QUARTER)
}

/// Adds a constant to the logits of each side.
pub fn shifted(student: Tensor<2>, teacher: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    (student.add_scalar(3.0), teacher.sub_scalar(2.0))
}

/// Creates the trial of a loss between distributions.
pub fn distribution<L: DistributionLoss + Display>(loss: L) -> Trial<2> {
    let name = format!("{loss}");
    Trial::of_rows(name, SHAPE, move |student, teacher, reduction| {
        loss.forward(student, teacher, reduction)
    })
    .invariant("a constant added to each row", shifted)
}

/// Creates the trial of a loss of rows of logits whose value a constant added to a row does not
/// change.
pub fn rows<L: LogitLoss + Display>(loss: L) -> Trial<2> {
    let name = format!("{loss}");
    Trial::of_rows(name, SHAPE, move |student, teacher, reduction| {
        reduce_rows(loss.forward_rows(student, teacher), None, &reduction)
    })
    .invariant("a constant added to each row", shifted)
}

/// Creates the trial of a loss of whole batches.
pub fn batch<L: BatchLogitLoss + Display>(loss: L) -> Trial<2> {
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .invariant("a constant added to each row", shifted)
}

/// Creates the trial of a loss that needs labels.
pub fn labeled<L: LabeledLoss + Display>(loss: L) -> Trial<2> {
    let name = format!("{loss}");
    Trial::of_rows(name, SHAPE, move |student, teacher, reduction| {
        let labels = cycled_labels(&student);
        loss.forward(student, teacher, labels, reduction)
    })
    .invariant("a constant added to each row", shifted)
}

/// Creates the trial of a loss that needs labels and no teacher.
pub fn teacher_free<L: TeacherFreeLoss + Display>(loss: L) -> Trial<2> {
    let name = format!("{loss}");
    Trial::of_rows(name, SHAPE, move |student, _, reduction| {
        let labels = cycled_labels(&student);
        loss.forward(student, labels, reduction)
    })
    .invariant("a constant added to each row", shifted)
    .skip("perfect student", "there is no teacher to agree with")
    .skip("mismatches", "there is no teacher to mismatch")
    .skip(
        "impossible classes",
        "a label that leaves room for every class makes it infinite",
    )
}

/// Returns the labels of the golden values, repeated to the number of rows, modulo the number of
/// classes.
pub fn cycled_labels(logits: &Tensor<2>) -> Tensor<1, Int> {
    let [rows, classes] = logits.dims();
    let labels = [0, 2, 4, 1].into_iter().cycle().take(rows);
    let labels: Vec<i64> = labels.map(|label| label % classes as i64).collect();
    Tensor::from_data(TensorData::new(labels, [rows]), &logits.device())
}
