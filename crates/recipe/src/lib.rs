#![doc = include_str!("../README.md")]

#[cfg(test)]
mod abuse;
mod capacity;
mod check;
mod configure;
mod dataset;
mod differences;
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
mod overrides;
mod paths;
mod read;
mod registry;
mod route;
mod stages;
mod strategy;
mod teachers;
pub mod text;
mod training;
mod typed;
mod types;
mod words;

pub use capacity::check_network;
pub use configure::configured;
pub use dataset::*;
pub use differences::differences;
pub use fault::Fault;
pub use input::*;
pub use loss::{
    Configuration, DefaultTaps, JointLoss, Loss, LossClip, LossEntry, Losses, NoOptions,
    Preparation, ResponseEntry, Scene, student_of,
};
pub use losses::check_losses;
pub use model::ModelRecipe;
pub use network::seeded;
pub use notices::Notices;
pub use read::read;
pub use registry::*;
pub use strategy::{
    Finish, Generations, Outcome, Prepared, Pretraining, Ready, Sees, Setting, Strategy,
    StrategyRecipe, catalogue as strategies, check_setting, figures_of_taught, mean_of_networks,
    warnings,
};
pub use types::*;
