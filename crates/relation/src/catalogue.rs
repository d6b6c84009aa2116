use burn_distill_core::CatalogueEntry;

/// The losses of this crate.
pub fn catalogue() -> &'static [CatalogueEntry] {
    &[
        CatalogueEntry {
            name: "contrastive",
            kind: "relation",
            aliases: &["crd"],
            reference: "Tian, Krishnan and Isola, Contrastive Representation Distillation, ICLR 2020",
        },
        CatalogueEntry {
            name: "relational-representation",
            kind: "relation",
            aliases: &["rrd"],
            reference: "Giakoumoglou and Stathaki, Relational Representation Distillation, 2024",
        },
    ]
}
