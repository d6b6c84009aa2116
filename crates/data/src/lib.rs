#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod augment;
mod catalog;
mod cifar;
mod dataset;
mod digits;
mod error;
mod idx;
mod loader;
mod normalization;
mod read;
mod render;
mod rng;
mod samples;
mod source;
mod split;

pub use augment::*;
pub use catalog::*;
pub use dataset::*;
pub use digits::*;
pub use error::*;
pub use loader::*;
pub use normalization::*;
pub use samples::*;
pub use source::*;
pub use split::*;
