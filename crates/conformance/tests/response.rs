//! The losses on responses.

use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor, TensorData};
use burn_distill_core::testing::{Fill, QUARTER, Trial, assert_round_trip, assert_shareable, wave};
use burn_distill_core::{
    Clock, Context, Knowledge, Objective, Response, Taps, Targets, reduce_rows,
};
use burn_distill_response::*;
use std::fmt::Display;

/// The logits of the golden values: four samples of five classes.
const SHAPE: [usize; 2] = [4, 5];

fn student() -> Fill {
    wave(3.0, 0.7, 0.3)
}

fn teacher() -> Fill {
    wave(3.0, 1.1, 0.1 + QUARTER)
}

/// A loss between distributions, whose value a constant added to a row of logits does not change.
fn distribution<L: DistributionLoss + Display>(loss: L) -> Trial<2> {
    let name = format!("{loss}");
    Trial::new(name, SHAPE, move |student, teacher| {
        loss.forward(student, teacher, Reduction::Mean)
    })
    .invariant("a constant added to each row", shifted)
}

fn shifted(student: Tensor<2>, teacher: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    (student.add_scalar(3.0), teacher.sub_scalar(2.0))
}

#[test]
fn soft_target() {
    for (temperature, value, norm) in [
        (1.0, 2.00714917, 0.446282362),
        (4.0, 3.43276022, 0.609944507),
    ] {
        distribution(
            SoftTargetLossConfig::new()
                .with_temperature(temperature)
                .init(),
        )
        .golden(student(), teacher(), value, norm)
        .minimum(0.0)
        .run();
    }
}

#[test]
fn soft_target_at_its_limit() {
    // Half of the centered logit matching: the limit of T² KL for T → ∞.
    distribution(SoftTargetLossConfig::new().with_temperature(1e4).init())
        .golden(student(), teacher(), 0.5 * 7.21748413, 0.5 * 1.20145613)
        .minimum(0.0)
        .run();
}

#[test]
fn soft_target_of_a_sparse_teacher() {
    let loss = SoftTargetLossConfig::new().with_temperature(1.0).init();
    for (rest, value, norm) in [
        (Rest::Tail, 1.80149803, 0.426096738),
        (Rest::Zero, 2.17788895, 0.467485012),
    ] {
        let loss = loss.clone();
        Trial::new(
            format!("{loss} of two classes, rest {rest:?}"),
            SHAPE,
            move |student, teacher| {
                let classes = teacher.dims()[1];
                let signal = SparseSignal::top_k(teacher, classes.min(2), rest);
                loss.forward(student, signal, Reduction::Mean)
            },
        )
        .golden(student(), teacher(), value, norm)
        .invariant("a constant added to each row", shifted)
        .skip(
            "perfect student",
            "the rest of the teacher is not known, or taken as zero",
        )
        .run();
    }
}

#[test]
fn soft_cross_entropy() {
    let config = SoftCrossEntropyLossConfig::new().with_scale_t2(false);
    distribution(config.init())
        .golden(student(), teacher(), 1.7000706, 0.0381215317)
        .skip(
            "perfect student",
            "its minimum is the entropy of the teacher, not a constant",
        )
        .run();
}

#[test]
fn logit_matching() {
    for (variant, value, norm) in [
        (LogitMatchingVariant::Mean, 9.25778358, 1.36071919),
        (LogitMatchingVariant::HalfSum, 23.144459, 3.40179798),
        (LogitMatchingVariant::Centered, 7.21748413, 1.20145613),
    ] {
        let loss = LogitMatchingLossConfig::new().with_variant(variant).init();
        Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
            loss.forward(student, teacher, Reduction::Mean)
        })
        .golden(student(), teacher(), value, norm)
        .minimum(0.0)
        .run();
    }
}

#[test]
fn reverse_kl() {
    for (temperature, value, norm) in [
        (1.0, 2.92230586, 0.43582764),
        (4.0, 0.23883076, 0.0426385417),
    ] {
        distribution(
            ReverseKlLossConfig::new()
                .with_temperature(temperature)
                .init(),
        )
        .golden(student(), teacher(), value, norm)
        .minimum(0.0)
        .run();
    }
}

