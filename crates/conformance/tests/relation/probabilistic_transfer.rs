use crate::common::*;
use burn::tensor::{Bool, Device, Int, Tensor};
use burn_distill_core::testing::{QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{
    Clock, Context, Knowledge, Objective, Response, Tap, TapRecorder, TapSelection, Targets,
    Weighted,
};
use burn_distill_relation::*;

fn probabilistic() -> Trial<2> {
    let loss = ProbabilisticTransferLossConfig::new().init();
    trial(format!("{loss}"), move |s, t| loss.forward(s, t))
        .minimum(0.0)
        .invariant("the order of the batch", reordered)
        .invariant("a rotation", rotated)
        .invariant("the scale of each sample", scaled_each)
}

#[test]
fn matches_the_code_of_the_authors() {
    probabilistic()
        .golden(student(), teacher(), 0.005339215, 0.015438167)
        .run();
}

#[test]
fn matches_the_code_of_the_authors_of_more_features() {
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

    // The value is that of RepDistiller, whose gradient is NaN.
    assert!((value - 0.004611671).abs() < 1e-7, "{value}");
    let first = gradient.clone().narrow(0, 0, 1).abs().sum();
    assert_eq!(first.into_scalar::<f32>(), 0.0);
    assert!(gradient.abs().sum().into_scalar::<f32>() > 0.0);
}

#[test]
fn opposite_samples_have_a_finite_value() {
    let teacher = features(2, 5, 1.9);
    let loss = ProbabilisticTransferLossConfig::new().with_eps(1e-9).init();
    // The cosine of some of these is rounded to less than −1 by more than eps.
    for size in 1..100 {
        let student = features(1, size, 0.7);
        let student = Tensor::cat(vec![student.clone(), student.mul_scalar(-0.37)], 0);

        let (value, gradient) =
            value_and_gradient(|student| loss.forward(student, teacher.clone()), student);

        assert!(value.is_finite(), "{size}: {value}");
        assert!(!gradient.contains_nan().into_scalar::<bool>(), "{size}");
    }
}

const CLASSES: [i32; 5] = [1, 0, 1, 2, 0];

/// Creates the trial of the supervised variant, where the samples at these places have a label.
fn supervised(labeled: Option<[bool; 5]>) -> Trial<2> {
    let loss = ProbabilisticTransferLossConfig::new().init();
    let name = format!("supervised {loss}");
    Trial::new(name, [5, 3], move |student: Tensor<2>, _| {
        let [batch_size, _] = student.dims();
        let device = student.device().without_autodiff();
        let classes = Tensor::<1, Int>::from_data(&CLASSES[..batch_size], &device);
        let labeled =
            labeled.map(|labeled| Tensor::<1, Bool>::from_data(&labeled[..batch_size], &device));
        loss.forward_supervised(student, classes, labeled)
    })
    .skip(
        "perfect student",
        "the student is compared with classes, not with a teacher",
    )
    .skip("mismatches", "there is no teacher")
    .skip(
        "impossible classes",
        "features are finite: there is nothing to exclude",
    )
}

// From crates/relation/scripts/tokens_and_votes.py.
#[test]
fn label_similarity_relates_samples_of_the_same_class() {
    supervised(None)
        .golden(
            wave(1.0, 0.7, 0.3),
            wave(1.0, 0.4, 0.3),
            0.170685982,
            0.129957150,
        )
        .invariant("a rotation", rotated)
        .run();
}

#[test]
fn samples_without_a_label_are_related_to_none() {
    let labeled = [true, false, true, false, true];
    supervised(Some(labeled))
        .golden(
            wave(1.0, 0.7, 0.3),
            wave(1.0, 0.4, 0.3),
            0.223546752,
            0.340321740,
        )
        .skip(
            "invariances",
            "the labels belong to the places of the samples",
        )
        .run();
    supervised(Some([false; 5]))
        .in_any_order()
        .skip("golden values", "it is zero")
        .run();
}

#[test]
fn the_supervised_variant_is_a_term_of_the_student_and_the_labels() {
    let device = Device::default();
    let features = features(5, 3, 0.7);
    let knowledge = |features: Tensor<2>| {
        let mut taps = TapRecorder::new(TapSelection::All);
        taps.offer("pool", || Tap::Vector(features));
        Knowledge {
            response: Response::Classes(Tensor::zeros([5, 3], &device)),
            taps: taps.finish().unwrap(),
        }
    };
    let (student, teacher) = (knowledge(features.clone()), knowledge(features.neg()));
    let loss = ProbabilisticTransferLossConfig::new().init();
    let objective = Weighted::of(LabelSimilarityTerm::new(loss, "pool"), 2.0).with_name("classes");
    let term = |targets: &Targets| {
        let context = Context::new(&student, &teacher, targets, &[], Clock::start());
        let terms = objective.forward(&context);
        let term = terms.iter().next().unwrap();
        assert_eq!((term.name.as_str(), term.weight), ("classes", 2.0));
        term.value.clone().into_scalar::<f64>()
    };

    let labeled = Targets::classes(Tensor::from_data(CLASSES, &device));
    assert!((term(&labeled) - 0.170685982).abs() < 1e-6);
    assert_eq!(term(&Targets::Unlabeled), 0.0);
    let requirements = Objective::<Knowledge, Knowledge>::requirements(&objective);
    assert_eq!(requirements.student, TapSelection::named(["pool"]));
    assert_eq!(requirements.teacher, TapSelection::None);
}

#[test]
#[should_panic(expected = "`eps` should be finite and above 0, but is 0")]
fn eps_must_be_positive() {
    ProbabilisticTransferLossConfig::new().with_eps(0.0).init();
}

#[test]
fn configuration_survives_json_and_types_cross_threads() {
    assert_round_trip(&ProbabilisticTransferLossConfig::new());
    assert_shareable::<ProbabilisticTransferLoss>();
}
