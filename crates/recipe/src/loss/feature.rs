use super::description::Description;
use super::layers::Layers;
use super::{Loss, not_built};
use anyhow::Result;
use burn::tensor::Tensor;
use burn_distill::core::{Check, Pair, TapLoss, TapPairs};
use burn_distill::feature::{AttentionTransferLossConfig, NeuronSelectivityLossConfig};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A loss on features.
pub fn build(kind: &str, loss: Description<'_>) -> Result<Loss> {
    match kind {
        "attention-transfer" => loss.pairs_of(
            Layers::Stages,
            1000.0,
            AttentionTransferLossConfig::new(),
            |c| c.init(),
        ),
        "factor-transfer" => loss.factor_transfer(),
        "sim-kd" => loss.sim_kd(),
        "feature-normalization" => loss.feature_normalization(),
        "neuron-selectivity" => loss.pairs_of(
            Layers::Stages,
            50.0,
            NeuronSelectivityLossConfig::new(),
            |c| c.init(),
        ),
        "semantic-calibration" => loss.semantic_calibration(),
        "review" => loss.review(),
        "attention-feature" => loss.attention_feature(),
        "channel-attention" => loss.channel_attention(),
        "hint" => loss.hint(),
        "pearson" => loss.pearson(),
        "activation-boundaries" => loss.activation_boundaries(),
        "overhaul" => loss.overhaul(),
        "variational" => loss.variational(),
        "hidden-cosine" => loss.hidden_cosine(),
        "hidden-states" => loss.hidden_states(),
        "attention-scores" => loss.attention_scores(),
        "attention-relation" => loss.attention_relation(),
        "patient" => loss.patient(),
        _ => not_built(kind),
    }
}

impl Description<'_> {
    /// One loss without parameters between each pair of taps.
    pub fn pairs_of<C, L>(
        mut self,
        layers: Layers,
        weight: f64,
        default: C,
        init: impl FnOnce(&C) -> L,
    ) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned + Check,
        L: TapLoss,
    {
        let pairs = self.pairs(layers)?;
        let loss = self.init(default, init)?;
        let (students, teachers): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
        self.try_out((&students, &teachers), |student, teacher| {
            let each = student.into_iter().zip(teacher);
            let each = each.map(|(student, teacher)| loss.forward_taps(student, teacher, None));
            each.reduce(Tensor::add).expect("there is a pair of taps")
        })?;
        let pairs = pairs
            .into_iter()
            .map(|(student, teacher)| Pair::new(student, teacher, loss.clone()));
        self.term(TapPairs::from(pairs), weight)
    }
}
