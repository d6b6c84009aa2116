//! Tables of a recipe as values of Rust, with errors that name the key.

use super::fault::{Fault, joined};
use super::words::{expected, too_large};
use burn_distill::core::ConfigError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Refuses a list where a table is expected: serde reads one as the fields of a table in their
/// order, which is a mistake in a recipe.
///
/// # Errors
///
/// Returns an error at the key of the list.
pub fn check_no_list_for_a_table(table: &Table, typed: &impl Serialize) -> Result<(), Fault> {
    match Value::try_from(typed) {
        Ok(written) => check_no_list(&Value::Table(table.clone()), &written, ""),
        Err(_) => Ok(()),
    }
}

fn check_no_list(value: &Value, written: &Value, place: &str) -> Result<(), Fault> {
    match (value, written) {
        (Value::Array(_), Value::Table(_)) => Err(Fault::value(place, "a table", value)),
        (Value::Table(table), Value::Table(written)) => {
            table.iter().try_for_each(|(key, value)| {
                let Some(written) = written.get(key) else {
                    return Ok(());
                };
                check_no_list(value, written, &joined(place, key))
            })
        }
        (Value::Array(list), Value::Array(written)) => {
            let pairs = list.iter().zip(written).enumerate();
            pairs.into_iter().try_for_each(|(index, (value, written))| {
                let place = joined(place, &index.to_string());
                check_no_list(value, written, &place)
            })
        }
        _ => Ok(()),
    }
}

/// Returns the typed value of a key, which the error names.
pub fn typed_value<T: DeserializeOwned>(key: &str, value: Value) -> Result<T, Fault> {
    typed_value_by(key, value, |value| {
        let typed = value.clone().try_into();
        typed.map_err(|error: toml::de::Error| error.message().to_string())
    })
}

/// Returns the result of `read` for the value of a key, which the error names. The error of `read`
/// is the message of a deserializer of serde.
pub fn typed_value_by<T>(
    key: &str,
    value: Value,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<T, Fault> {
    let table = Table::from_iter([(key.to_string(), value)]);
    typed_by(&table, |table| {
        read(table.get(key).ok_or("there is no value")?)
    })
}

/// Returns the result of `read` for a table. The error of `read` is the message of a deserializer
/// of serde.
pub fn typed_by<T>(table: &Table, read: impl Fn(&Table) -> Result<T, String>) -> Result<T, Fault> {
    read(table).map_err(|message| {
        let root = Value::Table(table.clone());
        let fails_alike = |value: &Value| match value {
            Value::Table(table) => read(table).is_err_and(|other| other == message),
            _ => false,
        };
        let mut path = locate(&root, &fails_alike, &message);
        // A key is missing in a table. Without one of its other keys, that one is missing first.
        while !is_about_a_value(&message) && !matches!(at(&root, &path), Some(Value::Table(_))) {
            path.pop();
        }
        let level =
            (0..path.len()).find(|&level| is_missing_at(&root, &path[..level], &read, &message));
        path.truncate(level.unwrap_or(path.len()));
        let path = with_variant(&root, path, &message);
        fault(&root, &path, &message)
    })
}

/// Returns the path of the value that causes an error, since the message of a deserializer often
/// contains the value without its path.
///
/// If this value is removed, reading fails with another error or succeeds. If any other value is
/// removed, it fails with the same error, since a deserializer reads the keys of a table in order
/// and checks for missing keys last.
fn locate(root: &Value, fails_alike: &dyn Fn(&Value) -> bool, message: &str) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(key) = next_key(root, &path, fails_alike, message) {
        path.push(key);
    }
    path
}

fn next_key(
    root: &Value,
    path: &[String],
    fails_alike: &dyn Fn(&Value) -> bool,
    message: &str,
) -> Option<String> {
    match at(root, path)? {
        Value::Table(table) => {
            let without = |key: &str| {
                changed(root, path, |value| {
                    if let Value::Table(table) = value {
                        table.remove(key);
                    }
                })
            };
            // Without its kind, a table cannot be read at all.
            let mut others = table.keys().filter(|key| *key != "kind");
            let culprit = others.find(|key| !fails_alike(&without(key)));
            let kind = table.contains_key("kind") && is_about_a_value(message);
            let of_kind = || (kind && !fails_alike(&without("kind"))).then(|| "kind".to_string());
            culprit.cloned().or_else(of_kind)
        }
        Value::Array(list) => {
            let with_first = |count: usize| {
                changed(root, path, |value| {
                    if let Value::Array(list) = value {
                        list.truncate(count);
                    }
                })
            };
            // The least count that fails: with more elements the list fails alike.
            let (mut passes, mut fails) = (0, list.len());
            if fails == 0 || fails_alike(&with_first(0)) {
                return None;
            }
            while fails - passes > 1 {
                let middle = passes + (fails - passes) / 2;
                match fails_alike(&with_first(middle)) {
                    true => fails = middle,
                    false => passes = middle,
                }
            }
            Some((fails - 1).to_string())
        }
        _ => None,
    }
}

