#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod catalogue;
mod logit_matching;
mod objective;
mod soft_cross_entropy;
mod soft_target;
mod temperature;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod suite;

pub use catalogue::*;
pub use logit_matching::*;
pub use objective::*;
pub use soft_cross_entropy::*;
pub use soft_target::*;
