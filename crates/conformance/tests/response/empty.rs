//! Every objective of a batch in which no row counts: zero, still connected to the autodiff graph,
//! so that a step still works.

use burn::tensor::{Bool, DType, Device, Int, Tensor, TensorData};
use burn_distill_core::{
    Clock, Context, CrossEntropyObjective, DynObjective, EveryView, Knowledge, LossDenominator,
    Objective, Response, Taps, Targets, View, Weighted,
};
use burn_distill_response::*;

/// Returns every objective of rows of logits that needs no labels.
fn unlabeled() -> Vec<DynObjective> {
    let device = Device::default().autodiff();
    let standardization = StandardizationConfig::new();
    let soft_target = SoftTargetLossConfig::new().init();
    vec![
        of_rows(soft_target.clone()),
        of_rows(SoftCrossEntropyLossConfig::new().init()),
        of_rows(LogitMatchingLossConfig::new().init()),
        of_rows(ProbabilityMatchingLossConfig::new().init()),
        of_rows(HardTargetLossConfig::new().init()),
        DynObjective::new(Weighted::of(
            PermutedPredictions::new(soft_target.clone(), 1),
            1.0,
        )),
        of_rows(ReverseKlLossConfig::new().with_floor(Some(-50.0)).init()),
        of_rows(JensenShannonLossConfig::new().init()),
        of_rows(TotalVariationLossConfig::new().init()),
        of_rows(SkewKlLossConfig::new().init()),
        of_rows(SkewKlLossConfig::new().with_reverse(true).init()),
        of_rows(NormKdLossConfig::new().init()),
        of_rows(standardization.init(soft_target.clone())),
        of_rows(Chunked::new(soft_target.clone())),
        of_rows(standardization.init(Chunked::new(soft_target))),
        of_batches(DistLossConfig::new().init()),
        of_batches(standardization.init(DistLossConfig::new().init())),
        of_batches(MultiLevelLossConfig::new().init()),
        of_batches(MultiLevelLossConfig::new().with_standardize(true).init()),
        of_batches(with_confidence(ConfidenceMask::Select)),
        of_batches(with_confidence(ConfidenceMask::ReferenceCompat)),
        DynObjective::new(Weighted::of(
            LearnedTemperatureConfig::new().init(&device),
            1.0,
        )),
        DynObjective::new(Weighted::of(
            LearnedTemperatureConfig::new()
                .with_standardize(true)
                .init(&device),
            1.0,
        )),
    ]
}

/// Returns every objective of rows of logits that needs labels.
fn labeled() -> Vec<DynObjective> {
    vec![
        DynObjective::new(CrossEntropyObjective::new(1.0)),
        DynObjective::new(CrossEntropyObjective::new(1.0).with_denominator(LossDenominator::All)),
        DynObjective::new(ConfidenceWeighted::new(1.0)),
        of_labels(DecoupledLossConfig::new().init()),
        of_labels(StandardizationConfig::new().init(DecoupledLossConfig::new().init())),
        of_labels(NormalizedLossConfig::new().init()),
        of_labels(WeightedSoftLabelsLossConfig::new().init()),
        of_labels(ProposalClassificationLossConfig::new().init()),
        without_teacher(VirtualTeacherLossConfig::new().init()),
        without_teacher(LabelSmoothingLossConfig::new().init()),
    ]
}

fn of_rows(loss: impl LogitLoss) -> DynObjective {
    DynObjective::new(ResponseObjective::new(loss, 1.0))
}

fn of_batches(loss: impl BatchLogitLoss) -> DynObjective {
    DynObjective::new(BatchObjective::new(loss, 1.0))
}

/// Creates an objective of two views.
fn of_two_views() -> DynObjective {
    let loss = with_confidence(ConfidenceMask::Select);
    DynObjective::new(Weighted::of(MultiLevelTerm::new(loss, 2), 1.0))
}

fn with_confidence(confidence: ConfidenceMask) -> MultiLevelLoss {
    MultiLevelLossConfig::new()
        .with_confidence(confidence)
        .init()
}

fn of_labels(loss: impl LabeledLoss) -> DynObjective {
    DynObjective::new(LabeledObjective::new(loss, 1.0))
}

fn without_teacher(loss: impl TeacherFreeLoss) -> DynObjective {
    DynObjective::new(TeacherFreeObjective::new(loss, 1.0))
}

