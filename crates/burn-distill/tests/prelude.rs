//! A program imports this prelude and burn's: no name and no method may be ambiguous.

use burn::prelude::*;
use burn::train::metric::*;
use burn::train::*;
use burn_distill::prelude::*;

use burn_distill::response::{
    Chunked, DistLossConfig, DistributionLoss, JensenShannonLossConfig, LogitMatchingLossConfig,
    StandardizationConfig,
};
use burn_distill::strategy::DistillationMetric;
use std::fs;
use std::path::Path;

#[test]
fn names_of_losses_and_metrics_are_unambiguous_with_both_preludes() {
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

/// Returns the name of a loss in generic code.
fn name_of<L: LogitLoss>(loss: &L) -> &'static str {
    loss.name()
}

fn name_of_divergence<L: DistributionLoss>(loss: &L) -> &'static str {
    loss.name()
}

#[test]
fn names_are_unambiguous_in_generic_code() {
    let loss = SoftTargetLossConfig::new().init();
    assert_eq!(
        (name_of(&loss), name_of_divergence(&loss)),
        ("soft-target", "soft-target")
    );
}

/// Names every item of the prelude: a name that both preludes have would not compile.
#[test]
fn no_name_of_the_prelude_is_in_burns_prelude() {
    #[allow(clippy::too_many_arguments, clippy::type_complexity, dead_code)]
    fn names<N: Network, D: Distiller<N::Input>, O: Objective, L: NamedLoss>(
        _: (
            Batch<N::Input>,
            Context<'_>,
            DynNetwork<N::Input>,
            Frozen<N>,
        ),
        _: (CrossEntropyObjective, Knowledge, Response, Tap, TapRecorder),
        _: (Targets, Terms, Requirements),
        _: (TapPair<L>, TapObjective<L>, ResponseObjective<L>),
        _: (SoftTargetLossConfig, SoftCrossEntropyLossConfig),
        _: (HintLossConfig, FeatureAdapterConfig, AdapterKind),
        _: (
            BatchLoader,
            ClockedLoader<(), ()>,
            DatasetLoader<(), (), ()>,
        ),
        _: (MetricKind, LearningRateConfig, OptimizerConfig, LrSchedule),
        _: (Predictions, Training<D>, O, D),
        _: (Tensor<1>, Device, Interrupter),
    ) where
        OfflineDistiller<N, Frozen<N>, O>: SoftTargets<N, N> + Distillation,
    {
        let _ = known_taps::<N>;
    }
}

/// Traits whose methods programs call without naming them.
const METHODS: [&str; 2] = ["Distillation", "SoftTargets"];

#[test]
fn every_name_of_the_prelude_is_used_in_the_readme_the_book_or_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut texts = vec![root.join("README.md")];
    for folder in ["docs/src", "examples"] {
        collect(&root.join(folder), &mut texts);
    }
    let texts = texts.iter().map(|path| fs::read_to_string(path).unwrap());
    let texts = texts.collect::<Vec<_>>().join("\n");
    let is_used = |name: &&str| {
        let mut words = texts.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == *name)
    };

    let source = include_str!("../src/lib.rs");
    let (_, prelude) = source.split_once("pub mod prelude {").unwrap();
    let prelude = prelude.split(|c: char| !c.is_alphanumeric() && c != '_');
    let paths = ["pub", "use", "crate", "architecture", "core", "data"];
    let paths = [&paths[..], &["feature", "response", "strategy", ""]].concat();
    let names: Vec<_> = prelude.filter(|word| !paths.contains(word)).collect();

    assert!(names.contains(&"OfflineDistiller") && names.contains(&"known_taps"));
    let unused: Vec<_> = names.into_iter().filter(|name| !is_used(name)).collect();
    let unused: Vec<_> = unused
        .into_iter()
        .filter(|name| !METHODS.contains(name))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// Adds the sources and the pages in a folder to a list.
fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|end| end == "rs" || end == "md")
        {
            files.push(path);
        }
    }
}
