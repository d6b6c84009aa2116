//! Virtual teacher (Tf-KD).

use crate::fixtures::*;
use crate::trials::*;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor, TensorData, Tolerance};
use burn_distill_core::{CrossEntropyObjective, Targets};
use burn_distill_response::*;

#[test]
fn virtual_teacher() {
    // By scripts/labeled.py; the sum with the cross-entropy agrees with the authors' code, see
    // below.
    for (soften, temperature, value, norm) in [
        (false, 20.0, 1.0844227, 0.27854513),
        (true, 2.0, 0.436882648, 0.0985191001),
    ] {
        let config = VirtualTeacherLossConfig::new().with_temperature(temperature);
        teacher_free(config.with_soften_student(soften).init())
            .golden(student_wave(), teacher_wave(), value, norm)
            .run();
    }
}

fn criterion() -> VirtualTeacherLoss {
    VirtualTeacherLossConfig::new().init()
}

#[test]
fn with_the_cross_entropy_it_matches_the_reference_implementation() {
    // `loss_kd_regularization` with alpha = 0.1, a temperature of 20 and a multiplier of 100.
    // The divergence there is divided by the five classes as well.
    let criterion = VirtualTeacherLossConfig::new()
        .with_multiplier(100.0 / 5.0)
        .init();
    assert_value_and_gradient(
        |student, _| {
            let classes = labels(&student.device());
            let targets = Targets::classes(classes.clone());
            let cross_entropy = CrossEntropyObjective::cross_entropy(student.clone(), &targets);
            let divergence = criterion.forward(student, classes, Reduction::Mean);
            cross_entropy
                .mul_scalar(0.9)
                .add(divergence.mul_scalar(0.1))
        },
        6.14709542,
        1.02567549,
    );
}

#[test]
fn the_virtual_teacher_is_almost_uniform() {
    let classes = Tensor::from_data([1], &Device::default());

    let p = criterion().log_probabilities(classes, 5).exp();

    // e^(0.99 / 20) against four times e^(0.0025 / 20)
    p.into_data().assert_approx_eq::<f32>(
        &TensorData::from([[0.197995, 0.208021, 0.197995, 0.197995, 0.197995]]),
        Tolerance::absolute(1e-5),
    );
}

#[test]
fn the_loss_of_a_student_that_excludes_a_class_is_infinite() {
    let device = Device::default();
    let student = Tensor::from_data([[0.0, 1.0, f32::NEG_INFINITY]], &device);
    let classes = Tensor::from_data([0], &device);

    let loss = criterion().forward(student, classes, Reduction::Mean);

    assert_eq!(loss.into_scalar::<f32>(), f32::INFINITY);
}
