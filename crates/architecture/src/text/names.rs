//! Names of the layers in transformers.

use super::TextFamily;

/// Returns the name in `BertModel` or `DistilBertModel` of a layer of a
/// [`TextEncoder`](super::TextEncoder).
pub(super) fn original_of_encoder(family: TextFamily, ours: &str) -> String {
    let of_layer = ours.strip_prefix("layers.");
    let Some((number, part)) = of_layer.and_then(|of_layer| of_layer.split_once('.')) else {
        return theirs(&EMBEDDINGS, ours).to_string();
    };
    match family {
        TextFamily::Bert => format!("encoder.layer.{number}.{}", theirs(&BERT, part)),
        TextFamily::DistilBert => {
            format!("transformer.layer.{number}.{}", theirs(&DISTILBERT, part))
        }
    }
}

/// Returns the name of a part in transformers, or the name itself if it is not in the table.
fn theirs<'a>(pairs: &[(&'static str, &'static str)], ours: &'a str) -> &'a str {
    let pair = pairs.iter().find(|(name, _)| *name == ours);
    pair.map_or(ours, |(_, theirs)| theirs)
}

/// Returns the name in `BertForSequenceClassification` or `DistilBertForSequenceClassification` of a
/// layer of a [`TextClassifier`](super::TextClassifier).
pub(super) fn original_of_classifier(family: TextFamily, ours: &str) -> String {
    let (prefix, pooler) = match family {
        TextFamily::Bert => ("bert", "bert.pooler.dense"),
        TextFamily::DistilBert => ("distilbert", "pre_classifier"),
    };
    match ours.strip_prefix("encoder.") {
        Some(of_encoder) => format!("{prefix}.{}", original_of_encoder(family, of_encoder)),
        None if ours == "pooler" => pooler.to_string(),
        None => ours.to_string(),
    }
}

const EMBEDDINGS: [(&str, &str); 4] = [
    (
        "embeddings.word.weight",
        "embeddings.word_embeddings.weight",
    ),
    (
        "embeddings.position.weight",
        "embeddings.position_embeddings.weight",
    ),
    (
        "embeddings.segment.weight",
        "embeddings.token_type_embeddings.weight",
    ),
    ("embeddings.norm", "embeddings.LayerNorm"),
];

const BERT: [(&str, &str); 8] = [
    ("attention.query", "attention.self.query"),
    ("attention.key", "attention.self.key"),
    ("attention.value", "attention.self.value"),
    ("attention.output", "attention.output.dense"),
    ("norm1", "attention.output.LayerNorm"),
    ("fc1", "intermediate.dense"),
    ("fc2", "output.dense"),
    ("norm2", "output.LayerNorm"),
];

const DISTILBERT: [(&str, &str); 8] = [
    ("attention.query", "attention.q_lin"),
    ("attention.key", "attention.k_lin"),
    ("attention.value", "attention.v_lin"),
    ("attention.output", "attention.out_lin"),
    ("norm1", "sa_layer_norm"),
    ("fc1", "ffn.lin1"),
    ("fc2", "ffn.lin2"),
    ("norm2", "output_layer_norm"),
];
