#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod batch_loss;
mod bounded_objective;
mod bounded_regression;
mod catalogue;
mod chunked;
mod columns;
mod confidence_weighted;
mod decoupled;
mod dist;
mod distribution;
mod entry;
mod heat_map;
mod hidden;
mod jensen_shannon;
mod label_smoothing;
mod labelled;
mod learned_temperature;
mod logit_matching;
mod multi_level;
mod multi_level_term;
mod norm_kd;
mod normalized;
mod objective;
mod permuted;
mod place_of_loss;
mod probability_matching;
mod proposal_classification;
mod reverse_kl;
mod signal;
mod skew_kl;
mod soft_cross_entropy;
mod soft_target;
mod spread;
mod standardized;
mod target;
mod teacher_free;
mod total_variation;
mod two_headed;
mod virtual_teacher;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod labelled_suite;
#[cfg(test)]
mod suite;

pub use batch_loss::*;
pub use bounded_objective::*;
pub use bounded_regression::*;
pub use catalogue::*;
pub use chunked::*;
pub use confidence_weighted::*;
pub use decoupled::*;
pub use dist::*;
pub use distribution::*;
pub use entry::*;
pub use heat_map::*;
pub use hidden::*;
pub use jensen_shannon::*;
pub use label_smoothing::*;
pub use labelled::*;
pub use learned_temperature::*;
pub use logit_matching::*;
pub use multi_level::*;
pub use multi_level_term::*;
pub use norm_kd::*;
pub use normalized::*;
pub use objective::*;
pub use permuted::*;
pub use probability_matching::*;
pub use proposal_classification::*;
pub use reverse_kl::*;
pub use signal::*;
pub use skew_kl::*;
pub use soft_cross_entropy::*;
pub use soft_target::*;
pub use standardized::*;
pub use teacher_free::*;
pub use total_variation::*;
pub use two_headed::*;
pub use virtual_teacher::*;
