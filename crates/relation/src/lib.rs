#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod catalogue;
mod contrastive;
mod population;
mod relational_representation;

pub use catalogue::*;
pub use contrastive::*;
pub use population::*;
pub use relational_representation::*;
