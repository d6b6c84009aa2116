//! The losses on responses.

mod batches;
mod dense;
mod distributions;
mod empty;
mod labels;
mod logits;
mod types;

use burn::tensor::Tensor;
use burn_distill_core::testing::{Fill, QUARTER, wave};

/// The logits of the golden values: four samples of five classes.
const SHAPE: [usize; 2] = [4, 5];

fn student() -> Fill {
    wave(3.0, 0.7, 0.3)
}

fn teacher() -> Fill {
    wave(3.0, 1.1, 0.1 + QUARTER)
}

fn shifted(student: Tensor<2>, teacher: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    (student.add_scalar(3.0), teacher.sub_scalar(2.0))
}