/// Returns whether the key that a message misses is missing in the table at a path: with any value
/// there, the message is another one, and not that the key is unknown.
fn is_missing_at<T>(
    root: &Value,
    path: &[String],
    read: &impl Fn(&Table) -> Result<T, String>,
    message: &str,
) -> bool {
    let Some(key) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
    else {
        return false;
    };
    if at(root, path).is_none_or(|value| value.get(key).is_some()) {
        return false;
    }
    let with_key = changed(root, path, |value| {
        if let Value::Table(table) = value {
            table.insert(key.into(), Value::Boolean(false));
        }
    });
    let Value::Table(table) = &with_key else {
        return false;
    };
    let unknown = format!("unknown field `{key}`");
    read(table)
        .err()
        .is_none_or(|other| other != message && !other.starts_with(&unknown))
}

/// Returns whether a message is about a value, not about a key that is missing.
fn is_about_a_value(message: &str) -> bool {
    !message.starts_with("missing field")
}

/// Returns the path of the name that a message refuses as an unknown variant, in the value at a
/// path. The name may occur there more than once, so that no single key causes the error, and the
/// kind of a table is read with it.
fn with_variant(root: &Value, path: Vec<String>, message: &str) -> Vec<String> {
    let Some(name) = message
        .strip_prefix("unknown variant `")
        .and_then(|rest| rest.split('`').next())
    else {
        return path;
    };
    let below = at(root, &path).and_then(|value| path_of_text(value, name));
    path.into_iter()
        .chain(below.into_iter().flatten())
        .collect()
}

/// Returns the path of the first text of these words in a value.
fn path_of_text(value: &Value, words: &str) -> Option<Vec<String>> {
    let below = |key: &str, value: &Value| {
        let path = path_of_text(value, words)?;
        Some([vec![key.to_string()], path].concat())
    };
    match value {
        Value::String(text) => (text == words).then(Vec::new),
        Value::Table(table) => table.iter().find_map(|(key, value)| below(key, value)),
        Value::Array(list) => {
            let mut list = list.iter().enumerate();
            list.find_map(|(index, value)| below(&index.to_string(), value))
        }
        _ => None,
    }
}

fn at<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, key| match value {
        Value::Table(table) => table.get(key),
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Returns a copy of the root with a change at a path.
fn changed(root: &Value, path: &[String], change: impl FnOnce(&mut Value)) -> Value {
    let mut copy = root.clone();
    let place = path.iter().try_fold(&mut copy, |value, key| match value {
        Value::Table(table) => table.get_mut(key),
        Value::Array(list) => list.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    });
    if let Some(value) = place {
        change(value);
    }
    copy
}

/// Creates the fault that a message of serde describes, of the value at a path.
fn fault(root: &Value, path: &[String], message: &str) -> Fault {
    let key = path.join(".");
    let quoted: Vec<_> = message.split('`').skip(1).step_by(2).collect();
    let found = at(root, path);
    if let (Some(name), true) = (quoted.first(), message.starts_with("missing field")) {
        return Fault::missing(joined(&key, name), None);
    }
    if message.starts_with("unknown field") {
        let known = quoted.iter().skip(1).copied();
        return Fault::unknown(key, known);
    }
    if let (Some(Value::String(name)), true) = (found, message.starts_with("unknown variant")) {
        let known = quoted.iter().skip(1).copied().collect::<Vec<_>>();
        let hint = burn_distill::core::nearest(name, known.iter().copied());
        let hint = hint.map(|name| format!(" (did you mean `{name}`?)"));
        let expected = format!("one of {}", known.join(", "));
        return Fault::value(
            key,
            expected + &hint.unwrap_or_default(),
            &Value::String(name.clone()),
        );
    }
    if let Some(number) = found.and_then(too_large) {
        let most = format!("a whole number of at most {}", i64::MAX);
        return ConfigError::new(key, most, number).into();
    }
    let by_serde = message
        .strip_prefix("invalid ")
        .and_then(|rest| rest.rsplit_once(", expected "))
        .or_else(|| message.split_once("wanted "))
        .map(|(_, by_serde)| by_serde);
    match (by_serde, found) {
        (Some(by_serde), Some(found)) => Fault::value(key, expected(by_serde), found),
        _ if message.starts_with("unknown variant") => {
            Fault::value(key, "one of its names as text", found.unwrap_or(root))
        }
        _ => Fault::other(key, message),
    }
}
