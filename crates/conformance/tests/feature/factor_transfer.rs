use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use burn_distill_core::numeric::{match_size, pool_to};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_feature::*;

fn trial(distance: FactorDistance) -> Trial<4> {
    let name = format!("{distance:?} of factors");
    Trial::new(name, [2, 3, 4, 4], move |student, teacher| {
        distance.between(student, teacher)
    })
    .invariant("the size of the factors", |student, teacher| {
        (student.mul_scalar(3.0), teacher.mul_scalar(2.0))
    })
    .minimum(0.0)
    .kinks()
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

fn golden(distance: FactorDistance, value: f64, norm: f64) {
    let (student, teacher) = (wave(1.0, 0.37, 0.2), wave(1.0, 0.23, 0.5 + QUARTER));
    trial(distance).golden(student, teacher, value, norm).run();
}

#[test]
fn matches_the_code_of_the_authors() {
    golden(FactorDistance::MeanAbsolute, 0.165135329, 0.0176569011);
}

#[test]
fn matches_torchdistill_with_the_norm() {
    // From the formula, by central differences in double precision.
    golden(FactorDistance::Norm, 1.40069167509, 0.103717665245);
}

#[test]
fn matches_rep_distiller_with_squares() {
    golden(FactorDistance::Attention, 0.163186993, 0.046962508);
}

#[test]
fn factors_are_computed_pooled_and_compared() {
    let device = Device::default();
    let config = FactorTransferLossConfig::new();
    let paraphraser = config.paraphraser(6, &device);
    let loss = config.init(5, paraphraser.clone(), &device);
    let map = |shape| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let (student, teacher) = (map([3, 5, 4, 6]), map([3, 6, 8, 3]));

    let expected = config.distance.between(
        pool_to(loss.translator.forward(student.clone()), [4, 3]),
        pool_to(paraphraser.encode(teacher.clone()), [4, 3]),
    );

    let actual = loss.forward(student, teacher).into_data();
    actual.assert_approx_eq::<f32>(&expected.into_data(), Tolerance::default());
}

#[test]
fn the_translator_trains_and_the_paraphraser_does_not() {
    let device = Device::default().autodiff();
    let config = FactorTransferLossConfig::new();
    let paraphraser = config.paraphraser(6, &device);
    let loss = config.init(5, paraphraser.clone(), &device);
    let map = |shape| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);

    let grads = loss
        .forward(map([3, 5, 4, 4]), map([3, 6, 4, 4]))
        .backward();

    let has_gradient = |layer: &burn_distill_architecture::TranslatorLayer| {
        layer.conv.weight.grad(&grads).is_some()
    };
    assert!(loss.translator.layer.iter().all(has_gradient));
    assert!(!paraphraser.encoder.layer.iter().any(has_gradient));
}

#[test]
fn batches_of_any_size_and_constant_maps_are_finite() {
    let device = Device::default().autodiff();
    let config = FactorTransferLossConfig::new();
    let loss = config.init(5, config.paraphraser(6, &device), &device);
    for batch_size in [1, 2] {
        for value in [0.0, 1.0, 1e4, -1e4] {
            let student = Tensor::<4>::full([batch_size, 5, 4, 1], value, &device).require_grad();
            let teacher = Tensor::full([batch_size, 6, 2, 3], -value, &device);
            let (a, b) = match_size(student.clone(), teacher.clone());
            assert_eq!(a.dims()[2..], b.dims()[2..]);

            let value = loss.forward(student.clone(), teacher);
            let grads = value.clone().backward();

            assert!(value.into_scalar::<f32>().is_finite());
            let gradient = student.grad(&grads).unwrap();
            assert!(gradient.is_finite().all().into_scalar::<bool>());
        }
    }
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&FactorTransferLossConfig::new());
    assert_shareable::<FactorTransferLoss>();
    assert_shareable::<ReconstructionObjective>();
}
