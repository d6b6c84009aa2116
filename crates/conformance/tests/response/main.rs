//! Losses on responses: one file per loss with its trial and its golden values, and the properties
//! that all of them share.

mod bounded_regression;
mod chunked;
mod confidence_weighted;
mod decoupled;
mod dist;
mod distillation_token;
mod dual_head_consistency;
mod empty;
mod every_loss;
mod fixtures;
mod hard_target;
mod heat_map;
mod jensen_shannon;
mod label_smoothing;
mod learned_temperature;
mod logit_matching;
mod multi_level;
mod norm_kd;
mod normalized;
mod objectives;
mod permuted_predictions;
mod probability_matching;
mod proposal_classification;
mod reverse_kl;
mod several_teachers;
mod skew_kl;
mod soft_cross_entropy;
mod soft_target;
mod sparse_logits;
mod standardized;
mod total_variation;
mod trials;
mod types;
mod virtual_teacher;
mod weighted_soft_labels;
