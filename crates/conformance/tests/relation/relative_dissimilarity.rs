use crate::common::{features, reordered, rotated, scaled_each};
use burn::tensor::{Device, Tensor, TensorData};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_relation::*;

fn waves(shape: [usize; 2], frequency: f64, phase: f64) -> Tensor<2> {
    let values = (0..shape[0] * shape[1]).map(wave(1.0, frequency, phase));
    Tensor::from_data(
        TensorData::new(values.collect::<Vec<_>>(), shape),
        &Device::default(),
    )
}

fn loss(teachers: usize, margin: f64) -> RelativeDissimilarityLoss {
    let config = RelativeDissimilarityLossConfig::new().with_margin(margin);
    config.init(teachers)
}

fn trial(shape: [usize; 2], margin: f64) -> Trial<2> {
    let loss = loss(1, margin);
    Trial::new(format!("{loss}"), shape, move |student, teacher| {
        loss.forward(student, vec![teacher])
    })
    .skip("impossible classes", "features are no logits")
    .skip(
        "half precision",
        "rounding reverses the teacher's order of near samples",
    )
    .kinks()
}

// All values are from crates/relation/scripts/tokens_and_votes.py.
#[test]
fn the_order_of_one_teacher() {
    trial([5, 3], 0.1)
        .teacher_shape([5, 4])
        .golden(
            wave(1.0, 0.7, 0.3),
            wave(1.0, 0.4, 0.3),
            0.598128537,
            0.949520578,
        )
        .invariant("the order of the batch", reordered)
        .invariant("a rotation", rotated)
        .skip(
            "perfect student",
            "only with a margin of zero: see the next test",
        )
        .run();
    trial([4, 3], 0.1)
        .invariant("the scale of each sample", scaled_each)
        .skip("golden values", "above")
        .skip(
            "perfect student",
            "only with a margin of zero: see the next test",
        )
        .run();
}

#[test]
fn without_a_margin_the_order_is_enough() {
    trial([5, 3], 0.0)
        .minimum(0.0)
        .in_any_order()
        .skip("golden values", "given with a margin")
        .run();

    // All distances are in the same order, but have other values.
    let angles = |angles: [f64; 3]| {
        let rows = angles.map(|angle| [angle.cos(), angle.sin()]);
        Tensor::<2>::from_data(rows, &Device::default())
    };
    let (student, teacher) = (angles([0.0, 0.2, 0.7]), angles([0.0, 0.9, 2.1]));
    let value = loss(1, 0.0).forward(student, vec![teacher]);
    assert_eq!(value.into_scalar::<f32>(), 0.0);
}

#[test]
fn the_majority_of_teachers() {
    let student = waves([5, 3], 0.7, 0.3);
    let teachers = [
        waves([5, 4], 0.4, 0.3),
        waves([5, 6], 0.9, 0.1),
        waves([5, 2], 1.7, 0.5),
    ];
    for (count, margin, golden) in [
        (2, 0.1, [0.795832872, 1.180103169]),
        (3, 0.5, [1.300729266, 0.458845551]),
    ] {
        let student = student.clone().autodiff().require_grad();
        let teachers = teachers[..count].to_vec();
        let value = loss(count, margin).forward(student.clone(), teachers);
        let grads = value.clone().backward();
        let gradient = student.grad(&grads).unwrap().square().sum().sqrt();

        for (actual, expected) in [value, gradient].into_iter().zip(golden) {
            let actual = actual.into_scalar::<f64>();
            assert!(
                (actual - expected).abs() < 1e-5 * expected,
                "{actual} is not {expected}"
            );
        }
    }
}

#[test]
fn a_tie_does_not_count() {
    let angles = |angles: [f64; 3]| {
        let rows = angles.map(|angle| [angle.cos(), angle.sin()]);
        Tensor::<2>::from_data(rows, &Device::default())
    };
    // The nearest two are 0 and 1, then 1 and 2; or 1 and 2, then 0 and 1.
    let teachers = vec![angles([0.0, 0.3, 1.0]), angles([0.0, 0.7, 1.0])];
    let student = angles([0.0, 0.1, 1.0]).autodiff().require_grad();

    // The teachers disagree about the distances from sample 1. They agree about those from 0 and
    // from 2, as does the student.
    let value = loss(2, 0.001).forward(student.clone(), teachers.clone());
    let grads = value.clone().backward();
    assert_eq!(value.into_scalar::<f32>(), 0.0);
    let gradient = student.grad(&grads).unwrap().abs().sum();
    assert_eq!(gradient.into_scalar::<f32>(), 0.0);
    // Only the second teacher disagrees with the student.
    let value = loss(1, 0.0).forward(student, vec![teachers[1].clone()]);
    assert!(value.into_scalar::<f32>() > 0.1);
}

#[test]
fn two_samples_have_no_loss() {
    let value = loss(1, 0.1).forward(features(2, 3, 0.7), vec![features(2, 4, 0.9)]);
    assert_eq!(value.into_scalar::<f32>(), 0.0);
}

#[test]
#[should_panic(expected = "This loss was created for 2 teachers, found 1.")]
fn the_number_of_teachers_must_match() {
    loss(2, 0.1).forward(features(4, 3, 0.7), vec![features(4, 3, 0.9)]);
}

#[test]
#[should_panic(expected = "`margin` should be finite and not negative")]
fn the_margin_must_not_be_negative() {
    loss(1, -0.1);
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&RelativeDissimilarityLossConfig::new());
    assert_shareable::<RelativeDissimilarityLoss>();
    assert_eq!(
        loss(2, 0.1).to_string(),
        "RelativeDissimilarityLoss {teachers: 2, margin: 0.1}"
    );
}
