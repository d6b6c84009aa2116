#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod activation_boundaries;
mod attention_feature;
mod attention_transfer;
mod catalogue;
mod channel_attention;
mod factor_transfer;
mod feature_normalization;
mod hierarchical_context;
mod hint;
mod neuron_selectivity;
mod normalization;
mod overhaul;
mod pearson;
mod reconstruction;
mod review;
mod semantic_calibration;
mod several_layers;
mod sim_kd;
mod variational;

pub use activation_boundaries::*;
pub use attention_feature::*;
pub use attention_transfer::*;
pub use catalogue::*;
pub use channel_attention::*;
pub use factor_transfer::*;
pub use feature_normalization::*;
pub use hierarchical_context::*;
pub use hint::*;
pub use neuron_selectivity::*;
pub use normalization::*;
pub use overhaul::*;
pub use pearson::*;
pub use reconstruction::*;
pub use review::*;
pub use semantic_calibration::*;
pub use sim_kd::*;
pub use variational::*;
