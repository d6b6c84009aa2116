use crate::ArchitectureEntry;

const DEVLIN: &str = "Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers for \
                      Language Understanding, NAACL 2019";
const TURC: &str = "Turc et al., Well-Read Students Learn Better: On the Importance of \
                    Pre-training Compact Models, 2019; after Devlin et al., BERT, NAACL 2019";
const JIAO: &str = "Jiao et al., TinyBERT: Distilling BERT for Natural Language Understanding, \
                    Findings of EMNLP 2020";
const WANG: &str = "Wang et al., MiniLM: Deep Self-Attention Distillation for Task-Agnostic \
                    Compression of Pre-Trained Transformers, NeurIPS 2020";
const SANH: &str = "Sanh et al., DistilBERT, a distilled version of BERT, NeurIPS EMC2 Workshop \
                    2019";

const fn entry(
    name: &'static str,
    aliases: &'static [&'static str],
    reference: &'static str,
) -> ArchitectureEntry {
    ArchitectureEntry {
        name,
        example: name,
        kind: "text transformer",
        aliases,
        reference,
    }
}

const CATALOG: &[ArchitectureEntry] = &[
    entry("bert-tiny", &["bert_tiny"], TURC),
    entry("bert-mini", &["bert_mini"], TURC),
    entry("bert-small", &["bert_small"], TURC),
    entry("bert-medium", &["bert_medium"], TURC),
    entry("bert-base", &["bert_base"], DEVLIN),
    entry("distilbert", &["DistilBERT"], SANH),
    entry("tinybert-4", &["tinybert_4"], JIAO),
    entry("tinybert-6", &["tinybert_6"], JIAO),
    entry("minilm-6", &["minilm_6"], WANG),
    entry("minilm-12", &["minilm_12"], WANG),
    ArchitectureEntry {
        name: "transformer-<features>-<depth>-<heads>",
        example: "transformer-16-2-4",
        ..entry("", &["transformer_16_2_4"], DEVLIN)
    },
];

/// Returns the text networks that [`TextSize::by_name`](crate::TextSize::by_name) supports.
pub fn text_catalog() -> &'static [ArchitectureEntry] {
    CATALOG
}
