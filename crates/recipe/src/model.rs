//! Networks as recipes name them.

use crate::overrides;
use anyhow::Result;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Display, Formatter};
use toml::{Table, Value};

/// A network of a recipe: `"resnet20"`, or `{ name = "my-net", width = 64 }` where it has options.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRecipe {
    /// Name in the registry.
    pub name: String,
    /// Options of the network.
    pub options: Table,
}

impl ModelRecipe {
    /// Sets an option by `key=value`, where the value is written as in TOML.
    ///
    /// # Errors
    ///
    /// Returns an error if the assignment is not of this form.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        overrides::apply(&mut self.options, assignment)
    }
}

impl From<&str> for ModelRecipe {
    fn from(name: &str) -> Self {
        let name = name.to_string();
        let options = Table::new();
        Self { name, options }
    }
}

/// Writes the name, with the options in parentheses if there are any.
impl Display for ModelRecipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.options.is_empty() {
            return Ok(());
        }
        let options = self.options.iter();
        let options = options.map(|(key, value)| format!("{key} {value}"));
        write!(f, " ({})", options.collect::<Vec<_>>().join(", "))
    }
}

impl Serialize for ModelRecipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.options.is_empty() {
            return serializer.serialize_str(&self.name);
        }
        let mut map = serializer.serialize_map(Some(1 + self.options.len()))?;
        map.serialize_entry("name", &self.name)?;
        for (key, value) in &self.options {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ModelRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;

        impl<'de> Visitor<'de> for NameOrTable {
            type Value = ModelRecipe;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("string or map")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<ModelRecipe, E> {
                Ok(name.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ModelRecipe, A::Error> {
                let mut options = Table::deserialize(MapAccessDeserializer::new(map))?;
                match options.remove("name") {
                    Some(Value::String(name)) => Ok(ModelRecipe { name, options }),
                    Some(_) => Err(A::Error::custom("the `name` of a network should be text")),
                    None => Err(A::Error::missing_field("name")),
                }
            }
        }

        deserializer.deserialize_any(NameOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> ModelRecipe {
        let table: Table = format!("model = {text}").parse().unwrap();
        table["model"].clone().try_into().unwrap()
    }

    #[test]
    fn a_network_is_written_as_it_is_read() {
        for text in ["\"resnet20\"", "{ name = \"mine\", width = 4 }"] {
            let model = model(text);
            let written = Value::try_from(&model).unwrap().to_string();
            assert_eq!(written, text);
        }
    }

    #[test]
    fn options_are_set_as_in_toml() {
        let mut mine = ModelRecipe::from("mine");
        mine.set("width=4").unwrap();
        mine.set("act=relu").unwrap();

        assert_eq!(mine, model("{ name = 'mine', width = 4, act = 'relu' }"));
        assert!(mine.set("width").is_err());
    }

    #[test]
    fn options_are_shown_after_the_name() {
        assert_eq!(model("'mlp-8'").to_string(), "mlp-8");
        let mine = model("{ name = 'mine', width = 4, act = 'relu' }");
        assert_eq!(mine.to_string(), "mine (act \"relu\", width 4)");
    }
}
