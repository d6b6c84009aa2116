use regex::Regex;
use std::borrow::Cow;

/// Regular expressions by which the tensors of a checkpoint are renamed.
///
/// Each pattern is replaced wherever it occurs in a name. `$1` in the replacement stands for the
/// first group of the pattern. The patterns are applied one after the other.
///
/// ```
/// use burn_distill_interchange::KeyMap;
///
/// let keys = KeyMap::new([("^layer(\\d+)\\.", "stage$1."), ("gamma$", "weight")])?;
///
/// assert_eq!(keys.apply("layer2.0.gamma"), "stage2.0.weight");
/// assert_eq!(keys.apply("head.bias"), "head.bias");
/// # Ok::<(), burn_distill_interchange::KeyError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeyMap {
    changes: Vec<(Regex, String)>,
}

/// Error of a pattern that is not a valid regular expression.
#[derive(thiserror::Error)]
#[error("`{pattern}` is not a regular expression: {message}")]
pub struct KeyError {
    /// Pattern.
    pub pattern: String,
    /// Reason.
    pub message: String,
}

burn_distill_core::debug_as_display!(KeyError);

impl KeyMap {
    /// Creates the map from pairs of a pattern and its replacement.
    ///
    /// # Errors
    ///
    /// Returns an error with the pattern if one is not a valid regular expression, or is too large.
    pub fn new<P: AsRef<str>, R: Into<String>>(
        changes: impl IntoIterator<Item = (P, R)>,
    ) -> Result<Self, KeyError> {
        let changes = changes.into_iter().map(|(pattern, replacement)| {
            let pattern = pattern.as_ref();
            let regex = Regex::new(pattern).map_err(|error| KeyError {
                pattern: pattern.to_string(),
                message: in_a_line(&error),
            })?;
            Ok((regex, braced(&replacement.into())))
        });
        Ok(Self {
            changes: changes.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the name after all replacements.
    pub fn apply<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let mut changed = Cow::Borrowed(name);
        for (pattern, replacement) in &self.changes {
            let replaced = match pattern.replace_all(&changed, replacement.as_str()) {
                Cow::Owned(name) => Some(name),
                Cow::Borrowed(_) => None,
            };
            changed = replaced.map_or(changed, Cow::Owned);
        }
        changed
    }
}

/// Returns the last line of an error about a pattern; those before it draw the pattern.
fn in_a_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_string()
}

/// Returns a replacement in which every `$1` is `${1}`, so that digits and letters may follow.
fn braced(replacement: &str) -> String {
    let mut braced = String::new();
    let mut rest = replacement;
    while let Some(place) = rest.find('$') {
        let (before, after) = rest.split_at(place + 1);
        let digits = after.len()
            - after
                .trim_start_matches(|it: char| it.is_ascii_digit())
                .len();
        braced.push_str(before);
        if digits > 0 {
            braced.push_str(&format!("{{{}}}", &after[..digits]));
        }
        rest = &after[digits..];
    }
    braced + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_by_each_pattern_in_turn() {
        let keys = KeyMap::new([("^a", "b"), ("b", "c")]).unwrap();
        assert_eq!(keys.apply("a.b"), "c.c");
        assert_eq!(KeyMap::default().apply("a.b"), "a.b");
    }

    #[test]
    fn a_group_may_be_followed_by_a_letter() {
        let keys = KeyMap::new([("^layer(\\d)_(\\d)", "l$1x$2y")]).unwrap();
        assert_eq!(keys.apply("layer3_4.w"), "l3x4y.w");
        // A dollar sign is doubled, and an unknown group is empty.
        assert_eq!(KeyMap::new([("^", "$$")]).unwrap().apply("a"), "$a");
        assert_eq!(KeyMap::new([("^", "$7b")]).unwrap().apply("a"), "ba");
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let error = KeyMap::new([("a(", "b")]).unwrap_err().to_string();
        assert_eq!(error, "`a(` is not a regular expression: unclosed group");
        let huge = KeyMap::new([("(\\w{1000}){1000}", "b")]).unwrap_err();
        assert!(huge.message.contains("exceeds"), "{huge}");
    }
}
