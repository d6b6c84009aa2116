use crate::common::*;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_relation::*;

fn probabilistic() -> Trial<2> {
    let loss = ProbabilisticTransferLossConfig::new().init();
    trial(format!("{loss}"), move |s, t| loss.forward(s, t))
        .minimum(0.0)
        .invariant("the order of the batch", reordered)
        .invariant("a rotation", rotated)
        .invariant("the size of each sample", scaled_each)
}

#[test]
fn as_in_the_authors_code() {
    probabilistic()
        .golden(student(), teacher(), 0.005339215, 0.015438167)
        .run();
}

#[test]
fn as_in_the_authors_code_of_more_features() {
    let loss = ProbabilisticTransferLossConfig::new().init();
    Trial::new(format!("{loss}"), [4, 6], move |s, t| loss.forward(s, t))
        .teacher_shape([4, 8])
        .golden(
            wave(1.0, 0.9, 0.1),
            wave(1.0, 0.41, 0.7 + QUARTER),
            0.175631337,
            0.0558590832,
        )
        .minimum(0.0)
        .in_any_order()
        .skip(
            "impossible classes",
            "features are finite: there is nothing to exclude",
        )
        .run();
}

#[test]
fn a_sample_of_zeros_passes_no_gradient() {
    let device = Device::default();
    let mut rows = STUDENT;
    rows[0] = [0.0, 0.0];
    let student = Tensor::<2>::from_data(rows, &device);
    let teacher = Tensor::<2>::from_data(TEACHER, &device);
    let loss = ProbabilisticTransferLossConfig::new().init();

    let (value, gradient) =
        value_and_gradient(|student| loss.forward(student, teacher.clone()), student);

    // The value of RepDistiller, whose gradient is not a number.
    assert!((value - 0.004611671).abs() < 1e-7, "{value}");
    let first = gradient.clone().narrow(0, 0, 1).abs().sum();
    assert_eq!(first.into_scalar::<f32>(), 0.0);
    assert!(gradient.abs().sum().into_scalar::<f32>() > 0.0);
}

#[test]
fn opposite_samples_have_a_value() {
    let teacher = features(2, 5, 1.9);
    let loss = ProbabilisticTransferLossConfig::new().with_eps(1e-9).init();
    // The cosine of some of these is rounded to less than −1, by more than eps.
    for size in 1..100 {
        let student = features(1, size, 0.7);
        let student = Tensor::cat(vec![student.clone(), student.mul_scalar(-0.37)], 0);

        let (value, gradient) =
            value_and_gradient(|student| loss.forward(student, teacher.clone()), student);

        assert!(value.is_finite(), "{size}: {value}");
        assert!(!gradient.contains_nan().into_scalar::<bool>(), "{size}");
    }
}

#[test]
#[should_panic(expected = "Eps of probabilistic transfer must be above 0, got 0")]
fn eps_is_positive() {
    ProbabilisticTransferLossConfig::new().with_eps(0.0).init();
}

#[test]
fn configuration() {
    assert_round_trip(&ProbabilisticTransferLossConfig::new());
    assert_shareable::<ProbabilisticTransferLoss>();
}
