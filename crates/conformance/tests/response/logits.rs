//! Losses that look at logits otherwise than as distributions at one temperature.

use crate::{SHAPE, shifted, student, teacher};
use burn::tensor::{Tensor, TensorData};
use burn_distill_core::testing::Trial;
use burn_distill_core::{
    Clock, Context, Knowledge, LossTerm, Response, Taps, Targets, reduce_rows,
};
use burn_distill_response::{
    ConfidenceWeighted, LearnedTemperatureConfig, LogitLoss, LogitMatchingLossConfig,
    LogitMatchingVariant, NormKdLossConfig, PermutedPredictions, ProbabilityMatchingLossConfig,
    SoftTargetLossConfig, StandardizationConfig,
};
use std::fmt::Display;

fn rows<L: LogitLoss + Display>(loss: L) -> Trial<2> {
    let name = format!("{loss}");
    Trial::of_rows(name, SHAPE, move |student, teacher, reduction| {
        reduce_rows(loss.forward_rows(student, teacher), None, &reduction)
    })
    .invariant("a constant added to each row", shifted)
}

#[test]
fn logit_matching() {
    for (variant, value, norm) in [
        (LogitMatchingVariant::Mean, 9.25778358, 1.36071919),
        (LogitMatchingVariant::HalfSum, 23.144459, 3.40179798),
        (LogitMatchingVariant::Centered, 7.21748413, 1.20145613),
    ] {
        let loss = LogitMatchingLossConfig::new().with_variant(variant).init();
        let name = format!("{loss}");
        Trial::of_rows(name, SHAPE, move |student, teacher, reduction| {
            loss.forward(student, teacher, reduction)
        })
        .golden(student(), teacher(), value, norm)
        .minimum(0.0)
        .in_any_order()
        .run();
    }
}

#[test]
fn probability_matching() {
    rows(ProbabilityMatchingLossConfig::new().init())
        .golden(student(), teacher(), 0.159334357, 0.0280741214)
        .minimum(0.0)
        .run();
}

#[test]
fn confidence_weighted() {
    // The class of row `i` is that of the fixtures: 0, 2, 4, 1, and so on.
    let loss = |student: Tensor<2>, teacher: Tensor<2>| {
        let [rows, num_classes] = student.dims();
        let classes = [0, 2, 4, 1].into_iter().cycle().take(rows);
        let classes: Vec<i64> = classes.map(|class| class % num_classes as i64).collect();
        let classes = TensorData::new(classes, [rows]);
        let targets = Targets::classes(Tensor::from_data(classes, &student.device()));
        ConfidenceWeighted::cross_entropy(student, teacher, &targets)
    };
    Trial::new("ConfidenceWeighted", SHAPE, loss)
        .golden(student(), teacher(), 4.32722349, 0.605297248)
        .invariant("a constant added to each row", shifted)
        .skip(
            "perfect student",
            "a student like its teacher still learns the labels",
        )
        .skip(
            "impossible classes",
            "a label that the student excludes has no logarithm",
        )
        .run();
}

#[test]
fn permuted() {
    let permuted = |student: Tensor<2>, teacher: Tensor<2>| {
        let loss = SoftTargetLossConfig::new().with_temperature(1.0).init();
        let term = PermutedPredictions::new(loss, 7);
        let said = |logits| Knowledge {
            response: Response::Classes(logits),
            taps: Taps::default(),
        };
        let (student, teacher) = (said(student), said(teacher));
        let targets = Targets::Unlabeled;
        let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
        term.value(&context)
    };
    Trial::new("Permuted", SHAPE, permuted)
        .invariant("a constant added to each row", shifted)
        .skip(
            "golden values",
            "no code of the authors: in the tests of the objective against an order by hand",
        )
        .skip(
            "perfect student",
            "a student like its teacher is taught the classes in another order",
        )
        .skip(
            "impossible classes",
            "a class that is excluded changes places like any other",
        )
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
    for (standardize, theta, value, norm) in [
        (false, 1.0, 3.61311205, 0.608897767),
        (true, -3.0, 0.83918172, 0.108959272),
    ] {
        Trial::new(
            format!("LearnedTemperature, standardize {standardize}"),
            SHAPE,
            move |student: Tensor<2>, teacher: Tensor<2>| {
                let device = student.device().without_autodiff().autodiff();
                let config = LearnedTemperatureConfig::new().with_standardize(standardize);
                let term = config.with_theta(theta).init(&device);
                let knowledge = |logits| Knowledge {
                    response: Response::Classes(logits),
                    taps: Taps::default(),
                };
                let (student, teacher) = (knowledge(student), knowledge(teacher));
                let targets = Targets::Unlabeled;
                let context = Context::new(&student, &teacher, &targets, &[], Clock::start());
                term.value(&context)
            },
        )
        .golden(student(), teacher(), value, norm)
        .minimum(0.0)
        .invariant("a constant added to each row", shifted)
        .run();
    }
}
