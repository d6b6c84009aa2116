use burn::tensor::{Bool, Device, Tensor};
use burn_distill_conformance::{
    assert_golden, assert_padding_does_not_count, outcome, pad_tokens, ragged, waves,
};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{MultiLayerLoss, Tap, parameter_count};
use burn_distill_feature::*;

const SHAPE: [usize; 3] = [2, 3, 6];
const STUDENT: [f64; 3] = [1.0, 0.37, 0.2];
const TEACHER: [f64; 3] = [1.0, 0.23, 0.5 + QUARTER];

fn trial(padding: Padding, masked: bool) -> Trial<3> {
    let loss = HiddenStatesLossConfig::new().with_padding(padding).init();
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        let [batch_size, length, _] = student.dims();
        let mask = masked.then(|| ragged(batch_size, length));
        loss.forward(student, teacher, mask)
    })
    .invariant("the order of the features", |student, teacher| {
        (student.flip([2]), teacher.flip([2]))
    })
    .minimum(0.0)
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

#[test]
fn matches_text_brewer_and_the_code_of_the_authors() {
    // TextBrewer's `hid_mse_loss` with and without a mask; the authors have no mask here.
    for (padding, masked, value, norm) in [
        (Padding::Excluded, true, 0.606542503, 0.284380614),
        (Padding::Excluded, false, 0.645920743, 0.267897315),
        (Padding::Included, true, 0.645920743, 0.267897315),
    ] {
        trial(padding, masked)
            .golden(
                wave(1.0, 0.37, 0.2),
                wave(1.0, 0.23, 0.5 + QUARTER),
                value,
                norm,
            )
            .run();
    }
}

#[test]
fn padding_does_not_count() {
    assert_padding_does_not_count(
        waves(SHAPE, STUDENT),
        waves(SHAPE, TEACHER),
        3,
        pad_tokens,
        |student, teacher, mask| {
            HiddenStatesLossConfig::new()
                .init()
                .forward(student, teacher, mask)
        },
    );
}

/// Computes the loss of two layers with a projection, and the gradient of the student.
fn projected(
    loss: &ProjectedSequences<HiddenStatesLoss>,
    mask: Option<Tensor<2, Bool>>,
) -> (f64, burn::tensor::TensorData) {
    let teacher = Tap::Sequence(waves(SHAPE, TEACHER));
    outcome(waves(SHAPE, STUDENT), |student| {
        let student = Tap::Sequence(student);
        loss.forward_layers(
            vec![student.clone(), student],
            vec![teacher.clone(), teacher],
            mask,
        )
    })
}

#[test]
fn layers_add_up_with_an_identity_projection() {
    let device = Device::default();
    let loss = HiddenStatesLossConfig::new().init();
    for projections in [1, 2] {
        let mut loss = ProjectionConfig::new(6, 6)
            .with_projections(projections)
            .init(loss.clone(), &device);
        for projection in &mut loss.projections {
            let weight = projection.weight.clone();
            projection.weight = weight.map(|weight| Tensor::eye(6, &weight.device()));
        }

        // Twice the golden values of one layer.
        let outcome = projected(&loss, Some(ragged(2, 3)));
        assert_golden(&outcome, 2.0 * 0.606542503, 2.0 * 0.284380614);
    }
}

#[test]
fn two_projections_are_for_the_embedding_and_for_the_other_layers() {
    let device = Device::default();
    let loss = HiddenStatesLossConfig::new().init();
    let config = ProjectionConfig::new(6, 6).with_projections(2);
    let mut loss = config.init(loss, &device);
    // The embedding becomes zero, the other layers do not change.
    for (projection, factor) in loss.projections.iter_mut().zip([0.0, 1.0]) {
        let weight = projection.weight.clone();
        projection.weight =
            weight.map(|weight| Tensor::eye(6, &weight.device()).mul_scalar(factor));
    }
    let teacher = || Tap::Sequence(waves(SHAPE, TEACHER));
    let outcome = outcome(waves(SHAPE, STUDENT), |student| {
        let student = Tap::Sequence(student);
        loss.forward_layers(vec![student; 3], vec![teacher(); 3], Some(ragged(2, 3)))
    });

    let counts = ragged(2, 3).unsqueeze_dim::<3>(2).expand(SHAPE);
    let zero = waves(SHAPE, TEACHER)
        .square()
        .mask_fill(counts.bool_not(), 0.0);
    let zero = zero.sum().into_scalar::<f64>() / 30.0;
    assert_golden(&outcome, zero + 2.0 * 0.606542503, 2.0 * 0.284380614);
}

#[test]
fn a_projection_starts_small_and_trains_with_the_student() {
    let device = Device::default().autodiff();
    let loss = HiddenStatesLossConfig::new().init();
    let config = ProjectionConfig::new(100, 200);
    let shared = config.init(loss.clone(), &device);
    let separate = config.with_projections(3).init(loss, &device);

    assert_eq!(parameter_count(&shared), 100 * 200 + 200);
    assert_eq!(parameter_count(&separate), 3 * (100 * 200 + 200));
    let [projection] = &shared.projections[..] else {
        panic!("one for all")
    };
    let deviation = projection
        .weight
        .val()
        .square()
        .mean()
        .sqrt()
        .into_scalar::<f64>();
    assert!((deviation - 0.02).abs() < 1e-3, "{deviation}");
    let bias = projection.bias.as_ref().unwrap();
    assert_eq!(bias.val().abs().max().into_scalar::<f64>(), 0.0);

    let student = Tap::Sequence(Tensor::ones([1, 2, 100], &device));
    let teacher = Tap::Sequence(Tensor::ones([1, 2, 200], &device));
    let grads = shared
        .forward_layers(
            vec![student.clone(), student],
            vec![teacher.clone(), teacher],
            None,
        )
        .backward();
    assert!(projection.weight.grad(&grads).is_some());
    assert!(bias.grad(&grads).is_some());
}

#[test]
#[should_panic(expected = "number of layers, which is 2, but is 3")]
fn the_number_of_separate_projections_must_match() {
    let config = ProjectionConfig::new(6, 6).with_projections(3);
    let loss = config.init(HiddenStatesLossConfig::new().init(), &Device::default());
    projected(&loss, None);
}

#[test]
#[should_panic(expected = "Student and teacher need the same number of layers")]
fn numbers_of_layers_must_match() {
    let layer = || Tap::Sequence(waves(SHAPE, STUDENT));
    HiddenStatesLossConfig::new().init().forward_layers(
        vec![layer()],
        vec![layer(), layer()],
        None,
    );
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&HiddenStatesLossConfig::new());
    assert_round_trip(&ProjectionConfig::new(2, 3));
    assert_shareable::<ProjectedSequences<HiddenStatesLoss>>();
    assert_eq!(
        HiddenStatesLossConfig::new().init().to_string(),
        "HiddenStatesLoss {padding: Excluded}"
    );
}
