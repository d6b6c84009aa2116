//! Losses on features.

mod activation_boundaries;
mod attention_feature;
mod attention_relation;
mod attention_scores;
mod attention_transfer;
mod channel_attention;
mod channel_wise;
mod exit_feature;
mod factor_transfer;
mod feature_normalization;
mod hidden_cosine;
mod hidden_states;
mod hint;
mod layers_trial;
mod masked_generation;
mod neuron_selectivity;
mod overhaul;
mod patient;
mod pearson;
mod review;
mod semantic_calibration;
mod sim_kd;
mod types;
mod variational;
