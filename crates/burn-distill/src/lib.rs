#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod byot;
mod soft_targets;

pub use byot::*;
pub use soft_targets::*;

#[doc(inline)]
pub use burn_distill_architecture as architecture;
#[doc(inline)]
pub use burn_distill_core as core;
#[doc(inline)]
pub use burn_distill_data as data;
#[doc(inline)]
pub use burn_distill_feature as feature;
#[doc(inline)]
pub use burn_distill_interchange as interchange;
#[doc(inline)]
pub use burn_distill_relation as relation;
#[doc(inline)]
pub use burn_distill_response as response;
#[doc(inline)]
pub use burn_distill_strategy as strategy;

/// Names for most programs: those that the README, the book and the examples use.
pub mod prelude {
    pub use crate::SoftTargets;
    pub use crate::architecture::{AdapterKind, FeatureAdapterConfig};
    pub use crate::core::{
        Batch, Context, CrossEntropyObjective, DynNetwork, Frozen, Knowledge, NamedLoss, Network,
        Objective, Requirements, Response, Tap, TapObjective, TapPair, TapRecorder, Targets, Terms,
        known_taps,
    };
    pub use crate::data::{BatchLoader, ClockedLoader, DatasetLoader};
    pub use crate::feature::HintLossConfig;
    pub use crate::response::{
        DistributionLoss, LogitLoss, ResponseObjective, SoftCrossEntropyLossConfig,
        SoftTargetLossConfig,
    };
    pub use crate::strategy::{
        Distillation, Distiller, LearningRateConfig, LrSchedule, MetricKind, OfflineDistiller,
        OptimizerConfig, Predictions, Training,
    };
}
