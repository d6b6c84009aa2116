#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod attention_transfer;
mod catalogue;

pub use attention_transfer::*;
pub use catalogue::*;
