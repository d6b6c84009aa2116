//! Classes of samples without labels.

use burn_distill_core::{ConfigError, check};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt::{self, Formatter};

/// Classes of samples without labels: their names, in the order of the logits of the teacher, or
/// their number.
///
/// ```
/// use burn_distill_data::ClassList;
///
/// assert_eq!(ClassList::Count(3).names(), ["0", "1", "2"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ClassList {
    /// Number of classes, whose names are the numbers from 0 on.
    Count(usize),
    /// Names of the classes.
    Names(Vec<String>),
}

/// Largest number of classes that are given without names.
const MOST: usize = 1_000_000;

impl ClassList {
    /// Returns the names.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Count(count) => (0..*count).map(|class| class.to_string()).collect(),
            Self::Names(names) => names.clone(),
        }
    }

    /// Checks the classes of samples that are labeled or not.
    pub(crate) fn check(classes: Option<&Self>, labels: bool) -> Result<(), ConfigError> {
        let Some(classes) = classes else {
            return Ok(());
        };
        check::ensure(
            !labels,
            "classes",
            "left out where the folders name the classes (`labels` is true)",
            "given",
        )?;
        match classes {
            Self::Count(count) => check::count_in("classes", *count, 2..=MOST),
            Self::Names(names) => {
                let mut sorted: Vec<_> = names.iter().collect();
                sorted.sort();
                check::at_least("classes", names.len(), 2)?;
                let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
                check::ensure(
                    twice.is_none(),
                    "classes",
                    "a list of different names",
                    format_args!("one with `{}` twice", twice.map_or("", |pair| pair[0])),
                )
            }
        }
    }
}

impl<'de> Deserialize<'de> for ClassList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountOrNames;

        impl<'de> Visitor<'de> for CountOrNames {
            type Value = ClassList;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names, or the number of classes")
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<ClassList, E> {
                Ok(ClassList::Count(
                    usize::try_from(count).unwrap_or(usize::MAX),
                ))
            }

            fn visit_i64<E: Error>(self, count: i64) -> Result<ClassList, E> {
                // A negative number is refused like 0, by the check.
                self.visit_u64(u64::try_from(count).unwrap_or(0))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ClassList, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(ClassList::Names(names))
            }
        }

        deserializer.deserialize_any(CountOrNames)
    }
}

/// Returns the default of `labels`.
pub(crate) fn labeled() -> bool {
    true
}

/// Returns whether `labels` has its default, so that it is not written.
pub(crate) fn is_labeled(labels: &bool) -> bool {
    *labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ClassList, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn refusal(json: &str) -> String {
        let classes = read(json).unwrap();
        ClassList::check(Some(&classes), false)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn they_are_names_or_a_number() {
        let names = read(r#"["cat", "dog"]"#).unwrap();
        assert_eq!(names.names(), ["cat", "dog"]);
        assert_eq!(serde_json::to_string(&names).unwrap(), r#"["cat","dog"]"#);
        assert_eq!(read("2").unwrap().names(), ["0", "1"]);
        assert!(
            read("true")
                .unwrap_err()
                .contains("a list of names, or the number")
        );
    }

    #[test]
    fn impossible_classes_are_refused() {
        assert!(
            refusal("1").starts_with("`classes` should be "),
            "{}",
            refusal("1")
        );
        assert!(refusal("-3").ends_with("but is 0"));
        assert!(refusal(r#"["cat"]"#).ends_with("but is 1"));
        assert_eq!(
            refusal(r#"["cat", "dog", "cat"]"#),
            "`classes` should be a list of different names, but is one with `cat` twice"
        );
        let two = ClassList::Count(2);
        assert!(ClassList::check(Some(&two), true).is_err());
        assert!(
            ClassList::check(Some(&two), false).is_ok() && ClassList::check(None, true).is_ok()
        );
    }
}
