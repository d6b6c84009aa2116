//! Losses on relations.

mod adjacent_correlation;
mod between_layers;
mod class_attention;
mod common;
mod contrastive;
mod correlation_congruence;
mod dark_rank;
mod flow_of_solution;
mod graph;
mod information_flow;
mod instance_graph;
mod inter_channel_correlation;
mod locality_preserving;
mod multi_head_graph;
mod pair_wise;
mod probabilistic_transfer;
mod relational;
mod relational_representation;
mod relative_dissimilarity;
mod self_attention_relations;
mod similarity_preserving;
mod singular_vectors;
mod tokens;
mod types;
