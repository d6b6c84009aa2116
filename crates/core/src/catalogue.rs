use serde::Serialize;

/// What a list of models, losses, strategies or data sets says about one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CatalogueEntry {
    /// The name in a recipe, or a pattern with what to fill in between angle brackets.
    pub name: &'static str,
    /// What kind of thing it is, in a few words.
    pub kind: &'static str,
    /// Other names that are understood.
    pub aliases: &'static [&'static str],
    /// Where it comes from: authors, title, venue, year.
    pub reference: &'static str,
}

impl CatalogueEntry {
    /// Creates the entry of something that a program adds to those of the toolkit.
    pub const fn of_program(name: &'static str) -> Self {
        Self {
            name,
            kind: "of this program",
            aliases: &[],
            reference: "",
        }
    }

    /// Whether this is its name or one of its aliases.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}
