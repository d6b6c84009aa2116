use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig};
use burn_distill_conformance::{
    assert_golden, assert_padding_does_not_count, outcome, pad_tokens, ragged, waves,
};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{
    Clock, Context, Knowledge, MultiLayerLoss, Objective, Response, Tap, TapLoss, TapObjective,
    TapPair, TapRecorder, TapSelection, Taps, Targets,
};
use burn_distill_feature::*;

const SHAPE: [usize; 4] = [2, 3, 4, 4];
const EXCLUDED: &str = "features are finite: there is nothing to exclude";

fn trial(config: HintLossConfig) -> Trial<4> {
    let loss = config.init();
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .in_any_order()
    .minimum(0.0)
    .skip("impossible classes", EXCLUDED)
}

fn golden(trial: Trial<4>, value: f64, gradient_norm: f64) -> Trial<4> {
    trial.golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        value,
        gradient_norm,
    )
}

fn normalized(normalize: HintNormalization) -> Trial<4> {
    trial(HintLossConfig::new().with_normalize(normalize))
}

#[test]
fn matches_later_codes_and_the_paper() {
    golden(trial(HintLossConfig::new()), 0.976524647, 0.201713973).run();

    let paper = HintLossConfig::new().with_reduction(HintReduction::HalfSum);
    golden(trial(paper), 23.4365915, 4.84113536).run();
}

#[test]
fn the_larger_map_is_pooled_in_each_direction() {
    // By the formula in double precision, with the bins of PyTorch.
    golden(
        trial(HintLossConfig::new()).teacher_shape([2, 3, 8, 2]),
        0.932681362,
        0.19713377,
    )
    .skip("perfect student", "the shapes differ")
    .run();
}

// The normalized losses by their formulas in double precision; BatchPearson is twice `PKDLoss` of
// mmrazor.

#[test]
fn samples_of_unit_length() {
    golden(
        normalized(HintNormalization::L2Flat),
        0.0408808879,
        0.00605475222,
    )
    .invariant("the scale of the features", |student, teacher| {
        (student.mul_scalar(3.0), teacher.mul_scalar(0.2))
    })
    .run();
}

#[test]
fn pixels_of_unit_length() {
    golden(
        normalized(HintNormalization::L2Channel),
        0.647441083,
        0.121991686,
    )
    .invariant("the size of every pixel", |student, teacher| {
        let sizes = Tensor::from_data([[[[1.0, 2.0, 3.0, 4.0]]]], &student.device());
        (student.mul(sizes), teacher)
    })
    .run();
}

#[test]
fn pixels_of_mean_zero_and_variance_one() {
    golden(
        normalized(HintNormalization::LayerNorm),
        2.09207017,
        1.54977865,
    )
    .invariant("an offset of all features", |student, teacher| {
        (student.add_scalar(3.0), teacher.sub_scalar(2.0))
    })
    .run();
}

#[test]
fn channels_of_mean_zero_and_variance_one() {
    golden(
        normalized(HintNormalization::BatchPearson),
        1.93932714,
        0.241837303,
    )
    .invariant("size and offset of every channel", |student, teacher| {
        let sizes = Tensor::from_data([[[[3.0]], [[0.5]], [[7.0]]]], &student.device());
        (student.mul(sizes.clone()).add(sizes), teacher)
    })
    .run();
}

#[test]
fn vectors() {
    let loss = HintLossConfig::new().init();
    Trial::new("hint of vectors", [4, 6], move |student, teacher| {
        loss.forward_taps(Tap::Vector(student), Tap::Vector(teacher), None)
    })
    .golden(
        wave(1.0, 0.9, 0.1),
        wave(1.0, 0.41, 0.7 + QUARTER),
        0.944103879,
        0.396674484,
    )
    .in_any_order()
    .minimum(0.0)
    .skip("impossible classes", EXCLUDED)
    .run();
}

#[test]
fn sequences() {
    // From `hid_mse_loss` of TextBrewer without a mask.
    let loss = HintLossConfig::new().init();
    Trial::new("hint of sequences", [2, 3, 6], move |student, teacher| {
        loss.forward_taps(Tap::Sequence(student), Tap::Sequence(teacher), None)
    })
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        0.645920743,
        0.267897315,
    )
    .in_any_order()
    .minimum(0.0)
    .skip("impossible classes", EXCLUDED)
    .run();
}

#[test]
fn tokens_that_count() {
    // From `hid_mse_loss` of TextBrewer with a mask.
    let (student, teacher) = ([1.0, 0.37, 0.2], [1.0, 0.23, 0.5 + QUARTER]);
    let shape = [2, 3, 6];
    let loss = HintLossConfig::new().init();
    let masked = outcome(waves(shape, student), |student| {
        loss.forward_masked(student, waves(shape, teacher), ragged(2, 3))
    });
    assert_golden(&masked, 0.606542503, 0.284380614);

    // Two sequences of three and two tokens, of six features: the sum is ½ · 5 · 6 / 2 means.
    let half = HintLossConfig::new().with_reduction(HintReduction::HalfSum);
    let masked = outcome(waves(shape, student), |student| {
        let half = half.init();
        half.forward_masked(student, waves(shape, teacher), ragged(2, 3))
    });
    assert_golden(&masked, 7.5 * 0.606542503, 7.5 * 0.284380614);
}

