use burn_distill_core::CatalogueEntry;

/// The strategies of this crate.
pub fn catalogue() -> &'static [CatalogueEntry] {
    &[CatalogueEntry {
        name: "offline",
        kind: "a trained teacher that no longer changes",
        aliases: &["kd"],
        reference: "Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, \
            NIPS Deep Learning Workshop 2014",
    }]
}
