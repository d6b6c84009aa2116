//! A teacher in an ONNX file, as a recipe gives it.

use crate::input::{AnyNetwork, InputShape};
use burn_distill::data::Normalization;
use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use toml::{Table, Value};

/// Teacher in an ONNX file: a path or, with options, a table.
///
/// ```toml
/// onnx = "model.onnx"
/// onnx = { file = "model.onnx", outputs = "probabilities" }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxRecipe {
    /// Path of the file.
    pub file: PathBuf,
    /// Options of the network.
    pub options: Table,
}

/// Network of an ONNX file, prepared for the data of a recipe.
#[derive(Clone, Debug)]
pub struct OnnxNetwork {
    /// Network.
    pub network: AnyNetwork,
    /// Number of weights in the file.
    pub parameters: usize,
    /// Path of the file and, if there are any, those of separate files with its weights.
    pub files: Vec<PathBuf>,
}

/// Data for which a network of an ONNX file is loaded.
#[derive(Clone, Copy, Debug)]
pub struct OnnxTask<'a> {
    /// Shape of the input of a sample.
    pub input: &'a InputShape,
    /// Names of the classes.
    pub classes: &'a [String],
    /// Normalization of the values, if there is one.
    pub normalization: Option<&'a Normalization>,
}

/// Writes the name of the file.
impl Display for OnnxRecipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.file.file_name().unwrap_or_default();
        f.write_str(&name.to_string_lossy())
    }
}

impl Serialize for OnnxRecipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.options.is_empty() {
            return self.file.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(1 + self.options.len()))?;
        map.serialize_entry("file", &self.file)?;
        for (key, value) in &self.options {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for OnnxRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FileOrTable;

        impl<'de> Visitor<'de> for FileOrTable {
            type Value = OnnxRecipe;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a file, or a table with a `file`")
            }

            fn visit_str<E: Error>(self, file: &str) -> Result<OnnxRecipe, E> {
                let (file, options) = (file.into(), Table::new());
                Ok(OnnxRecipe { file, options })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OnnxRecipe, A::Error> {
                let mut options = Table::deserialize(MapAccessDeserializer::new(map))?;
                match options.remove("file") {
                    Some(Value::String(file)) => Ok(OnnxRecipe {
                        file: file.into(),
                        options,
                    }),
                    Some(_) => Err(A::Error::custom("the `file` of a teacher should be text")),
                    None => Err(A::Error::missing_field("file")),
                }
            }
        }

        deserializer.deserialize_any(FileOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn onnx(text: &str) -> Result<OnnxRecipe, String> {
        let table: Table = format!("onnx = {text}").parse().unwrap();
        let onnx = table["onnx"].clone().try_into();
        onnx.map_err(|error: toml::de::Error| error.message().to_string())
    }

    #[test]
    fn a_file_is_written_as_it_is_read() {
        for text in ["\"a/b.onnx\"", "{ file = \"a/b.onnx\", scale = 255.0 }"] {
            let read = onnx(text).unwrap();
            assert_eq!(read.file, PathBuf::from("a/b.onnx"));
            assert_eq!(read.to_string(), "b.onnx");
            let written = Value::try_from(&read).unwrap().to_string();
            assert_eq!(written, text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(
            onnx("3")
                .unwrap_err()
                .contains("the path of a file, or a table with a `file`")
        );
        assert_eq!(onnx("{ scale = 1 }").unwrap_err(), "missing field `file`");
        assert!(onnx("{ file = 3 }").unwrap_err().contains("should be text"));
    }

    #[cfg(not(feature = "onnx"))]
    #[test]
    fn a_program_without_support_names_the_command_that_adds_it() {
        let error = onnx("'a.onnx'").unwrap().check().unwrap_err();
        assert!(error.to_string().ends_with("--features onnx`"), "{error}");
    }

    #[cfg(feature = "onnx")]
    #[test]
    fn options_are_checked_before_the_file_is_read() {
        let error = |text: &str| onnx(text).unwrap().check().unwrap_err().to_string();

        assert_eq!(
            error("''"),
            "`file` should be the path of a file, but is empty"
        );
        let unknown = error("{ file = 'a.onnx', outptus = 'logits' }");
        assert!(
            unknown.starts_with("unknown key `outptus`, did you mean `outputs`?"),
            "{unknown}"
        );
        let value = error("{ file = 'a.onnx', outputs = 'logit' }");
        assert!(
            value.starts_with(
                "`outputs` should be one of logits, probabilities, sigmoid (did you mean `logits`?)"
            ),
            "{value}"
        );
        let taps = error("{ file = 'a.onnx', taps = 3 }");
        assert!(
            taps.starts_with("`taps` should be a list of names or a table"),
            "{taps}"
        );
        assert!(
            onnx("{ file = 'a.onnx', scale = 255 }")
                .unwrap()
                .check()
                .is_ok()
        );
    }
}
