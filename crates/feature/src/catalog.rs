use burn::tensor::Tensor;
use burn_distill_core::{CatalogEntry, Input, LossEntry};
use std::sync::LazyLock;

/// Returns the losses of this crate, for recipes of networks with inputs of type `I`.
pub fn losses<I: Input>() -> Vec<LossEntry<I>> {
    vec![
        crate::attention_transfer::entry(),
        crate::factor_transfer::entry(),
        crate::sim_kd::entry(),
        crate::softmax_regression::entry(),
        crate::feature_normalization::entry(),
        crate::neuron_selectivity::entry(),
        crate::semantic_calibration::entry(),
        crate::review::entry(),
        crate::attention_feature::entry(),
        crate::channel_attention::entry(),
        crate::hidden_cosine::entry(),
        crate::hidden_states::entry(),
        crate::attention_scores::entry(),
        crate::attention_relation::entry(),
        crate::patient::entry(),
        crate::layer_projection::entry(),
        crate::hint::entry(),
        crate::pearson::entry(),
        crate::activation_boundaries::entry(),
        crate::overhaul::entry(),
        crate::variational::entry(),
        crate::several_teachers::confidence_feature_entry(),
        crate::several_teachers::adaptive_feature_entry(),
        crate::channel_wise::entry(),
        crate::masked_generation::entry(),
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
