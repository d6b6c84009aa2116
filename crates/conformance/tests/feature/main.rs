//! The losses on features.

mod attention_transfer;
