#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod catalogue;
mod distribution;
mod jensen_shannon;
mod logit_matching;
mod objective;
mod reverse_kl;
mod signal;
mod skew_kl;
mod soft_cross_entropy;
mod soft_target;
mod temperature;
mod total_variation;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod suite;

pub use catalogue::*;
pub use distribution::*;
pub use jensen_shannon::*;
pub use logit_matching::*;
pub use objective::*;
pub use reverse_kl::*;
pub use signal::*;
pub use skew_kl::*;
pub use soft_cross_entropy::*;
pub use soft_target::*;
pub use total_variation::*;