/// Sums and means over tokens are over the tokens that count, as if there were no others.
#[test]
fn a_padded_sequence_equals_the_sequence_without_padding() {
    for normalize in [
        HintNormalization::None,
        HintNormalization::L2Channel,
        HintNormalization::LayerNorm,
        HintNormalization::BatchPearson,
    ] {
        let loss = HintLossConfig::new().with_normalize(normalize).init();
        let (student, teacher) = (
            waves([2, 3, 6], [1.0, 0.37, 0.2]),
            waves([2, 3, 6], [1.0, 0.23, 0.5]),
        );
        let counting = |sequence: Tensor<3>| {
            let first = sequence.clone().slice([0..1, 0..3]);
            let second = sequence.slice([1..2, 0..2]);
            Tensor::cat(vec![first, second], 1).squeeze_dim::<2>(0)
        };

        let (value, gradient) = outcome(student.clone(), |student| {
            loss.forward_masked(student, teacher.clone(), ragged(2, 3))
        });
        let expected = outcome(student, |student| {
            loss.forward_taps(
                Tap::Vector(counting(student)),
                Tap::Vector(counting(teacher)),
                None,
            )
        });

        assert!(
            (value - expected.0).abs() < 1e-5 * expected.0,
            "{normalize:?}"
        );
        gradient.assert_approx_eq::<f32>(&expected.1, Tolerance::absolute(1e-6));
    }
}

#[test]
fn padding_does_not_count() {
    for normalize in [
        HintNormalization::None,
        HintNormalization::L2Flat,
        HintNormalization::L2Channel,
        HintNormalization::LayerNorm,
        HintNormalization::BatchPearson,
    ] {
        for reduction in [HintReduction::Mean, HintReduction::HalfSum] {
            let config = HintLossConfig::new().with_normalize(normalize);
            let loss = config.with_reduction(reduction).init();
            assert_padding_does_not_count(
                waves([2, 3, 6], [1.0, 0.37, 0.2]),
                waves([2, 3, 6], [1.0, 0.23, 0.5 + QUARTER]),
                3,
                pad_tokens,
                |student, teacher, mask| {
                    let (student, teacher) = (Tap::Sequence(student), Tap::Sequence(teacher));
                    loss.forward_layers(vec![student], vec![teacher], mask)
                },
            );
        }
    }
}

#[test]
fn the_mask_of_the_response_applies_to_taps() {
    let device = Device::default();
    let knowledge = |sequence: Tensor<3>| {
        let mut taps = TapRecorder::new(TapSelection::All);
        taps.offer("hidden", || Tap::Sequence(sequence));
        Knowledge {
            response: Response::Tokens {
                logits: Tensor::zeros([2, 3, 4], &device),
                mask: ragged(2, 3),
            },
            taps: taps.finish().unwrap(),
        }
    };
    let pair = TapPair::new("hidden", "hidden", HintLossConfig::new().init());
    let objective = TapObjective::new([pair], 1.0);

    for anything in [0.0, f32::NAN, 1e4] {
        let outcome = outcome(
            pad_tokens(waves([2, 3, 6], [1.0, 0.37, 0.2]), anything),
            |student| {
                let teacher = knowledge(waves([2, 3, 6], [1.0, 0.23, 0.5 + QUARTER]));
                let student = knowledge(student);
                let targets = Targets::Unlabeled;
                let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
                objective.forward(&context).total()
            },
        );
        assert_golden(&outcome, 0.606542503, 0.284380614);
    }
}

#[test]
fn the_adapter_trains_with_the_student() {
    let device = Device::default().autodiff();
    let normal = Distribution::Normal(0.0, 1.0);
    let student = Tensor::<4>::random([2, 3, 8, 8], normal, &device).require_grad();
    let teacher = Tensor::<4>::random([2, 5, 4, 4], normal, &device);
    let knowledge = |map: &Tensor<4>| {
        let mut taps = TapRecorder::new(TapSelection::All);
        taps.offer("layer2", || Tap::Map(map.clone()));
        Knowledge {
            response: Response::Classes(Tensor::zeros([2, 4], &device)),
            taps: taps.finish().unwrap(),
        }
    };
    let adapter = FeatureAdapterConfig::new(AdapterKind::Regressor)
        .init(
            &Tap::Map(student.clone()),
            &Tap::Map(teacher.clone()),
            &device,
        )
        .unwrap();
    let pair = TapPair::new("layer2", "layer2", HintLossConfig::new().init());
    let objective = TapObjective::new([pair.with_adapter(adapter.clone())], 100.0);

    let (said, taught) = (knowledge(&student), knowledge(&teacher));
    let context = Context::new(&said, &taught, &Targets::Unlabeled, &[], Clock::start());
    let loss = objective.forward(&context).total();
    let grads = loss.clone().backward();

    let norm = &objective.term.pairs[0].adapter.norm.as_ref().unwrap();
    assert!(norm.gamma.grad(&grads).is_some());
    assert!(student.grad(&grads).is_some());
    let adapted = adapter.forward(student);
    let expected = adapted.sub(teacher).square().mean().into_scalar::<f64>() * 100.0;
    let found = loss.into_scalar::<f64>();
    assert!((found / expected - 1.0).abs() < 1e-4, "{found} {expected}");
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&HintLossConfig::new());
    assert_shareable::<HintLoss>();
}

#[test]
#[should_panic(expected = "An adapter brings one to the shape of the other")]
fn taps_with_other_numbers_of_features_need_an_adapter() {
    let device = Device::default();
    let side = |features: usize| {
        let taps = Taps::from([("features", Tensor::<2>::ones([3, features], &device))]);
        Knowledge::from_logits(Tensor::ones([3, 2], &device)).with_taps(taps)
    };
    let pair = TapPair::new("features", "features", HintLossConfig::new().init());
    let (student, teacher) = (side(8), side(128));

    TapObjective::new([pair], 1.0).forward(&Context::of(&student, &teacher));
}
