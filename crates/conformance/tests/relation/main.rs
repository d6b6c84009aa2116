//! The losses on relations.

mod contrastive;
mod relational_representation;
