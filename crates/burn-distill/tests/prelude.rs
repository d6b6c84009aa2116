//! A program imports the prelude beside burn's: no name and no method may then mean two things.

use burn::prelude::*;
use burn::train::metric::*;
use burn::train::*;
use burn_distill::prelude::*;

use burn_distill::feature::HintLossConfig;
use burn_distill::response::{
    Chunked, DistLossConfig, JensenShannonLossConfig, LogitMatchingLossConfig,
    StandardizationConfig,
};
use burn_distill::strategy::DistillationMetric;

#[test]
fn losses_and_metrics_tell_their_names_with_both_preludes_in_scope() {
    let soft_target = SoftTargetLossConfig::new().init();
    assert_eq!(soft_target.name(), "soft-target");
    assert_eq!(
        SoftCrossEntropyLossConfig::new().init().name(),
        "soft-cross-entropy"
    );
    assert_eq!(
        LogitMatchingLossConfig::new().init().name(),
        "logit-matching"
    );
    let chunked = Chunked::new(JensenShannonLossConfig::new().init());
    assert_eq!(chunked.name(), "jensen-shannon");
    let standardized = StandardizationConfig::new().init(soft_target);
    assert_eq!(standardized.name(), "soft-target");
    assert_eq!(DistLossConfig::new().init().name(), "dist");
    assert_eq!(HintLossConfig::new().init().name(), "hint");

    assert_eq!(LossMetric::new().name().as_str(), "Loss");
    assert_eq!(AccuracyMetric::new().name().as_str(), "Accuracy");
    let metric = DistillationMetric::new(MetricKind::Loss);
    assert!(!metric.name().is_empty());
}

/// The name of a loss in code that is generic over what it compares.
fn name_of<L: LogitLoss>(loss: &L) -> &'static str {
    loss.name()
}

fn name_of_divergence<L: DistributionLoss>(loss: &L) -> &'static str {
    loss.name()
}

#[test]
fn generic_code_tells_names_too() {
    let loss = SoftTargetLossConfig::new().init();
    assert_eq!(
        (name_of(&loss), name_of_divergence(&loss)),
        ("soft-target", "soft-target")
    );
}

/// Names every item of the prelude: with both preludes in scope, one that both have would not compile.
#[test]
fn every_name_of_the_prelude_means_one_thing() {
    #[allow(clippy::too_many_arguments, dead_code)]
    fn names<I: Input, N: Network, D: Distiller<I>, T: Teacher<I>, O: Objective, L: NamedLoss>(
        _: (
            Batch<I>,
            Clock,
            Context<'_>,
            DynNetwork<I>,
            DynObjective,
            Frozen<N>,
        ),
        _: (
            CrossEntropyObjective,
            Knowledge,
            NoTeacher,
            Response,
            Tap,
            TapRecorder,
        ),
        _: (
            TapSelection,
            Taps,
            Targets,
            Terms,
            Requirements,
            WeightSchedule,
        ),
        _: (
            MultiLayerObjective<L>,
            TapPair<L>,
            TapObjective<L>,
            ResponseObjective<L>,
        ),
        _: (
            SoftTargetLossConfig,
            SoftCrossEntropyLossConfig,
            LogitMatchingLossConfig,
        ),
        _: (CurriculumError, Route, MetricKind, LearningRateConfig),
        _: (OptimizerConfig, Predictions, LrSchedule, O, T, D),
        _: (Tensor<1>, Device, Interrupter),
    ) {
    }
}
