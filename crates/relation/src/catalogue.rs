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
        CatalogueEntry {
            name: "relational-distance",
            kind: "relation",
            aliases: &["rkd-distance"],
            reference: "Park et al., Relational Knowledge Distillation, CVPR 2019",
        },
        CatalogueEntry {
            name: "relational-angle",
            kind: "relation",
            aliases: &["rkd-angle"],
            reference: "Park et al., Relational Knowledge Distillation, CVPR 2019",
        },
        CatalogueEntry {
            name: "dark-rank",
            kind: "relation",
            aliases: &["hard-dark-rank"],
            reference: "Chen et al., DarkRank: Accelerating Deep Metric Learning via Cross Sample \
                        Similarities Transfer, AAAI 2018",
        },
        CatalogueEntry {
            name: "locality-preserving",
            kind: "relation",
            aliases: &["lsn"],
            reference: "Chen et al., Learning Student Networks via Feature Embedding, TNNLS 2021 (our interpretation)",
        },
        CatalogueEntry {
            name: "probabilistic-transfer",
            kind: "relation",
            aliases: &["pkt"],
            reference: "Passalis and Tefas, Learning Deep Representations with Probabilistic \
                        Knowledge Transfer, ECCV 2018",
        },
        CatalogueEntry {
            name: "similarity-preserving",
            kind: "relation",
            aliases: &["sp"],
            reference: "Tung and Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019",
        },
        CatalogueEntry {
            name: "correlation-congruence",
            kind: "relation",
            aliases: &["cc"],
            reference: "Peng et al., Correlation Congruence for Knowledge Distillation, ICCV 2019",
        },
        CatalogueEntry {
            name: "adjacent-correlation",
            kind: "relation",
            aliases: &["cc-adjacent"],
            reference: "Peng et al., Correlation Congruence for Knowledge Distillation, ICCV 2019; \
                        as in RepDistiller",
        },
        CatalogueEntry {
            name: "inter-channel-correlation",
            kind: "relation",
            aliases: &["ickd"],
            reference: "Liu et al., Exploring Inter-Channel Correlation for Diversity-Preserved \
                        Knowledge Distillation, ICCV 2021",
        },
        CatalogueEntry {
            name: "class-attention",
            kind: "relation",
            aliases: &["cat-kd"],
            reference: "Guo et al., Class Attention Transfer Based Knowledge Distillation, CVPR 2023",
        },
        CatalogueEntry {
            name: "flow-of-solution",
            kind: "relation",
            aliases: &["fsp"],
            reference: "Yim et al., A Gift from Knowledge Distillation, CVPR 2017",
        },
        CatalogueEntry {
            name: "singular-vectors",
            kind: "relation",
            aliases: &["kd-svd"],
            reference: "Lee et al., Self-supervised Knowledge Distillation Using Singular Value Decomposition, ECCV 2018",
        },
        CatalogueEntry {
            name: "multi-head-graph",
            kind: "relation",
            aliases: &["mhgd"],
            reference: "Lee and Song, Graph-based Knowledge Distillation by Multi-head Attention Network, BMVC 2019",
        },
        CatalogueEntry {
            name: "information-flow",
            kind: "relation",
            aliases: &["ifm"],
            reference: "Passalis et al., Heterogeneous Knowledge Distillation Using Information Flow Modeling, CVPR 2020",
        },
        CatalogueEntry {
            name: "instance-graph",
            kind: "relation",
            aliases: &["irg"],
            reference: "Liu et al., Knowledge Distillation via Instance Relationship Graph, CVPR 2019",
        },
        CatalogueEntry {
            name: "modality-graph",
            kind: "relation",
            aliases: &["graph-distillation"],
            reference: "Luo et al., Graph Distillation for Action Detection with Privileged Modalities, ECCV 2018",
        },
        CatalogueEntry {
            name: "logits-graph",
            kind: "relation",
            aliases: &[],
            reference: "Zhang and Peng, Better and Faster: Graph Distillation, IJCAI 2018 (our interpretation)",
        },
        CatalogueEntry {
            name: "representation-graph",
            kind: "relation",
            aliases: &[],
            reference: "Zhang and Peng, Better and Faster: Graph Distillation, IJCAI 2018 (our interpretation)",
        },
        CatalogueEntry {
            name: "self-attention-relations",
            kind: "relation",
            aliases: &["minilmv2"],
            reference: "Wang et al., MiniLMv2, Findings of ACL 2021",
        },
        CatalogueEntry {
            name: "token-flow",
            kind: "relation",
            aliases: &["sequence-fsp"],
            reference: "Yang et al., TextBrewer, ACL 2020: fsp_loss",
        },
        CatalogueEntry {
            name: "token-similarity",
            kind: "relation",
            aliases: &["sequence-mmd"],
            reference: "Yang et al., TextBrewer, ACL 2020: mmd_loss",
        },
        CatalogueEntry {
            name: "relative-dissimilarity",
            kind: "relation",
            aliases: &["triplet-vote"],
            reference: "You et al., Learning from Multiple Teacher Networks, KDD 2017 (our interpretation)",
        },
        CatalogueEntry {
            name: "label-similarity",
            kind: "relation",
            aliases: &["supervised-pkt"],
            reference: "Passalis and Tefas, Learning Deep Representations with Probabilistic \
                        Knowledge Transfer, ECCV 2018: the supervised variant",
        },
    ]
}
