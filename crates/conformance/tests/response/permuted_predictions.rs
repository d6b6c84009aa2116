//! Dark knowledge with permuted predictions (DKPP).

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::Trial;
use burn_distill_core::{Clock, Context, Knowledge, LossTerm, Response, Taps, Targets};
use burn_distill_response::*;

#[test]
fn permuted_predictions() {
    let permuted = |student: Tensor<2>, teacher: Tensor<2>| {
        let loss = SoftTargetLossConfig::new().with_temperature(1.0).init();
        let term = PermutedPredictions::new(loss, 7);
        let (student, teacher) = (knowledge(student), knowledge(teacher));
        term.value(&Context::of(&student, &teacher).with_clock(Clock::start()))
    };
    Trial::new("PermutedPredictions", SHAPE, permuted)
        .invariant("a constant added to each row", shifted)
        .skip(
            "golden values",
            "the authors published no code: tested below against an order by hand",
        )
        .skip(
            "perfect student",
            "a student like its teacher is trained on the classes in another order",
        )
        .skip(
            "impossible classes",
            "a class that is excluded changes places like any other",
        )
        .run();
}

fn permuted(seed: usize) -> PermutedPredictions<SoftCrossEntropyLoss> {
    let loss = SoftCrossEntropyLossConfig::new().with_temperature(1.0);
    PermutedPredictions::new(loss.init(), seed)
}

fn at(batch: usize) -> Clock {
    Clock {
        epoch: 1,
        batch,
        batches: 10_000,
    }
}

// Expected: soft cross-entropy with probabilities that are exchanged by hand, or not: the two
// smaller ones of a row. Its value where nothing is exchanged is that of `soft CE` of PS-KD,
// 0.575475141.
#[test]
fn the_loss_is_that_of_the_exchanged_teacher() {
    let objective = permuted(3);
    let device = Device::default();
    let (student, teacher) = (small_student(&device), small_teacher(&device));
    let mut values = Vec::new();
    for step in 0..20 {
        let exchanged = objective.permute(teacher.clone(), at(step));
        let by_hand = objective
            .loss
            .forward(student.clone(), exchanged, Reduction::Mean);
        let said = |logits: &Tensor<2>| Knowledge {
            response: Response::Classes(logits.clone()),
            taps: Taps::default(),
        };
        let (student, teacher) = (said(&student), said(&teacher));
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], at(step));
        let value = objective.value(&context);
        assert_near(value.clone(), by_hand.into_scalar::<f64>());
        let value = value.into_scalar::<f32>();
        values.push(value);
    }
    assert!(values.iter().any(|value| (value - 0.575475).abs() > 1e-3));

    let same = |student, teacher| objective.loss.forward(student, teacher, Reduction::Mean);
    assert_value_and_gradient_of(small_student, small_teacher, same, 0.575475141, 0.130712321);
}
