#![doc = include_str!("../README.md")]

#[cfg(test)]
mod abuse;
mod configure;
mod differences;
mod fault;
mod loss;
pub mod memory;
mod network;
mod notices;
mod numbers;
mod overrides;
mod paths;
mod read;
mod route;
mod stages;
mod strategy;
mod teachers;
pub mod text;
mod typed;
mod types;
mod words;

pub use differences::differences;
pub use loss::{JointLoss, Loss, Preparation, Scene, catalogue as losses, catch, student_of};
pub use network::{ImageNetwork, build, seeded};
pub use notices::{notice, take_notices};
pub use read::{check_losses, read};
pub use route::{RouteBy, RouteRecipe};
pub use stages::{StageRecipe, Trains};
pub use strategy::{
    BornAgainRecipe, Configured, DinoRecipe, Finish, Outcome, Ready, Sees, Setting, StrategyRecipe,
    TfKdVariant, check_setting, figures_of_taught, mean_of_networks, warnings,
};
pub use teachers::OtherTeacherRecipe;
pub use types::*;
