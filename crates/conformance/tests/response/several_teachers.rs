//! Losses of several teachers at once: averages, EBKD, CA-MKD, AEKD and amalgamation.

use crate::fixtures::*;
use burn::tensor::{Bool, Device, Tensor, Tolerance};
use burn_distill_core::{Context, Knowledge, LossTerm, Targets};
use burn_distill_response::*;

// Expected values: functions of the repository of CA-MKD in double precision, where their weights
// are applied as in `train_distill_multi_teacher`.

fn second_teacher(device: &Device) -> Tensor<2> {
    let rows = [
        [1.0, 1.0, 0.0],
        [0.0, 3.0, 0.0],
        [0.0, 2.0, 0.0],
        [1.0, 0.0, 1.0],
    ];
    Tensor::from_data(rows, device)
}

fn third_teacher(device: &Device) -> Tensor<2> {
    let rows = [
        [0.0, 1.0, 2.0],
        [1.0, 0.0, 1.0],
        [0.0, 0.0, 2.0],
        [2.0, 0.0, 0.0],
    ];
    Tensor::from_data(rows, device)
}

/// Returns the value of a term and the norm of its gradient, and asserts that the teachers have no
/// gradient.
fn value_and_norm(loss: impl LossTerm<Knowledge, Vec<Knowledge>>) -> [f64; 2] {
    let device = Device::default().autodiff();
    let student = small_student(&device).require_grad();
    let tracked = [small_teacher(&device), second_teacher(&device)].map(Tensor::require_grad);
    let teachers: Vec<_> = tracked
        .iter()
        .cloned()
        .map(Knowledge::from_logits)
        .collect();
    let targets = Targets::classes(Tensor::from_data(SMALL_LABELS, &device));
    let knowledge = Knowledge::from_logits(student.clone());
    let value = loss.value(&Context::of(&knowledge, &teachers).with_targets(&targets));
    let grads = value.clone().backward();
    for teacher in tracked {
        assert!(teacher.grad(&grads).is_none());
    }
    let norm = student.grad(&grads).unwrap().square().sum().sqrt();
    [value.into_scalar(), norm.into_scalar()]
}

fn assert_golden_of(loss: impl LossTerm<Knowledge, Vec<Knowledge>>, value: f64, norm: f64) {
    let found = value_and_norm(loss);
    for (found, expected) in found.into_iter().zip([value, norm]) {
        let difference = (found - expected).abs() / expected;
        assert!(difference < 2e-5, "{found} {expected}");
    }
}

#[test]
fn averaged_teachers() {
    let of = |average| {
        AveragedTeachersLossConfig::new()
            .with_average(average)
            .init(2)
    };
    assert_golden_of(of(TeacherAverage::Losses), 0.477619235, 0.160732356);
    assert_golden_of(of(TeacherAverage::Probabilities), 0.156913334, 0.160732356);
    assert_golden_of(of(TeacherAverage::Logits), 0.134442803, 0.150129633);
}

#[test]
fn entropy_weighted() {
    let loss = EntropyWeightedLossConfig::new().init(2);
    assert_golden_of(loss, 0.223695783, 0.085976389);
}

#[test]
fn confidence_aware() {
    let loss = ConfidenceAwareLossConfig::new().init(2);
    assert_golden_of(loss, 0.173994109, 0.083345503);
}

#[test]
fn adaptive_ensemble() {
    let device = Device::default();
    let teachers = [
        small_teacher(&device),
        second_teacher(&device),
        third_teacher(&device),
    ];
    let loss = AdaptiveEnsembleLossConfig::new().init(3);
    let weights = loss.weights(small_student(&device), &teachers, None);
    // The reference stops at a tolerance of 1e-6 in its own units.
    weights.into_data().assert_approx_eq::<f32>(
        &[[0.4939_f32, 0.1742, 0.3319]].into(),
        Tolerance::absolute(1e-3),
    );

    // The weighted sum of the mean gradients is not longer than that of any other weights.
    let norm = |weights: [f32; 3]| -> f32 {
        let device = Device::default().autodiff();
        let student = small_student(&device).require_grad();
        let teachers = teachers.iter().zip(weights).map(|(teacher, weight)| {
            let soft = SoftTargetLossConfig::new().init();
            let teacher = Tensor::from_data(teacher.to_data(), &device);
            soft.forward(student.clone(), teacher, burn::nn::loss::Reduction::Mean)
                .mul_scalar(weight)
        });
        let loss = teachers.reduce(Tensor::add).unwrap();
        let grads = loss.backward();
        let mean = student.grad(&grads).unwrap().mean_dim(0);
        mean.square().sum().sqrt().into_scalar()
    };
    let best = norm([0.4939, 0.1742, 0.3319]);
    for other in [
        [1.0 / 3.0; 3],
        [0.6, 0.2, 0.2],
        [0.4, 0.2, 0.4],
        [0.55, 0.1, 0.35],
        [0.4939, 0.2742, 0.2319],
    ] {
        assert!(norm(other) > best - 1e-5, "{other:?}");
    }
}

