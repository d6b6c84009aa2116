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
pub use burn_distill_relation as relation;
#[doc(inline)]
pub use burn_distill_response as response;
#[doc(inline)]
pub use burn_distill_strategy as strategy;

/// What most programs need.
pub mod prelude {
    pub use crate::SoftTargets;
    pub use crate::core::{
        Batch, Clock, Context, CrossEntropyObjective, DynNetwork, DynObjective, Frozen, Input,
        Knowledge, LossTerm, MultiLayerObjective, MultiLayerTerm, NamedLoss, Network, NoTeacher,
        Objective, Requirements, Response, Tap, TapObjective, TapPair, TapRecorder, TapSelection,
        Taps, Targets, Teacher, Terms, WeightSchedule, Weighted,
    };
    pub use crate::data::{BatchLoader, ClockedLoader, DatasetLoader};
    pub use crate::response::{
        DistributionLoss, LogitLoss, LogitMatchingLossConfig, ResponseObjective,
        SoftCrossEntropyLossConfig, SoftTargetLossConfig,
    };
    pub use crate::strategy::{
        Curriculum, CurriculumError, Route, Snapshots, Stage, StageArtifacts,
    };
    pub use crate::strategy::{
        Distillation, Distiller, LearningRateConfig, LrSchedule, MetricKind, OfflineDistiller,
        OptimizerConfig, Predictions, Training,
    };
}
