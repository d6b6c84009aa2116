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
                ICCV 2019 (by hardness our interpretation)",
        },
        CatalogueEntry {
            name: "mutual",
            kind: "peers, which learn at once or in turns",
            aliases: &["dml"],
            reference: "Zhang et al., Deep Mutual Learning, CVPR 2018",
        },
        CatalogueEntry {
            name: "collaborative",
            kind: "peers, by one target that is made of all",
            aliases: &["kdcl"],
            reference: "Guo et al., Online Knowledge Distillation via Collaborative Learning, \
                CVPR 2020 (all targets but the mean our interpretation)",
        },
        CatalogueEntry {
            name: "native-ensemble",
            kind: "the branches of one network, by their weighted mean",
            aliases: &["one"],
            reference: "Lan et al., Knowledge Distillation by On-the-Fly Native Ensemble, \
                NeurIPS 2018",
        },
        CatalogueEntry {
            name: "group-leader",
            kind: "diverse peers each other, and all of them a leader",
            aliases: &["okddip"],
            reference: "Chen et al., Online Knowledge Distillation with Diverse Peers, AAAI 2020",
        },
        CatalogueEntry {
            name: "codistillation",
            kind: "peers, as they were a while ago",
            aliases: &["stale-peers"],
            reference: "Anil et al., Large scale distributed neural network training through \
                online distillation, ICLR 2018 (our interpretation)",
        },
        CatalogueEntry {
            name: "adversarial-features",
            kind: "peers in a ring, by maps that a discriminator cannot tell apart",
            aliases: &["afd-chung"],
            reference: "Chung et al., Feature-map-level Online Adversarial Knowledge Distillation, \
                ICML 2020 (our interpretation)",
        },
        CatalogueEntry {
            name: "byot",
            kind: "the deepest exit of a network its shallower ones",
            aliases: &["exits", "be-your-own-teacher"],
            reference: "Zhang et al., Be Your Own Teacher: Improve the Performance of \
                Convolutional Neural Networks via Self Distillation, ICCV 2019",
        },
        CatalogueEntry {
            name: "sd-dropout",
            kind: "a network itself, with others of its features dropped",
            aliases: &["dropout"],
            reference: "Lee et al., Self-knowledge Distillation via Dropout, 2022",
        },
        CatalogueEntry {
            name: "tf-kd",
            kind: "a frozen copy of a network of the same architecture",
            aliases: &["teacher-free"],
            reference: "Yuan et al., Revisiting Knowledge Distillation via Label Smoothing \
                Regularization, CVPR 2020",
        },
        CatalogueEntry {
            name: "born-again",
            kind: "generations of one architecture, each the one after it",
            aliases: &["ban"],
            reference: "Furlanello et al., Born Again Neural Networks, ICML 2018 (our interpretation)",
        },
        CatalogueEntry {
            name: "cs-kd",
            kind: "the network itself, on another sample of the class",
            aliases: &["same-class"],
            reference: "Yun et al., Regularizing Class-wise Predictions via Self-knowledge \
                Distillation, CVPR 2020",
        },
        CatalogueEntry {
            name: "ps-kd",
            kind: "the network itself, as it was an epoch ago",
            aliases: &["past-predictions"],
            reference: "Kim et al., Self-Knowledge Distillation with Progressive Refinement of \
                Targets, ICCV 2021",
        },
        CatalogueEntry {
            name: "dlb",
            kind: "the network itself, as it was a step ago",
            aliases: &["last-batch"],
            reference: "Shen et al., Self-Distillation from the Last Mini-Batch for Consistency \
                Regularization, CVPR 2022",
        },
        CatalogueEntry {
            name: "mean-teacher",
            kind: "a moving average of the network, on another view",
            aliases: &["ema"],
            reference: "Tarvainen and Valpola, Mean teachers are better role models, NIPS 2017",
        },
        CatalogueEntry {
            name: "dino",
            kind: "a moving average of the network, on other views and without labels",
            aliases: &[],
            reference: "Caron et al., Emerging Properties in Self-Supervised Vision Transformers, \
                ICCV 2021",
        },
    ]
}
