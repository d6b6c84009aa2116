#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod adversarial_logits;
mod clip;
mod curriculum;
mod data_free;
mod display;
mod distillation;
mod dynamic;
mod embedding;
mod evaluation;
mod last_clock;
mod lifelong;
mod metric;
mod mutual;
mod offline;
mod optimizer;
mod oriented;
mod output;
mod resolved;
mod schedule;
mod self_distillation;
mod training;

pub use adversarial_logits::*;
pub use clip::ClippedTerms;
pub use curriculum::*;
pub use data_free::*;
pub use display::*;
pub use distillation::*;
pub use dynamic::*;
pub use embedding::*;
pub use evaluation::*;
pub use lifelong::*;
pub use metric::*;
pub use mutual::*;
pub use offline::*;
pub use optimizer::*;
pub use oriented::*;
pub use output::*;
pub use schedule::*;
pub use self_distillation::*;
pub use training::*;

pub use burn_distill_core::{WeightsError, WeightsFile};

/// Types that [`learner_model!`] names in the crates that use it.
#[doc(hidden)]
pub mod __learner {
    pub use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
    pub use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
    pub use burn::train::{InferenceStep, TrainOutput, TrainStep};
    pub use burn_distill_core::Batch;
}
