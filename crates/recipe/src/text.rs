//! Text for readers: control characters escaped, long words shortened, digits in groups.

/// The longest word of an error, in characters: paths may be long.
const LONGEST_WORD: usize = 250;
/// The longest error, in characters.
const LONGEST_ERROR: usize = 4000;

/// Returns a text with its control characters escaped, which a terminal would interpret.
pub fn escaped(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Returns a number with its digits in groups of three.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns an error for a terminal: control characters are escaped, and long pieces are shortened.
pub fn tidy(text: &str) -> String {
    let mut quoted = text.split('`');
    let mut tidied = String::new();
    // The text between two backquotes is a value of the recipe, which may have spaces.
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
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", escaped(&text[..end])),
        None => escaped(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let numbers = [0, 12, 123, 1234, 7_433_860].map(grouped);

        assert_eq!(numbers, ["0", "12", "123", "1 234", "7 433 860"]);
    }

    #[test]
    fn long_words_are_shortened_and_control_characters_escaped() {
        let long = "x".repeat(100_000);

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
