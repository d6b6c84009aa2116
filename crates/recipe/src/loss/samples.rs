use super::Loss;
use super::description::Description;
use super::layers::Layers;
use super::sizes::{channels, vector_size};
use crate::fault::Fault;
use crate::memory::{fits, trained};
use anyhow::{Result, ensure};
use burn_distill::core::{Check, Pair, TapLoss, TapPairs};
use burn_distill::relation::{
    ChannelEmbeddingConfig, Embeddings, EmbeddingsConfig, InterChannelCorrelationLossConfig,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Value;

impl Description<'_> {
    /// One loss between each pair of pooled features, after the embeddings that `embedding` asks for:
    /// their number of features, or `false`.
    pub fn embedded<C, L>(
        mut self,
        embedding: Option<usize>,
        weight: f64,
        default: C,
        init: impl FnOnce(&C) -> L,
        embed: impl Fn(L, Embeddings) -> L,
    ) -> Result<Loss>
    where
        C: Serialize + DeserializeOwned + Check,
        L: TapLoss,
    {
        let features = match self.table.remove("embedding") {
            None => embedding,
            Some(Value::Boolean(false)) => None,
            Some(Value::Integer(features @ 1..=65_536)) => Some(features as usize),
            Some(other) => {
                let expected = "a number of features from 1 to 65536, or false";
                return Err(Fault::value("embedding", expected, &other).into());
            }
        };
        let pairs = self.pairs(Layers::Pooled)?;
        let loss = self.init(default, init)?;
        let scene = self.scene;
        let pairs = pairs
            .into_iter()
            .map(|(student, teacher)| {
                let loss = match features {
                    None => loss.clone(),
                    Some(features) => {
                        let student = vector_size(&scene.student_taps, &student)?;
                        let teacher = vector_size(&scene.teacher_taps, &teacher)?;
                        let parameters = (student + teacher) as f64 * features as f64;
                        fits("embedding", features, trained(parameters))?;
                        let embeddings = EmbeddingsConfig::new(student, teacher)
                            .with_features(features)
                            .init(&scene.device);
                        embed(loss.clone(), embeddings)
                    }
                };
                Ok(Pair::new(student, teacher, loss))
            })
            .collect::<Result<Vec<_>>>()?;
        self.term(TapPairs::from(pairs), weight)
    }

    /// The correlation of channels, behind an embedding of the student's.
    pub fn inter_channel_correlation(mut self) -> Result<Loss> {
        let pairs = self.pairs(Layers::LastStage)?;
        let loss = self.init(InterChannelCorrelationLossConfig::new(), |c| c.init())?;
        let scene = self.scene;
        let pairs = pairs
            .into_iter()
            .map(|(student, teacher)| {
                let embedding = ChannelEmbeddingConfig::new(
                    channels(&scene.student_taps, &student)?,
                    channels(&scene.teacher_taps, &teacher)?,
                )
                .init(&scene.device);
                Ok(Pair::new(student, teacher, loss.clone()).with_adapter(embedding))
            })
            .collect::<Result<Vec<_>>>()?;
        self.term(TapPairs::from(pairs), 2.5)
    }

    /// Where either network sees its classes, which must be the same ones.
    pub fn class_maps(&self) -> Result<()> {
        for (side, taps) in [
            ("student", &self.scene.student_taps),
            ("teacher", &self.scene.teacher_taps),
        ] {
            ensure!(
                self.table.contains_key(side) || taps.get("class-maps").is_ok(),
                "the {side} does not classify the mean of each channel of a map: it offers no tap \
                 `class-maps`"
            );
        }
        Ok(())
    }
}
