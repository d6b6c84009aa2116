//! An experiment as a TOML file: what it may say, how it is read, and what its names mean.
//!
//! Nothing here trains: a recipe is checked and written out before the data is touched.

#[cfg(test)]
mod abuse;
mod configure;
mod differences;
mod fault;
mod loss;
pub mod memory;
mod numbers;
mod overrides;
mod paths;
mod read;
mod route;
mod stages;
mod strategy;
mod teachers;
mod typed;
mod types;
mod words;

pub use differences::differences;
pub use loss::{JointLoss, Loss, Preparation, Scene, catalogue as losses, catch, student_of};
pub use read::{check_losses, read};
pub use route::{RouteBy, RouteRecipe};
pub use stages::{StageRecipe, Trains};
pub use strategy::{
    Finish, Generations, Outcome, Prepared, Pretraining, Ready, Sees, Setting, Strategy,
    StrategyRecipe, catalogue as strategies, check_setting, figures_of_taught, mean_of_networks,
    warnings,
};
pub use teachers::OtherTeacherRecipe;
pub use types::*;
