//! The losses on features.

mod attention_feature;
mod activation_boundaries;
mod attention_transfer;
mod channel_attention;
mod factor_transfer;
mod feature_normalization;
mod layers_trial;
mod neuron_selectivity;
mod review;
mod semantic_calibration;
mod sim_kd;
mod hint;
mod overhaul;
mod pearson;
mod variational;
