#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod adapter;
mod branched;
mod catalog;
mod class_maps;
mod config;
mod conv_shape;
mod convnet;
mod error;
mod exits;
mod generator;
mod layers;
mod mlp;
mod pairing;
mod patches;
mod plan;
mod projection;
mod published;
mod quantized;
mod resnet;
mod stages;
mod text;
mod transformer;
mod vit;
mod wide_resnet;
mod wrapper;
#[cfg(test)]
mod zoo;

pub use adapter::*;
pub use branched::*;
pub use catalog::*;
pub use class_maps::*;
pub use config::*;
pub use convnet::*;
pub use error::*;
pub use exits::*;
pub use generator::*;
pub use mlp::*;
pub use pairing::*;
pub use plan::*;
pub use projection::*;
pub use published::*;
pub use quantized::*;
pub use resnet::*;
pub use text::*;
pub use transformer::*;
pub use vit::*;
pub use wide_resnet::*;
pub use wrapper::*;
