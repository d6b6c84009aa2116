#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod attention_transfer;
mod catalogue;
mod factor_transfer;
mod feature_normalization;
mod neuron_selectivity;
mod reconstruction;
mod sim_kd;

pub use attention_transfer::*;
pub use catalogue::*;
pub use factor_transfer::*;
pub use feature_normalization::*;
pub use neuron_selectivity::*;
pub use reconstruction::*;
pub use sim_kd::*;
