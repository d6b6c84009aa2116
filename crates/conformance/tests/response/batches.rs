//! Losses of whole batches.

use crate::{SHAPE, shifted, student, teacher};
use burn_distill_core::testing::Trial;
use burn_distill_response::{
    BatchLogitLoss, ConfidenceMask, DistLossConfig, MultiLevelLossConfig, StandardizationConfig,
};
use std::fmt::Display;

fn batch<L: BatchLogitLoss + Display>(loss: L) -> Trial<2> {
    Trial::new(format!("{loss}"), SHAPE, move |student, teacher| {
        loss.forward(student, teacher)
    })
    .invariant("a constant added to each row", shifted)
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
fn dist_of_the_paper() {
    batch(DistLossConfig::new().with_scale_t2(false).init())
        .golden(student(), teacher(), 33.0105964 / 16.0, 4.00528645 / 16.0)
        .minimum(0.0)
        .minimum_tolerance(1e-4)
        .run();
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
fn multi_level_of_what_the_teacher_is_unsure_of() {
    // By scripts/response_batch.py: the authors' code of the whole could not be run.
    for (confidence, value, norm) in [
        (ConfidenceMask::Select, 7.23056716, 1.97808957),
        (ConfidenceMask::ReferenceCompat, 8.62301602, 1.55470106),
    ] {
        let config = MultiLevelLossConfig::new().with_confidence(confidence);
        batch(config.init())
            .golden(student(), teacher(), value, norm)
            .minimum(0.0)
            .run();
    }
}

#[test]
fn multi_level_of_standardized_logits() {
    batch(MultiLevelLossConfig::new().with_standardize(true).init())
        .golden(student(), teacher(), 4.76378004, 0.579508286)
        .minimum(0.0)
        .run();
}

#[test]
fn standardized() {
    batch(StandardizationConfig::new().init(DistLossConfig::new().init()))
        .golden(student(), teacher(), 33.921955, 4.17756154)
        .minimum(0.0)
        .minimum_tolerance(1e-4)
        .run();
}
