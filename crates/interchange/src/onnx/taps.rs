use burn_distill_core::{Check, ConfigError, check};
use serde::de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// Intermediate results of an ONNX file that are exposed as taps, by the names of the taps.
///
/// In a configuration, they are a list of names of tensors or nodes in the file, or a table from
/// shorter names: `{ layer1 = "/layer1/Relu_output_0" }`. If the meaning of a tensor is not that of
/// its rank, the value is a table with its kind: `{ node = "scores", kind = "attention" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnnxTaps(pub BTreeMap<String, OnnxTap>);

/// Intermediate result of an ONNX file that is exposed as a tap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxTap {
    /// Name of a tensor in the file, or of a node, whose first output is taken.
    pub node: String,
    /// Kind of the tap. Default, by its rank: a vector for 2 axes, a sequence for 3, a map for 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<OnnxTapKind>,
}

/// Meaning of the axes of a tap, the first of which is that of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnnxTapKind {
    /// Vectors: all other axes are flattened into one.
    Vector,
    /// Sequences of vectors: length and features.
    Sequence,
    /// Sequences of vectors with the features first: features and length.
    SequenceNcl,
    /// Maps: channels, height and width.
    Map,
    /// Maps with the channels last: height, width and channels.
    MapNhwc,
    /// Attention: heads, queries and keys.
    Attention,
}

impl OnnxTaps {
    /// Returns whether there are no taps.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Check for OnnxTaps {
    fn check(&self) -> Result<(), ConfigError> {
        let expected = "the name of a tensor or of a node in the file";
        for (alias, tap) in &self.0 {
            check::ensure(!alias.is_empty(), "taps", expected, "empty")?;
            let key = format!("taps.{alias}");
            check::ensure(!tap.node.is_empty(), key, expected, "empty")?;
        }
        Ok(())
    }
}

impl Serialize for OnnxTaps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (alias, tap) in &self.0 {
            match tap.kind {
                None => map.serialize_entry(alias, &tap.node)?,
                Some(_) => map.serialize_entry(alias, tap)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for OnnxTaps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrTable;

        impl<'de> Visitor<'de> for ListOrTable {
            type Value = OnnxTaps;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names or a table of names")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<OnnxTaps, A::Error> {
                let mut taps = BTreeMap::new();
                while let Some(node) = names.next_element::<String>()? {
                    if taps.insert(node.clone(), OnnxTap::of(&node)).is_some() {
                        return Err(A::Error::custom(format_args!(
                            "the tap `{node}` is repeated"
                        )));
                    }
                }
                Ok(OnnxTaps(taps))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<OnnxTaps, A::Error> {
                let mut taps = BTreeMap::new();
                while let Some((alias, NodeOrTable(tap))) = entries.next_entry()? {
                    taps.insert(alias, tap);
                }
                Ok(OnnxTaps(taps))
            }
        }

        deserializer.deserialize_any(ListOrTable)
    }
}

impl OnnxTap {
    fn of(node: &str) -> Self {
        Self {
            node: node.into(),
            kind: None,
        }
    }
}

/// Tap in a table of a configuration: a name, or a table with its kind.
struct NodeOrTable(OnnxTap);

impl<'de> Deserialize<'de> for NodeOrTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfTap;

        impl<'de> Visitor<'de> for OfTap {
            type Value = NodeOrTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a table with a `node` and a `kind`")
            }

            fn visit_str<E: Error>(self, node: &str) -> Result<NodeOrTable, E> {
                Ok(NodeOrTable(OnnxTap::of(node)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NodeOrTable, A::Error> {
                OnnxTap::deserialize(MapAccessDeserializer::new(map)).map(NodeOrTable)
            }
        }

        deserializer.deserialize_any(OfTap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<OnnxTaps, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn taps_are_a_list_or_a_table() {
        let list = read(r#"["/b", "/a"]"#).unwrap();
        assert_eq!(list.0["/a"], OnnxTap::of("/a"));
        assert_eq!(list.0.len(), 2);

        let table = read(r#"{ "a": "/a", "b": { "node": "/b", "kind": "map-nhwc" } }"#).unwrap();
        assert_eq!(table.0["a"], OnnxTap::of("/a"));
        assert_eq!(table.0["b"].kind, Some(OnnxTapKind::MapNhwc));
    }

    #[test]
    fn anything_else_is_refused() {
        for (json, expected) in [
            ("3", "expected a list of names or a table of names"),
            (r#"["a", "a"]"#, "the tap `a` is repeated"),
            (r#"{ "a": 3 }"#, "expected a name or a table with a `node`"),
            (r#"{ "a": { "kind": "map" } }"#, "missing field `node`"),
            (
                r#"{ "a": { "node": "x", "kind": "cube" } }"#,
                "unknown variant `cube`",
            ),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = read(r#"{ "a": "" }"#).unwrap().check().unwrap_err();
        assert!(error.to_string().starts_with("`taps.a` should be the name"));
    }
}
