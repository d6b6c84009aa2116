//! The losses on relations.

mod contrastive;
mod relational_representation;
mod adjacent_correlation;
mod class_attention;
mod common;
mod correlation_congruence;
mod dark_rank;
mod inter_channel_correlation;
mod locality_preserving;
mod probabilistic_transfer;
mod relational;
mod similarity_preserving;
