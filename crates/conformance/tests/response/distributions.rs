//! Losses between distributions over classes.

use crate::{SHAPE, shifted, student, teacher};
use burn_distill_core::testing::Trial;
use burn_distill_response::{
    Chunked, DistributionLoss, JensenShannonLossConfig, ReverseKlLossConfig, SkewKlLossConfig,
    SoftCrossEntropyLossConfig, SoftTargetLossConfig, SparseLogits, TailMode,
    TotalVariationLossConfig,
};
use std::fmt::Display;

/// A loss between distributions, whose value a constant added to a row of logits does not change.
fn distribution<L: DistributionLoss + Display>(loss: L) -> Trial<2> {
    let name = format!("{loss}");
    Trial::of_rows(name, SHAPE, move |student, teacher, reduction| {
        loss.forward(student, teacher, reduction)
    })
    .invariant("a constant added to each row", shifted)
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

/// A loss of the two likeliest classes of the teacher at two degrees, whose value and gradient with that
/// rest are these.
fn of_two_classes<L>(loss: &L, rest: TailMode, (value, norm): (f64, f64))
where
    L: DistributionLoss + Display + Clone,
{
    let loss = loss.clone();
    Trial::of_rows(
        format!("{loss} of two classes, rest {rest:?}"),
        SHAPE,
        move |student, teacher, reduction| {
            let classes = teacher.dims()[1];
            let signal = SparseLogits::top_k(teacher, classes.min(2), rest);
            loss.forward(student, signal, reduction)
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

#[test]
fn soft_target_of_a_sparse_teacher() {
    let loss = SoftTargetLossConfig::new().with_temperature(1.0).init();
    of_two_classes(&loss, TailMode::Tail, (1.80149803, 0.426096738));
    of_two_classes(&loss, TailMode::Zero, (2.17788895, 0.467485012));
}

/// The same with a rest of zero, a tail and a uniform one.
fn of_each_rest<L: DistributionLoss + Display + Clone>(loss: L, golden: [(f64, f64); 3]) {
    let rests = [TailMode::Zero, TailMode::Tail, TailMode::Uniform];
    for (rest, golden) in rests.into_iter().zip(golden) {
        of_two_classes(&loss, rest, golden);
    }
}

#[test]
fn sparse_teachers() {
    // By scripts/sparse.py, which merges the other three classes by hand.
    let reverse = ReverseKlLossConfig::new().with_temperature(2.0);
    let skew = SkewKlLossConfig::new().with_temperature(2.0);
    of_each_rest(
        SoftTargetLossConfig::new().with_temperature(2.0).init(),
        [
            (4.94513715, 0.71175112),
            (2.72294134, 0.548508236),
            (2.00345285, 0.465950117),
        ],
    );
    of_each_rest(
        SoftCrossEntropyLossConfig::new()
            .with_temperature(2.0)
            .init(),
        [
            (7.53508858, 0.71175112),
            (6.6434505, 0.548508236),
            (6.16361818, 0.465950117),
        ],
    );
    of_each_rest(
        reverse.with_floor(Some(-50.0)).init(),
        [
            (30.3977505, 2.92621875),
            (0.66231609, 0.107486075),
            (0.434225805, 0.0799122536),
        ],
    );
    of_each_rest(
        JensenShannonLossConfig::new().with_temperature(2.0).init(),
        [
            (0.320992523, 0.0340983829),
            (0.15197267, 0.024541603),
            (0.108149633, 0.0203602537),
        ],
    );
    of_each_rest(
        TotalVariationLossConfig::new().with_temperature(2.0).init(),
        [
            (0.619019188, 0.0584754795),
            (0.464128744, 0.0425235944),
            (0.390423905, 0.0425235944),
        ],
    );
    of_each_rest(
        skew.clone().init(),
        [
            (0.965579312, 0.11375653),
            (0.507831508, 0.0878154373),
            (0.370450544, 0.0749576723),
        ],
    );
    of_each_rest(
        skew.with_reverse(true).init(),
        [
            (1.16990657, 0.117483413),
            (0.501750427, 0.0792317434),
            (0.3447211, 0.0628756),
        ],
    );
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
