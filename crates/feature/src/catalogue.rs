use burn_distill_core::CatalogueEntry;

/// The losses of this crate.
pub fn catalogue() -> &'static [CatalogueEntry] {
    &[
        CatalogueEntry {
            name: "attention-transfer",
            kind: "feature",
            aliases: &["at"],
            reference: "Zagoruyko and Komodakis, Paying More Attention to Attention, ICLR 2017",
        },
        CatalogueEntry {
            name: "factor-transfer",
            kind: "feature",
            aliases: &["ft"],
            reference: "Kim, Park and Kwak, Paraphrasing Complex Network: Network Compression via \
                Factor Transfer, NeurIPS 2018",
        },
        CatalogueEntry {
            name: "sim-kd",
            kind: "feature",
            aliases: &["simkd", "reused-classifier"],
            reference: "Chen et al., Knowledge Distillation with the Reused Teacher Classifier, \
                CVPR 2022",
        },
        CatalogueEntry {
            name: "feature-normalization",
            kind: "feature",
            aliases: &["fn"],
            reference: "Xu et al., Feature Normalized Knowledge Distillation for Image \
                Classification, ECCV 2020",
        },
        CatalogueEntry {
            name: "neuron-selectivity",
            kind: "feature",
            aliases: &["nst"],
            reference: "Huang and Wang, Like What You Like: Knowledge Distill via Neuron \
                Selectivity Transfer, 2017",
        },
        CatalogueEntry {
            name: "semantic-calibration",
            kind: "feature",
            aliases: &["semckd"],
            reference: "Chen et al., Cross-Layer Distillation with Semantic Calibration, AAAI 2021",
        },
        CatalogueEntry {
            name: "review",
            kind: "feature",
            aliases: &["reviewkd"],
            reference: "Chen et al., Distilling Knowledge via Knowledge Review, CVPR 2021",
        },
        CatalogueEntry {
            name: "attention-feature",
            kind: "feature",
            aliases: &["afd"],
            reference: "Ji, Heo and Park, Show, Attend and Distill, AAAI 2021",
        },
        CatalogueEntry {
            name: "channel-attention",
            kind: "feature",
            aliases: &["afd-wang"],
            reference: "Wang et al., Pay Attention to Features, Transfer Learn Faster CNNs, \
                ICLR 2020",
        },
        CatalogueEntry {
            name: "hidden-cosine",
            kind: "feature",
            aliases: &["distilbert"],
            reference: "Sanh et al., DistilBERT, NeurIPS EMC2 Workshop 2019",
        },
        CatalogueEntry {
            name: "hidden-states",
            kind: "feature",
            aliases: &["tinybert-hidden"],
            reference: "Jiao et al., TinyBERT, Findings of EMNLP 2020",
        },
        CatalogueEntry {
            name: "attention-scores",
            kind: "feature",
            aliases: &["tinybert-attention"],
            reference: "Jiao et al., TinyBERT, Findings of EMNLP 2020",
        },
        CatalogueEntry {
            name: "attention-relation",
            kind: "feature",
            aliases: &["minilm"],
            reference: "Wang et al., MiniLM, NeurIPS 2020",
        },
        CatalogueEntry {
            name: "patient",
            kind: "feature",
            aliases: &["patient-kd"],
            reference: "Sun et al., Patient Knowledge Distillation for BERT Model Compression, \
                        EMNLP 2019",
        },
        CatalogueEntry {
            name: "hint",
            kind: "feature",
            aliases: &["fitnet", "fitnets"],
            reference: "Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015",
        },
        CatalogueEntry {
            name: "pearson",
            kind: "feature",
            aliases: &[],
            reference: "Cao et al., PKD: General Distillation Framework for Object Detectors via Pearson \
                        Correlation Coefficient, NeurIPS 2022",
        },
        CatalogueEntry {
            name: "activation-boundaries",
            kind: "feature",
            aliases: &["ab"],
            reference: "Heo et al., Knowledge Transfer via Distillation of Activation Boundaries Formed \
                        by Hidden Neurons, AAAI 2019",
        },
        CatalogueEntry {
            name: "overhaul",
            kind: "feature",
            aliases: &["ofd"],
            reference: "Heo et al., A Comprehensive Overhaul of Feature Distillation, ICCV 2019",
        },
        CatalogueEntry {
            name: "variational",
            kind: "feature",
            aliases: &["vid"],
            reference: "Ahn et al., Variational Information Distillation for Knowledge Transfer, CVPR 2019",
        },
    ]
}
