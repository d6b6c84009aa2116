use crate::configure::overlaid;
use burn_distill::architecture::{MultiExitConfig, QuantizationConfig};
use burn_distill::strategy::{
    AdversarialDistillerConfig, AdversarialLogitDistillerConfig, DinoObjectiveConfig,
    DropoutDistillerConfig, FisherConfig, TeacherLikeObjectiveConfig,
};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Table;

/// Configuration of the library as a table of a recipe: the keys of the table are its fields, with
/// their defaults.
#[derive(Clone, Debug)]
pub struct Configured<C>(pub C);

/// Configuration with a default for each of its fields.
pub trait Defaults: Serialize + DeserializeOwned {
    /// Returns the configuration with all defaults.
    fn defaults() -> Self;
}

macro_rules! defaults {
    ($($config:ident),*) => {$(
        impl Defaults for $config {
            fn defaults() -> Self {
                Self::new()
            }
        }
    )*};
}

defaults!(
    AdversarialDistillerConfig,
    AdversarialLogitDistillerConfig,
    DinoObjectiveConfig,
    DropoutDistillerConfig,
    FisherConfig,
    MultiExitConfig,
    QuantizationConfig,
    TeacherLikeObjectiveConfig
);

impl<C: Defaults> Default for Configured<C> {
    fn default() -> Self {
        Self(C::defaults())
    }
}

/// Two configurations are equal if they serialize to the same table.
impl<C: Serialize> PartialEq for Configured<C> {
    fn eq(&self, other: &Self) -> bool {
        let [a, b] = [&self.0, &other.0].map(|config| serde_json::to_value(config).ok());
        a == b
    }
}

impl<C: Serialize> Serialize for Configured<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, C: Defaults> Deserialize<'de> for Configured<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        let configured = overlaid(&C::defaults(), &table, &[]);
        configured.map(Self).map_err(D::Error::custom)
    }
}
