//! The losses on features.

mod attention_transfer;
mod factor_transfer;
