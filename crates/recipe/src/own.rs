use burn_distill::core::CatalogueEntry;

/// Returns the entry of what a program has added to a registry, for a list.
pub const fn own_entry(name: &'static str) -> CatalogueEntry {
    CatalogueEntry {
        name,
        kind: "of this program",
        aliases: &[],
        reference: "",
    }
}