#[test]
fn jensen_shannon() {
    for (beta, value, norm) in [
        (0.1, 0.154786179, 0.0246385146),
        (0.5, 0.383430609, 0.048292412),
        (0.9, 0.177999629, 0.0229477041),
    ] {
        distribution(JensenShannonLossConfig::new().with_beta(beta).init())
            .golden(student(), teacher(), value, norm)
            .minimum(0.0)
            .run();
    }
}

#[test]
fn total_variation() {
    for (temperature, value, norm) in [
        (1.0, 0.693634576, 0.0734855626),
        (4.0, 0.261615451, 0.0285788723),
    ] {
        distribution(
            TotalVariationLossConfig::new()
                .with_temperature(temperature)
                .init(),
        )
        .golden(student(), teacher(), value, norm)
        .minimum(0.0)
        .run();
    }
}

#[test]
fn skew_kl() {
    // Golden values for their own logits: see the tests of the loss.
    for reverse in [false, true] {
        distribution(SkewKlLossConfig::new().with_reverse(reverse).init())
            .skip(
                "golden values",
                "given for other logits: in the tests of the loss",
            )
            .minimum(0.0)
            .run();
    }
}

/// The labels of the golden values, for as many samples and classes as there are.
fn labels(logits: &Tensor<2>) -> Tensor<1, Int> {
    let [rows, classes] = logits.dims();
    let labels: Vec<i64> = [0, 2, 4, 1].into_iter().cycle().take(rows).collect();
    let labels: Vec<i64> = labels.iter().map(|label| label % classes as i64).collect();
    Tensor::from_data(TensorData::new(labels, [rows]), &logits.device())
}

fn labelled<L: LabelledLoss + Display>(loss: L) -> Trial<2> {
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        let labels = labels(&student);
        loss.forward(student, teacher, labels, Reduction::Mean)
    })
    .invariant("a constant added to each row", shifted)
}

fn batch<L: BatchLogitLoss + Display>(loss: L) -> Trial<2> {
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .invariant("a constant added to each row", shifted)
}

fn rows<L: LogitLoss + Display>(loss: L) -> Trial<2> {
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        reduce_rows(loss.forward_rows(student, teacher), None, &Reduction::Mean)
    })
    .invariant("a constant added to each row", shifted)
}

fn teacher_free<L: TeacherFreeLoss + Display>(loss: L) -> Trial<2> {
    Trial::new(format!("{loss}"), SHAPE, move |student, _| {
        let labels = labels(&student);
        loss.forward(student, labels, Reduction::Mean)
    })
    .invariant("a constant added to each row", shifted)
    .skip("perfect student", "there is no teacher to agree with")
    .skip("mismatches", "there is no teacher to mismatch")
    .skip(
        "impossible classes",
        "a label that leaves room for every class makes it infinite",
    )
}

#[test]
fn decoupled() {
    labelled(DecoupledLossConfig::new().init())
        .golden(student(), teacher(), 26.9512647, 5.22445216)
        .minimum(0.0)
        .run();
}

#[test]
fn normalized() {
    for (temperature, gamma, value, norm) in [
        (1.0, 1.5, 4.46726587, 0.71461186),
        (3.0, 3.5, 49.7062504, 2.24351802),
    ] {
        let config = NormalizedLossConfig::new();
        labelled(
            config
                .with_temperature(temperature)
                .with_gamma(gamma)
                .init(),
        )
        .golden(student(), teacher(), value, norm)
        .skip(
            "perfect student",
            "its minimum is an entropy of the teacher, not a constant",
        )
        .run();
    }
}

#[test]
fn dist() {
    for (temperature, value, norm) in [
        (1.0, 2.25227841, 0.362771809),
        (4.0, 33.0105964, 4.00528645),
    ] {
        batch(DistLossConfig::new().with_temperature(temperature).init())
            .golden(student(), teacher(), value, norm)
            .minimum(0.0)
            // The constant in the denominator of the correlation, times the squared temperature.
            .minimum_tolerance(1e-4)
            .run();
    }
}

