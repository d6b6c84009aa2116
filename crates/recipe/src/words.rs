//! Values and errors in words for the reader of a recipe.

use crate::text::escaped;
use toml::Value;

/// The longest piece of a recipe that an error repeats, in characters.
const LONGEST_PIECE: usize = 60;
/// The longest word of an error that is not quoted: paths may be long.
const LONGEST_WORD: usize = 160;
/// The longest error, in characters.
const LONGEST_ERROR: usize = 4000;

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

/// Returns a float as TOML writes it: a whole one is no integer.
fn float(number: f64) -> String {
    match number.is_nan() {
        true => "nan".into(),
        false => format!("{number:?}"),
    }
}

/// Returns the whole number of a text, or of a list of some, that is too large for TOML, so that the
/// command line took it for text.
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

/// Returns the type that serde expected, in words for somebody who does not know Rust.
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

/// Returns an error for a terminal: control characters are escaped, and long pieces are shortened.
pub fn tidy(text: &str) -> String {
    let mut quoted = text.split('`');
    let mut tidied = String::new();
    // Between two backquotes stands a piece of the recipe.
    if let Some(first) = quoted.next() {
        tidied.push_str(&plain(first));
    }
    for (index, piece) in quoted.enumerate() {
        tidied.push('`');
        match index % 2 {
            0 => tidied.push_str(&shortened(piece, LONGEST_WORD)),
            _ => tidied.push_str(&plain(piece)),
        }
    }
    match tidied.chars().count() > LONGEST_ERROR {
        true => tidied.chars().take(LONGEST_ERROR).chain(['…']).collect(),
        false => tidied,
    }
}

/// Returns a text with its lines as they are, and each long word shortened.
fn plain(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let words = line.split(' ').map(|word| shortened(word, LONGEST_WORD));
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the beginning of a text, with control characters escaped.
fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", escaped(&text[..end])),
        None => escaped(text),
    }
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
    fn a_number_that_is_too_large_is_told_from_text() {
        for text in ["18446744073709551615", "[1, 18446744073709551615]"] {
            assert_eq!(too_large(&text.into()), Some("18446744073709551615"));
        }
        for text in ["12", "", "[]", "much"] {
            assert_eq!(too_large(&text.into()), None);
        }
    }

    #[test]
    fn long_pieces_are_shortened_and_control_characters_escaped() {
        let long = "x".repeat(100_000);

        assert!(described(&long.clone().into()).chars().count() < 100);
        let error = tidy(&format!(
            "no key `{long}`, or {long}\n`{long} {long}` \u{1b}[31m"
        ));
        assert!(error.chars().count() < 1000, "{error}");
        assert!(error.contains("\\u{1b}[31m"), "{error}");
        assert!(error.contains('\n'), "{error}");
        let endless = "`a` b ".repeat(10_000);
        assert!(tidy(&endless).chars().count() <= LONGEST_ERROR + 1);
        assert_eq!(tidy("`a.b` should be 1 or 2"), "`a.b` should be 1 or 2");
    }
}
