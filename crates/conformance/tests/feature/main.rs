//! The losses on features.

mod attention_transfer;
mod factor_transfer;
mod feature_normalization;
mod sim_kd;
mod neuron_selectivity;
