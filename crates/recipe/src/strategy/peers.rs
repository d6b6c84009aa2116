use crate::model::ModelRecipe;
use crate::numbers::MOST_VIEWS;
use anyhow::{Result, ensure};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The networks that learn beside the student: `2` more of its model, or these models.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Peers {
    /// So many more of the student's model.
    Count(usize),
    /// One of each of these models.
    Models(Vec<ModelRecipe>),
}

impl Peers {
    /// The models, beside a student of that one.
    pub fn models(&self, student: &ModelRecipe) -> Vec<ModelRecipe> {
        match self {
            Self::Count(count) => vec![student.clone(); *count],
            Self::Models(models) => models.clone(),
        }
    }

    /// The number of networks beside the student.
    pub fn count(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Models(models) => models.len(),
        }
    }

    /// Check that there are so many at least.
    pub fn check(&self, least: usize) -> Result<()> {
        let count = self.count();
        ensure!(
            count >= least && count <= MOST_VIEWS,
            "`strategy.peers` should be from {least} to {MOST_VIEWS} networks beside the student, but \
             is {count}"
        );
        Ok(())
    }
}

/// By hand, so that the error about a model is that of the model.
impl<'de> Deserialize<'de> for Peers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountOrModels;

        impl<'de> Visitor<'de> for CountOrModels {
            type Value = Peers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "a number of networks up to {MOST_VIEWS} or a list of models, such as \
                     [\"resnet20\"]"
                )
            }

            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Peers, E> {
                // Each has memory of its own.
                match usize::try_from(count) {
                    Ok(count) if count <= MOST_VIEWS => Ok(Peers::Count(count)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(count), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, count: i64) -> Result<Peers, E> {
                match u64::try_from(count) {
                    Ok(count) => self.visit_u64(count),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(count), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut models: A) -> Result<Peers, A::Error> {
                let mut all = Vec::new();
                while let Some(model) = models.next_element()? {
                    all.push(model);
                }
                Ok(Peers::Models(all))
            }
        }

        deserializer.deserialize_any(CountOrModels)
    }
}
