#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod activation_boundaries;
mod attention_feature;
mod attention_relation;
mod attention_scores;
mod attention_transfer;
mod catalog;
mod channel_attention;
mod entry;
mod exit_feature;
mod factor_transfer;
mod feature_normalization;
mod hidden_cosine;
mod hidden_states;
mod hierarchical_context;
mod hint;
mod layer_map;
mod layer_projection;
mod neuron_selectivity;
mod normalization;
mod overhaul;
mod padding;
mod pairing;
mod patient;
mod pearson;
mod reconstruction;
mod review;
mod semantic_calibration;
mod several_layers;
mod sim_kd;
mod softmax_regression;
mod variational;

pub use activation_boundaries::*;
pub use attention_feature::*;
pub use attention_relation::*;
pub use attention_scores::*;
pub use attention_transfer::*;
pub use catalog::*;
pub use channel_attention::*;
pub use exit_feature::*;
pub use factor_transfer::*;
pub use feature_normalization::*;
pub use hidden_cosine::*;
pub use hidden_states::*;
pub use hierarchical_context::*;
pub use hint::*;
pub use layer_map::*;
pub use layer_projection::*;
pub use neuron_selectivity::*;
pub use normalization::*;
pub use overhaul::*;
pub use padding::*;
pub use patient::*;
pub use pearson::*;
pub use reconstruction::*;
pub use review::*;
pub use semantic_calibration::*;
pub use sim_kd::*;
pub use softmax_regression::*;
pub use variational::*;

use pairing::pair_layers;

pub use burn_distill_architecture::{ProjectedSequences, ProjectionConfig};
