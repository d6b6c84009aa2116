#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod adjacent_correlation;
mod catalogue;
mod channel_embedding;
mod class_attention;
mod contrastive;
mod correlation_congruence;
mod dark_rank;
mod embeddings;
mod inter_channel_correlation;
mod locality_preserving;
mod nearest;
mod population;
mod probabilistic_transfer;
mod relational_angle;
mod relational_distance;
mod relational_representation;
mod similarity_preserving;
mod smooth_l1;

pub use adjacent_correlation::*;
pub use catalogue::*;
pub use channel_embedding::*;
pub use class_attention::*;
pub use contrastive::*;
pub use correlation_congruence::*;
pub use dark_rank::*;
pub use embeddings::*;
pub use inter_channel_correlation::*;
pub use locality_preserving::*;
pub use population::*;
pub use probabilistic_transfer::*;
pub use relational_angle::*;
pub use relational_distance::*;
pub use relational_representation::*;
pub use similarity_preserving::*;