// Expected values: the formula in NumPy, in double precision.
#[test]
fn amalgamated_teachers() {
    let device = Device::default().autodiff();
    // The first teacher knows the first two classes, the second one the third.
    let known = |logits: Tensor<2>, known: [bool; 3]| {
        let unknown = Tensor::<2, Bool>::from_data([known.map(|known| !known)], &device);
        logits.mask_fill(unknown.repeat_dim(0, 4), f32::NEG_INFINITY)
    };
    for (temperature, value, norm) in [
        (1.0, 0.116496258, 0.133151534),
        (4.0, 0.209582856, 0.188978302),
    ] {
        let student = small_student(&device).require_grad();
        let tracked = [small_teacher(&device), second_teacher(&device)].map(Tensor::require_grad);
        let teachers = tracked.clone().into_iter();
        let teachers = teachers.zip([[true, true, false], [false, false, true]]);
        let teachers = teachers.map(|(logits, classes)| known(logits, classes));
        let config = AmalgamatedTeachersLossConfig::new().with_temperature(temperature);

        let loss = config
            .init(2)
            .forward(student.clone(), teachers.collect(), None);
        let grads = loss.clone().backward();

        assert!(tracked.iter().all(|teacher| teacher.grad(&grads).is_none()));
        let gradient = student.grad(&grads).unwrap().square().sum().sqrt();
        for (found, expected) in [(loss, value), (gradient, norm)] {
            let difference: f64 = found.into_scalar::<f64>() - expected;
            assert!(difference.abs() < 2e-5 * expected, "{difference}");
        }
    }
}

#[test]
fn the_loss_of_an_adaptive_ensemble_is_the_weighted_sum() {
    let device = Device::default();
    let (student, teachers) = (
        small_student(&device),
        vec![small_teacher(&device), second_teacher(&device)],
    );
    let loss = AdaptiveEnsembleLossConfig::new().init(2);
    let weights: Vec<f64> = loss
        .weights(student.clone(), &teachers, None)
        .into_data()
        .iter()
        .collect();
    let average = AveragedTeachersLossConfig::new().with_teacher_weights(weights);
    let expected = average
        .init(2)
        .forward(student.clone(), teachers.clone(), None);
    let found = loss.forward(student, teachers, None).into_data();
    found.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::relative(1e-5));
}

#[test]
fn an_empty_batch_is_a_connected_zero() {
    let device = Device::default().autodiff();
    let empty = || Tensor::<2>::zeros([0, 3], &device);
    let student = empty().require_grad();
    let teachers = || vec![empty(), empty()];
    let values = [
        AveragedTeachersLossConfig::new()
            .init(2)
            .forward(student.clone(), teachers(), None),
        EntropyWeightedLossConfig::new()
            .init(2)
            .forward(student.clone(), teachers(), None),
        ConfidenceAwareLossConfig::new().init(2).forward(
            student.clone(),
            teachers(),
            &Targets::Unlabeled,
            None,
        ),
        AdaptiveEnsembleLossConfig::new()
            .init(2)
            .forward(student.clone(), teachers(), None),
        AmalgamatedTeachersLossConfig::new()
            .init(2)
            .forward(student.clone(), teachers(), None),
    ];
    for value in values {
        value.clone().backward();
        assert_eq!(value.into_scalar::<f32>(), 0.0);
    }
}
