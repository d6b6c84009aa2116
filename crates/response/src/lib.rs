#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod batch_loss;
mod catalogue;
mod dist;
mod distribution;
mod jensen_shannon;
mod learned_temperature;
mod logit_matching;
mod multi_level;
mod norm_kd;
mod objective;
mod reverse_kl;
mod rows;
mod signal;
mod skew_kl;
mod soft_cross_entropy;
mod soft_target;
mod spread;
mod standardized;
mod temperature;
mod total_variation;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod suite;

pub use batch_loss::*;
pub use catalogue::*;
pub use dist::*;
pub use distribution::*;
pub use jensen_shannon::*;
pub use learned_temperature::*;
pub use logit_matching::*;
pub use multi_level::*;
pub use norm_kd::*;
pub use objective::*;
pub use reverse_kl::*;
pub use signal::*;
pub use skew_kl::*;
pub use soft_cross_entropy::*;
pub use soft_target::*;
pub use standardized::*;
pub use total_variation::*;
