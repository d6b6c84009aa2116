#![doc = include_str!("../README.md")]

#[cfg(test)]
mod abuse;
mod capacity;
mod check;
mod class_names;
mod configure;
mod data;
mod dataset;
mod differences;
mod evaluation;
mod fault;
mod input;
mod loss;
mod losses;
mod memory;
mod model;
mod names;
mod naming;
mod network;
mod notices;
mod numbers;
mod onnx;
mod overrides;
mod parts;
mod paths;
mod read;
mod recipe;
mod registry;
mod renamed;
mod route;
mod stages;
mod strategy;
mod tasks;
mod teachers;
pub mod text;
mod training;
mod typed;
mod unlabeled;
mod words;

pub use capacity::check_network;
pub use check::{check_built, check_quantized, check_untrained};
pub use class_names::ClassNames;
pub use configure::configured;
pub use data::{ArraysConfig, DataRecipe, ImageLayout, OwnData, OwnSource, SourceRecipe};
pub use dataset::*;
pub use differences::differences;
pub use evaluation::EvaluationRecipe;
pub use fault::{Fault, Place};
pub use input::*;
pub use loss::{
    Configuration, DefaultTaps, JointLoss, Loss, LossClip, LossContext, LossEntry, Losses,
    NoOptions, Preparation, ResponseEntry, TeacherChoices, loss_context, student_of, with_inputs,
};
#[cfg(test)]
use loss::{example_context, example_context_of_heads, example_context_of_tokens};
pub use memory::check_parameters;
pub use model::ModelRecipe;
pub use network::seeded;
pub use notices::Notices;
pub use onnx::*;
pub use parts::*;
pub use paths::without_folders;
pub use read::{parse, parse_data, read};
pub use recipe::Recipe;
pub use registry::*;
pub use strategy::{
    AssistantPlan, AssistantRecipe, Finalize, Generations, Guidance, Member, Outcome, Prepared,
    PreparedStrategy, Pretraining, Strategy, StrategyContext, StrategyEntry, StrategyOptions,
    StrategyRecipe, TaskTraining, TeacherSetting, TeachingEpoch, ViewMode, WithoutData,
    mean_of_networks, metrics_of_distilled, prepare_checked, prepare_without_data, warnings,
};
pub use teachers::TeacherSource;
pub use unlabeled::check_file;
