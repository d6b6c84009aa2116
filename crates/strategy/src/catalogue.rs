use burn_distill_core::CatalogueEntry;

/// The strategies of this crate.
pub fn catalogue() -> &'static [CatalogueEntry] {
    &[
        CatalogueEntry {
            name: "offline",
            kind: "a trained teacher that no longer changes",
            aliases: &["kd"],
            reference: "Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, \
                NIPS Deep Learning Workshop 2014",
        },
        CatalogueEntry {
            name: "curriculum",
            kind: "stages, each with its own losses, that go on from each other",
            aliases: &["stages", "two-stage"],
            reference: "as in Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015",
        },
        CatalogueEntry {
            name: "route-constrained",
            kind: "the teacher as it was along its training, from early on to its end",
            aliases: &["rco"],
            reference: "Jin et al., Knowledge Distillation via Route Constrained Optimization, \
                ICCV 2019",
        },
    ]
}
