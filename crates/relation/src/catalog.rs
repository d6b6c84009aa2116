use burn::tensor::Tensor;
use burn_distill_core::{CatalogEntry, Input, LossEntry};
use std::sync::LazyLock;

/// Returns the losses of this crate, for recipes of networks with inputs of type `I`.
pub fn losses<I: Input>() -> Vec<LossEntry<I>> {
    vec![
        crate::contrastive::entry(),
        crate::relational_representation::entry(),
        crate::relational_distance::entry(),
        crate::relational_angle::entry(),
        crate::dark_rank::entry(),
        crate::locality_preserving::entry(),
        crate::probabilistic_transfer::entry(),
        crate::similarity_preserving::entry(),
        crate::pair_wise::entry(),
        crate::correlation_congruence::entry(),
        crate::adjacent_correlation::entry(),
        crate::inter_channel_correlation::entry(),
        crate::class_attention::entry(),
        crate::flow_of_solution::entry(),
        crate::singular_vectors::entry(),
        crate::multi_head_graph::objective::entry(),
        crate::information_flow::entry(),
        crate::instance_graph::entry(),
        crate::graph::modality::entry(),
        crate::graph::logits::entry(),
        crate::graph::representation::entry(),
        crate::self_attention_relations::entry(),
        crate::token_flow::entry(),
        crate::token_similarity::entry(),
        crate::graph::dissimilarity::entry(),
        crate::probabilistic_transfer::label_similarity_entry(),
    ]
}

/// Returns the catalog entries of the losses of this crate.
pub fn catalog() -> &'static [CatalogEntry] {
    static CATALOG: LazyLock<Vec<CatalogEntry>> = LazyLock::new(|| {
        let losses = losses::<Tensor<2>>().into_iter();
        losses.map(|loss| loss.catalog).collect()
    });
    &CATALOG
}
