#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod batch_loss;
mod bounded_objective;
mod bounded_regression;
mod catalog;
mod chunked;
mod columns;
mod confidence_weighted;
mod decoupled;
mod dist;
mod distribution;
mod dual_head_consistency;
mod entry;
mod heat_map;
mod jensen_shannon;
mod label_smoothing;
mod labeled;
mod lazy_logits;
mod learned_temperature;
mod logit_matching;
mod multi_level;
mod multi_level_term;
mod norm_kd;
mod normalized;
mod objective;
mod permuted_predictions;
mod place_of_loss;
mod probability_matching;
mod proposal_classification;
mod reverse_kl;
mod skew_kl;
mod soft_cross_entropy;
mod soft_target;
mod spread;
mod standardized;
mod target;
mod teacher_free;
mod teacher_logits;
mod total_variation;
mod virtual_teacher;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod labeled_suite;
#[cfg(test)]
mod suite;

pub use batch_loss::*;
pub use bounded_objective::*;
pub use bounded_regression::*;
pub use catalog::*;
pub use chunked::*;
pub use confidence_weighted::*;
pub use decoupled::*;
pub use dist::*;
pub use distribution::*;
pub use dual_head_consistency::*;
pub use entry::*;
pub use heat_map::*;
pub use jensen_shannon::*;
pub use label_smoothing::*;
pub use labeled::*;
pub use lazy_logits::*;
pub use learned_temperature::*;
pub use logit_matching::*;
pub use multi_level::*;
pub use multi_level_term::*;
pub use norm_kd::*;
pub use normalized::*;
pub use objective::*;
pub use permuted_predictions::*;
pub use probability_matching::*;
pub use proposal_classification::*;
pub use reverse_kl::*;
pub use skew_kl::*;
pub use soft_cross_entropy::*;
pub use soft_target::*;
pub use standardized::*;
pub use teacher_free::*;
pub use teacher_logits::*;
pub use total_variation::*;
pub use virtual_teacher::*;
