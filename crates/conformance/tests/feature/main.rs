//! Losses on features.

mod activation_boundaries;
mod attention_feature;
mod attention_relation;
mod attention_scores;
mod attention_transfer;
mod channel_attention;
mod exit_feature;
mod factor_transfer;
mod feature_normalization;
mod hidden_cosine;
mod hidden_states;
mod hint;
mod layer_projection;
mod layers_trial;
mod neuron_selectivity;
mod overhaul;
mod patient;
mod pearson;
mod review;
mod semantic_calibration;
mod sim_kd;
mod softmax_regression;
mod types;
mod variational;