#[test]
fn multi_level() {
    // Of one temperature, its instance part is the soft-target loss.
    for (instance, batch_weight, class_weight, value, norm) in [
        (1.0, 0.0, 0.0, 3.43276022, 0.609944507),
        (0.0, 1.0, 0.0, 0.00779972349, 0.00191953254),
        (0.0, 0.0, 1.0, 0.047646382, 0.012140619),
    ] {
        let config = MultiLevelLossConfig::new()
            .with_temperatures(vec![4.0])
            .with_instance(instance)
            .with_batch(batch_weight)
            .with_class(class_weight);
        batch(config.init())
            .golden(student(), teacher(), value, norm)
            .minimum(0.0)
            .run();
    }
    batch(MultiLevelLossConfig::new().init())
        .skip("golden values", "given for its parts, above")
        .minimum(0.0)
        .run();
}

#[test]
fn standardized() {
    let loss = SoftTargetLossConfig::new().with_temperature(2.0).init();
    rows(StandardizationConfig::new().init(loss))
        .golden(student(), teacher(), 0.840799317, 0.108832562)
        .minimum(0.0)
        .invariant("a factor on the logits", |student, teacher| {
            (student.mul_scalar(7.0), teacher.mul_scalar(0.5))
        })
        .run();
}

#[test]
fn norm_kd() {
    rows(NormKdLossConfig::new().init())
        .golden(student(), teacher(), 4.6462093, 0.611875457)
        .minimum(0.0)
        .run();
}

#[test]
fn learned_temperature() {
    Trial::new(
        "LearnedTemperature",
        SHAPE,
        |student: Tensor<2>, teacher: Tensor<2>| {
            let device = student.device().without_autodiff().autodiff();
            let objective = LearnedTemperatureConfig::new().init(1.0, &device);
            let knowledge = |logits| Knowledge {
                response: Response::Classes(logits),
                taps: Taps::default(),
            };
            let (student, teacher) = (knowledge(student), knowledge(teacher));
            let targets = Targets::Unlabelled;
            let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
            objective.forward(&context).total()
        },
    )
    .golden(student(), teacher(), 3.61311205, 0.608897767)
    .minimum(0.0)
    .invariant("a constant added to each row", shifted)
    .run();
}

#[test]
fn virtual_teacher() {
    // By scripts/labelled.py; its sum with the cross-entropy agrees with the authors' code.
    teacher_free(VirtualTeacherLossConfig::new().init())
        .golden(student(), teacher(), 1.0844227, 0.27854513)
        .run();
}

#[test]
fn label_smoothing() {
    for (variant, value, norm) in [
        (LabelSmoothingVariant::All, 4.24586837, 0.564727426),
        (LabelSmoothingVariant::Others, 4.20226601, 0.554809054),
    ] {
        teacher_free(LabelSmoothingLossConfig::new().with_variant(variant).init())
            .golden(student(), teacher(), value, norm)
            .run();
    }
}

#[test]
fn proposal_classification() {
    labelled(ProposalClassificationLossConfig::new().init())
        .skip(
            "golden values",
            "there is no reference: in the tests of the loss, by its formula",
        )
        .skip(
            "perfect student",
            "its minimum depends on teacher and labels",
        )
        .skip(
            "impossible classes",
            "infinite where the label itself is excluded",
        )
        .run();
}

#[test]
fn bounded_regression() {
    // The annotation: sin(0.5 n + 0.9), as many boxes as there are.
    for (margin, value, norm) in [
        (0.0, 0.951705627, 0.97555401),
        (1.0, 2.64608256, 1.62667838),
    ] {
        let loss = BoundedRegressionLossConfig::new()
            .with_margin(margin)
            .init();
        let name = format!("{loss}");
        Trial::new(
            name,
            [4, 4],
            move |student: Tensor<2>, teacher: Tensor<2>| {
                let [rows, columns] = student.dims();
                let fill = wave(1.0, 0.5, 0.9);
                let target: Vec<f64> = (0..rows * columns).map(fill).collect();
                let target = TensorData::new(target, [rows, columns]);
                let target = Tensor::from_data(target, (&student.device(), student.dtype()));
                reduce_rows(
                    loss.forward_bounded(student, teacher, target),
                    None,
                    &Reduction::Mean,
                )
            },
        )
        .golden(
            wave(1.0, 0.7, 0.3),
            wave(1.0, 1.1, 0.1 + QUARTER),
            value,
            norm,
        )
        .skip(
            "perfect student",
            "a student like its teacher is still pulled to the annotation",
        )
        .skip("impossible classes", "boxes have no classes")
        .skip(
            "extreme inputs",
            "a box has four numbers: in the tests of the loss",
        )
        .skip(
            "differences",
            "the bound is a step, which differences do not see",
        )
        .run();
    }
}

