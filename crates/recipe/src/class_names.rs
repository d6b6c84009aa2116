//! Names of the classes of a teacher from another program.

use anyhow::Result;
use burn_distill::interchange::ClassMap;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt::{self, Formatter};
use std::path::PathBuf;

/// Names of the classes of a network, in the order of its logits: `["cat", "dog"]`, or the path of
/// a file with a name per line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ClassNames {
    /// The names.
    Names(Vec<String>),
    /// Path of a file with a name per line.
    File(PathBuf),
}

impl ClassNames {
    /// Returns the names, read from their file if they are in one.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if it cannot be read, or is not one of names.
    pub fn names(&self) -> Result<Cow<'_, [String]>> {
        Ok(match self {
            Self::Names(names) => Cow::Borrowed(names),
            Self::File(path) => Cow::Owned(ClassMap::read_names(path)?),
        })
    }

    /// Returns whether the list or the path is empty.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Names(names) => names.is_empty(),
            Self::File(path) => path.as_os_str().is_empty(),
        }
    }
}

impl<'de> Deserialize<'de> for ClassNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesOrFile;

        impl<'de> Visitor<'de> for NamesOrFile {
            type Value = ClassNames;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names, or the path of a file with a name per line")
            }

            fn visit_str<E: Error>(self, path: &str) -> Result<ClassNames, E> {
                Ok(ClassNames::File(path.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ClassNames, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(ClassNames::Names(names))
            }
        }

        deserializer.deserialize_any(NamesOrFile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::{Table, Value};

    fn classes(text: &str) -> Result<ClassNames, String> {
        let table: Table = format!("classes = {text}").parse().unwrap();
        let classes = table["classes"].clone().try_into();
        classes.map_err(|error: toml::de::Error| error.message().to_string())
    }

    #[test]
    fn they_are_a_list_or_a_file() {
        let names = classes("['cat', 'dog']").unwrap();
        assert_eq!(*names.names().unwrap(), ["cat", "dog"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classes.txt");
        std::fs::write(&path, "dog\ncat\n").unwrap();
        let file = classes(&format!("'{}'", path.display())).unwrap();
        assert_eq!(*file.names().unwrap(), ["dog", "cat"]);
        assert!(classes("[]").unwrap().is_empty() && classes("''").unwrap().is_empty());
        assert!(
            classes("3")
                .unwrap_err()
                .contains("expected a list of names, or the path")
        );
    }

    #[test]
    fn they_are_written_as_they_are_read() {
        for text in ["[\"cat\", \"dog\"]", "\"classes.txt\""] {
            let written = Value::try_from(classes(text).unwrap()).unwrap();
            assert_eq!(written.to_string(), text);
        }
    }
}
