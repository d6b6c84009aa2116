//! Values and types in words, for errors.

use crate::text::shortened;
use toml::Value;

/// Longest piece of a recipe that an error repeats, in characters.
const LONGEST_PIECE: usize = 60;
/// Returns a value as an error shows it.
pub fn described(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the text \"{}\"", shortened(text, LONGEST_PIECE)),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(_) => "a date".into(),
        Value::Array(list) if list.is_empty() => "an empty list".into(),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Table(_) => "a table".into(),
    }
}

/// Returns a float as TOML writes it: with a decimal point, also if it is whole.
fn float(number: f64) -> String {
    match number.is_nan() {
        true => "nan".into(),
        false => format!("{number:?}"),
    }
}

/// Returns the whole number of a text, or of a list of some, that is too large for TOML, so that
/// the command line took it for text.
pub fn too_large(value: &Value) -> Option<&str> {
    let text = value.as_str()?;
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let mut numbers = inner.unwrap_or(text).split(',').map(str::trim);
    let beyond = |number: &&str| {
        let plain = number.len() < LONGEST_PIECE && number.bytes().all(|b| b.is_ascii_digit());
        plain && !number.is_empty() && number.parse::<i64>().is_err()
    };
    numbers.find(beyond)
}

/// Returns the type that serde expected, in words instead of Rust.
pub fn expected(by_serde: &str) -> String {
    let by_serde = by_serde.trim();
    let words = match by_serde {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number from 0",
        "isize" | "i64" | "i32" | "i16" | "i8" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "string or table" | "string or map" => "text",
        "path string" => "a path as text",
        "a sequence" => "a list",
        "a map" => "a table",
        "variant identifier" | "field identifier" => "a name",
        _ if by_serde.starts_with("internally tagged enum") => "a table with a `kind`",
        _ if by_serde.starts_with("struct ") || by_serde.starts_with("Rust struct ") => "a table",
        _ if by_serde.starts_with("struct variant ") => "a table",
        _ if by_serde.starts_with("enum ") => "one of its names as text",
        _ if by_serde.starts_with("a sequence of length") || by_serde.contains("array") => "a list",
        other => other,
    };
    words.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_described_without_the_words_of_a_programmer() {
        let value = |text: &str| {
            let table: toml::Table = format!("x = {text}").parse().unwrap();
            described(&table["x"])
        };

        assert_eq!(value("'hot'"), "the text \"hot\"");
        assert_eq!(value("-3"), "-3");
        assert_eq!(value("2.0"), "2.0");
        assert_eq!(value("nan"), "nan");
        assert_eq!(value("-inf"), "-inf");
        assert_eq!(value("true"), "true");
        assert_eq!(value("[]"), "an empty list");
        assert_eq!(value("[1, 2]"), "a list of 2");
        assert_eq!(value("{ a = 1 }"), "a table");
        assert_eq!(value("2020-01-01"), "a date");
    }

    #[test]
    fn a_number_that_is_too_large_is_distinguished_from_text() {
        for text in ["18446744073709551615", "[1, 18446744073709551615]"] {
            assert_eq!(too_large(&text.into()), Some("18446744073709551615"));
        }
        for text in ["12", "", "[]", "much"] {
            assert_eq!(too_large(&text.into()), None);
        }
    }

    #[test]
    fn long_text_is_shortened() {
        let long = "x".repeat(100_000);

        assert!(described(&long.into()).chars().count() < 100);
    }
}