#[test]
fn heat_map() {
    let loss = HeatMapLossConfig::new().init();
    Trial::new("HeatMapLoss", [2, 3, 4, 4], move |student, teacher| {
        loss.forward(student, teacher, None, Reduction::Mean)
    })
    .golden(
        wave(1.0, 0.37, 0.2),
        wave(1.0, 0.23, 0.5 + QUARTER),
        0.488262324,
        0.100856987,
    )
    .minimum(0.0)
    .skip("impossible classes", "maps have no classes")
    .run();
}

#[test]
fn chunked() {
    for chunk_rows in [1, 3, 100] {
        let loss = SoftTargetLossConfig::new().init();
        distribution(Chunked::new(loss).with_chunk_rows(chunk_rows))
            .golden(student(), teacher(), 3.43276022, 0.609944507)
            .minimum(0.0)
            .run();
    }
}

#[test]
fn configurations_are_written_and_read() {
    assert_round_trip(&SoftTargetLossConfig::new().with_temperature(2.5));
    assert_round_trip(&SoftCrossEntropyLossConfig::new().with_renormalize(true));
    assert_round_trip(&LogitMatchingLossConfig::new());
    assert_round_trip(&ReverseKlLossConfig::new().with_floor(Some(-50.0)));
    assert_round_trip(&JensenShannonLossConfig::new().with_beta(0.2));
    assert_round_trip(&TotalVariationLossConfig::new());
    assert_round_trip(&SkewKlLossConfig::new().with_reverse(true));
    assert_round_trip(&DecoupledLossConfig::new());
    assert_round_trip(&NormalizedLossConfig::new());
    assert_round_trip(&DistLossConfig::new());
    assert_round_trip(&MultiLevelLossConfig::new());
    assert_round_trip(&StandardizationConfig::new());
    assert_round_trip(&NormKdLossConfig::new());
    assert_round_trip(&LearnedTemperatureConfig::new());
    assert_round_trip(&VirtualTeacherLossConfig::new());
    assert_round_trip(&LabelSmoothingLossConfig::new());
    assert_round_trip(&ProposalClassificationLossConfig::new());
    assert_round_trip(&BoundedRegressionLossConfig::new());
    assert_round_trip(&HeatMapLossConfig::new());
}

#[test]
fn losses_can_be_shared() {
    assert_shareable::<SoftTargetLoss>();
    assert_shareable::<SoftCrossEntropyLoss>();
    assert_shareable::<LogitMatchingLoss>();
    assert_shareable::<ReverseKlLoss>();
    assert_shareable::<JensenShannonLoss>();
    assert_shareable::<TotalVariationLoss>();
    assert_shareable::<SkewKlLoss>();
    assert_shareable::<SparseSignal>();
    assert_shareable::<DecoupledLoss>();
    assert_shareable::<NormalizedLoss>();
    assert_shareable::<DistLoss>();
    assert_shareable::<MultiLevelLoss>();
    assert_shareable::<Standardized<SoftTargetLoss>>();
    assert_shareable::<NormKdLoss>();
    assert_shareable::<VirtualTeacherLoss>();
    assert_shareable::<LabelSmoothingLoss>();
    assert_shareable::<ProposalClassificationLoss>();
    assert_shareable::<BoundedRegressionLoss>();
    assert_shareable::<HeatMapLoss>();
    assert_shareable::<Chunked<SoftTargetLoss>>();
}
