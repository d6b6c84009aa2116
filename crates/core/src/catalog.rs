use serde::Serialize;

/// Entry of a network, a loss, a strategy or a data set in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogEntry {
    /// The name in a recipe, or a pattern with what to fill in between angle brackets.
    pub name: &'static str,
    /// Usual abbreviation of a method, such as `DKD`, or an empty text.
    pub abbreviation: &'static str,
    /// One plain clause that says what it does, or an empty text.
    pub about: &'static str,
    /// Group that it belongs to, in a few words: the kind of knowledge of a loss, the family of a
    /// strategy, the type of a network.
    pub kind: &'static str,
    /// Other names that are understood.
    pub aliases: &'static [&'static str],
    /// Where it comes from: authors, title, venue, year.
    pub reference: &'static str,
}

impl CatalogEntry {
    /// Creates the entry of something that a program adds to those of the toolkit.
    pub const fn of_program(name: &'static str) -> Self {
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

    /// Whether this is its name or one of its aliases.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}
