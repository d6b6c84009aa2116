use serde::Serialize;

/// Entry of a network, a loss, a strategy or a data set in a list of the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogEntry {
    /// Name in a recipe, or a pattern with placeholders in angle brackets.
    pub name: &'static str,
    /// Usual abbreviation of a method, such as `DKD`, or an empty text.
    pub abbreviation: &'static str,
    /// Short description in one clause, or an empty text.
    pub about: &'static str,
    /// Group: the kind of knowledge of a loss, the family of a strategy, the type of a network.
    pub kind: &'static str,
    /// Alternative names in a recipe.
    pub aliases: &'static [&'static str],
    /// Reference: authors, title, venue, year.
    pub reference: &'static str,
}

impl CatalogEntry {
    /// Creates an entry that a program adds to those of the toolkit.
    pub const fn custom(name: &'static str) -> Self {
        Self {
            name,
            abbreviation: "",
            about: "",
            kind: "of this program",
            aliases: &[],
            reference: "",
        }
    }

    /// Returns the name with the abbreviation in parentheses, if there is one: `decoupled (DKD)`.
    pub fn title(&self) -> String {
        match self.abbreviation {
            "" => self.name.to_string(),
            abbreviation => format!("{} ({abbreviation})", self.name),
        }
    }

    /// Returns whether `name` is the name or an alias of this entry, in lower or upper case.
    pub fn has_name(&self, name: &str) -> bool {
        let mut names = std::iter::once(&self.name).chain(self.aliases);
        names.any(|known| known.eq_ignore_ascii_case(name))
    }
}
