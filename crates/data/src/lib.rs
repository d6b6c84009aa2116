#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod augment;
mod bytes;
mod catalog;
mod cifar;
mod class_list;
mod dataset;
mod digits;
mod error;
mod idx;
mod images;
mod listing;
mod loader;
mod normalization;
mod numpy;
mod read;
mod render;
mod reordered;
mod repeats;
mod resize;
mod rng;
mod samples;
mod source;
mod split;
mod table;

pub use augment::*;
pub use bytes::*;
pub use catalog::*;
pub use class_list::ClassList;
pub use dataset::*;
pub use digits::*;
pub use error::*;
pub use images::*;
pub use loader::*;
pub use normalization::*;
pub use numpy::*;
pub use reordered::*;
pub use repeats::Repeats;
pub use resize::{PixelWindow, bilinear_weights};
pub use samples::*;
pub use source::*;
pub use split::*;
pub use table::*;