/// Asserts that the total for a student of ones and a teacher of NaN is zero, with a gradient of
/// zeros.
fn assert_nothing<const D: usize>(
    objective: &DynObjective,
    shape: [usize; D],
    response: impl Fn(Tensor<D>) -> Response,
    targets: impl Fn(&Device) -> Targets,
) {
    let device = Device::default().autodiff();
    let knowledge = |values| Knowledge {
        response: response(values),
        taps: Taps::default(),
    };
    let values = Tensor::<D>::ones(shape, (&device, DType::F32)).require_grad();
    let student = knowledge(values.clone());
    // If no row counts, the teacher may contain NaN.
    let teacher = knowledge(Tensor::full(shape, f32::NAN, (&device, DType::F32)));
    let further = [View {
        student: student.clone(),
        teacher: teacher.clone(),
    }];
    let targets = targets(&device);

    let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
    let total = objective.forward(&context.with_further(&further)).total();

    let grads = total.clone().backward();
    assert_eq!(total.into_scalar::<f32>(), 0.0, "{objective} of {shape:?}");
    let gradient = values.grad(&grads);
    let gradient = gradient.unwrap_or_else(|| panic!("{objective} of {shape:?} has no gradient"));
    let zeros = vec![0.0_f32; shape.iter().product()];
    let zeros = TensorData::new(zeros, shape);
    assert_eq!(gradient.into_data(), zeros, "{objective} of {shape:?}");
}

fn classes(count: usize, labeled: bool) -> impl Fn(&Device) -> Targets {
    move |device| Targets::Classes {
        classes: Tensor::<1, Int>::zeros([count], device),
        labeled: (!labeled).then(|| Tensor::<1, Bool>::full([count], false, device)),
    }
}

#[test]
fn a_batch_of_no_samples() {
    for objective in unlabeled().iter().chain(&labeled()) {
        for num_classes in [1, 5] {
            assert_nothing(
                objective,
                [0, num_classes],
                Response::Classes,
                classes(0, true),
            );
        }
    }
}

#[test]
fn a_batch_of_no_labeled_samples() {
    for objective in &labeled() {
        assert_nothing(objective, [3, 5], Response::Classes, classes(3, false));
        assert_nothing(objective, [3, 5], Response::Classes, |_| Targets::Unlabeled);
    }
}

#[test]
fn sequences_of_tokens_that_do_not_count() {
    let tokens = |logits: Tensor<3>| {
        let [batch_size, length, _] = logits.dims();
        let mask = Tensor::full([batch_size, length], false, &logits.device());
        Response::Tokens { logits, mask }
    };
    for objective in unlabeled().iter().chain(&[of_two_views()]) {
        for shape in [[2, 3, 5], [2, 0, 5], [0, 3, 5], [1, 1, 1]] {
            assert_nothing(objective, shape, tokens, |_| Targets::Unlabeled);
        }
    }
}

#[test]
fn a_batch_of_no_maps() {
    let objective = HeatMapObjective::new(HeatMapLossConfig::new().init(), 1.0);
    let objective = DynObjective::new(objective);
    let annotated = TargetHeatMaps::new(HeatMapLossConfig::new().init(), 1.0);
    let annotated = DynObjective::new(annotated);
    let annotation = |device: &Device| Targets::Maps {
        maps: Tensor::zeros([0, 3, 4, 5], device),
        visibility: Some(Tensor::zeros([0, 3], device)),
    };

    assert_nothing(&objective, [0, 3, 4, 5], Response::Maps, |_| {
        Targets::Unlabeled
    });
    for objective in [&objective, &annotated] {
        assert_nothing(objective, [0, 3, 4, 5], Response::Maps, annotation);
    }
    // Heat maps without an annotation have no loss.
    assert_nothing(&annotated, [2, 3, 4, 5], Response::Maps, |_| {
        Targets::Unlabeled
    });
}

#[test]
fn proposals_of_nothing_but_background() {
    let loss = BoundedRegressionLossConfig::new().init();
    let objective = DynObjective::new(BoundedRegressionObjective::new(loss, 1.0));
    let boxes = |deltas: Tensor<2>| {
        let [proposals, _] = deltas.dims();
        let logits = Tensor::zeros([proposals, 3], &deltas.device());
        Response::Boxes { logits, deltas }
    };
    for proposals in [0, 1, 7] {
        let background = |device: &Device| Targets::Boxes {
            classes: Tensor::zeros([proposals], device),
            deltas: Tensor::zeros([proposals, 4], device),
        };
        assert_nothing(&objective, [proposals, 4], boxes, background);
        assert_nothing(&objective, [proposals, 4], boxes, |_| Targets::Unlabeled);
    }
}

#[test]
fn views_of_nothing() {
    let of_views = |objectives: Vec<DynObjective>| {
        let of_view = |objective| DynObjective::new(EveryView::new(objective, 2));
        objectives.into_iter().map(of_view).collect::<Vec<_>>()
    };
    for objective in of_views(unlabeled()).iter().chain(&of_views(labeled())) {
        assert_nothing(objective, [0, 5], Response::Classes, classes(0, true));
    }
    assert_nothing(&of_two_views(), [0, 5], Response::Classes, classes(0, true));
}
