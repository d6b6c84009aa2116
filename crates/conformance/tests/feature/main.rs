//! The losses on features.

mod attention_feature;
mod attention_transfer;
mod factor_transfer;
mod feature_normalization;
mod sim_kd;
mod channel_attention;
mod layers_trial;
mod neuron_selectivity;
mod review;
mod semantic_calibration;
