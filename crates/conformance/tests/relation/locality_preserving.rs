use crate::common::*;
use burn::tensor::{Device, Tensor};
use burn_distill_core::testing::{Trial, assert_round_trip, assert_shareable};
use burn_distill_relation::*;

fn local(config: LocalityPreservingLossConfig) -> Trial<2> {
    let loss = config.init();
    trial(format!("{loss}"), move |s, t| loss.forward(s, t))
        .invariant("the order of the batch", reordered)
        .invariant("a rotation", rotated)
        .invariant("a shift of the teacher's features", |student, teacher| {
            (student, teacher.add_scalar(100.0))
        })
        .skip(
            "perfect student",
            "its minimum is a student whose features are all equal",
        )
}

#[test]
fn neighbors_are_weighted_by_their_distance() {
    // In double precision from the formula, by a complex step; the values of a variance of 2 also
    // in another implementation.
    for (neighbors, variance, normalize, value, norm) in [
        (2, Some(2.0), false, 0.339089607, 0.428898532),
        (2, None, false, 0.837425088, 1.05107934),
        (2, None, true, 0.446864782, 0.499108896),
        (3, Some(2.0), true, 0.12574453, 0.140258199),
        (5, None, false, 0.832702398, 1.02938459),
    ] {
        let config = LocalityPreservingLossConfig::new()
            .with_neighbors(neighbors)
            .with_variance(variance)
            .with_normalize(normalize);
        let mut trial = local(config).golden(student(), teacher(), value, norm);
        if !normalize {
            trial = trial.invariant("a shift of the student's features", |student, teacher| {
                (student.add_scalar(100.0), teacher)
            });
        }
        if variance.is_none() {
            trial = trial.invariant("the scale of the teacher's features", |student, teacher| {
                (student, teacher.mul_scalar(5.0))
            });
        }
        trial.run();
    }
}

#[test]
fn any_of_equally_near_neighbors_is_taken() {
    let device = Device::default();
    let (student, teacher) = (
        Tensor::<2>::from_data(STUDENT, &device),
        Tensor::<2>::from_data(TEACHER, &device),
    );
    let loss = LocalityPreservingLossConfig::new()
        .with_neighbors(1)
        .with_variance(Some(2.0))
        .init();

    let value = loss.forward(student, teacher).into_scalar::<f64>();

    // The first and the third sample have two nearest each.
    let [near, far] = [(-1.5_f64).exp(), (-3.0_f64).exp()];
    let possible = [2.0, 1.25]
        .map(|first| [1.0, 1.25].map(|third| (near * (first + 2.0 + 1.25) + far * third) / 4.0));
    assert!((possible[0][0] - 0.305305102).abs() < 1e-8);
    assert!(
        possible
            .as_flattened()
            .iter()
            .any(|it| (it - value).abs() < 1e-6),
        "{value} is none of {possible:?}"
    );
}

#[test]
fn a_student_cannot_gain_by_shrinking_if_normalized() {
    let (student, teacher) = (features(6, 4, 0.7), features(6, 3, 1.9));
    let loss = LocalityPreservingLossConfig::new()
        .with_normalize(true)
        .init();

    let [plain, shrunk] = [1.0, 0.1].map(|scale| {
        let student = student.clone().mul_scalar(scale);
        loss.forward(student, teacher.clone()).into_scalar::<f64>()
    });

    assert!((plain - shrunk).abs() < 1e-6 * plain, "{plain} {shrunk}");
}

#[test]
#[should_panic(expected = "`variance` should be finite and above 0, but is 0")]
fn the_variance_must_be_positive() {
    LocalityPreservingLossConfig::new()
        .with_variance(Some(0.0))
        .init();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&LocalityPreservingLossConfig::new());
    assert_shareable::<LocalityPreservingLoss>();
}
