//! Names of classes and categories.

/// Sorts names: by their value if all are integers, else as texts.
pub(super) fn sort(names: &mut [String]) {
    let integers = names.iter().map(|name| name.parse().ok());
    match integers.collect::<Option<Vec<i64>>>() {
        // Names of the same value, as `1` and `01`, differ as texts.
        Some(_) => names.sort_by_key(|name| (name.parse::<i64>().ok(), name.clone())),
        None => names.sort(),
    }
}

/// Returns the first names in quotes, and the number of the others.
pub(super) fn quoted<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    const SHOWN: usize = 12;
    let names: Vec<_> = names.into_iter().map(|name| quote(name)).collect();
    match names.len() {
        count if count <= SHOWN => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

/// Returns a text of a file in quotes, on one line and not longer than a line.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let short: String = text.chars().take(SHOWN).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Vec<String> {
        let mut names: Vec<_> = names.iter().copied().map(String::from).collect();
        sort(&mut names);
        names
    }

    #[test]
    fn integers_are_sorted_by_value_and_other_names_as_texts() {
        assert_eq!(sorted(&["10", "9", "-1"]), ["-1", "9", "10"]);
        assert_eq!(sorted(&["10", "9", "x"]), ["10", "9", "x"]);
        assert_eq!(sorted(&["1", "01", "0"]), ["0", "01", "1"]);
        assert_eq!(sorted(&["1.5", "10", "2"]), ["1.5", "10", "2"]);
    }

    #[test]
    fn long_texts_and_many_names_are_shortened() {
        let long = "a\n".repeat(100);
        assert!(quote(&long).ends_with("\\n…`"));
        assert_eq!(quote("é"), "`é`");
        let many: Vec<_> = (0..14).map(|number| number.to_string()).collect();
        assert!(quoted(&many).ends_with("`11` and 2 more"));
    }
}
