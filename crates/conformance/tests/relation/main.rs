//! The losses on relations.
