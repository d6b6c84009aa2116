#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod any_input;
mod batch;
mod batch_norm;
mod buffer;
mod bufferable;
mod catalog;
pub mod check;
mod clock;
mod delegate;
mod display;
mod dynamic;
mod ensemble;
mod entry;
mod file;
mod frozen;
mod host_buffer;
mod input;
mod knowledge;
mod misfit;
mod moving_average;
mod network;
mod norm_statistics;
pub mod numeric;
mod objective;
mod paired;
mod parameters;
mod random;
mod reduction;
mod schedule;
mod seed;
mod several;
mod tap;
mod teacher;
mod terms;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tokens;
mod weights;

pub use any_input::*;
pub use batch::*;
pub use batch_norm::*;
pub use buffer::*;
pub use bufferable::*;
pub use catalog::*;
pub use check::{Check, ConfigError};
pub use clock::*;
pub use dynamic::*;
pub use ensemble::*;
pub use entry::*;
pub use file::*;
pub use frozen::*;
pub use host_buffer::*;
pub use input::*;
pub use knowledge::*;
pub use misfit::*;
pub use moving_average::*;
pub use network::*;
pub use norm_statistics::*;
pub use objective::*;
pub use paired::*;
pub use parameters::*;
pub use random::*;
pub use reduction::*;
pub use schedule::*;
pub use seed::*;
pub use several::*;
pub use tap::*;
pub use teacher::*;
pub use terms::*;
pub use tokens::*;
pub use weights::*;

/// Types that the macros of this crate name in the crates that use them.
#[doc(hidden)]
pub mod __burn {
    pub use burn::module::{
        Content, Devices, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault,
        ModuleMapper, ModuleVisitor,
    };
    pub use burn::nn::{BatchNorm, Linear};
    pub use burn::tensor::{Device, Int, Tensor};
}
