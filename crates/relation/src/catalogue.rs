use burn_distill_core::CatalogueEntry;

/// The losses of this crate.
pub fn catalogue() -> &'static [CatalogueEntry] {
    &[]
}
