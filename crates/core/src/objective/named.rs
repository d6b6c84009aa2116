use burn::module::{Module, ModuleDisplay};

/// A loss with a name: the base of every trait of losses, whatever they compare.
///
/// A loss may compare single taps as well as sequences, or be a distribution's as well as one of
/// logits: it has one name all the same.
pub trait NamedLoss: Module + ModuleDisplay + 'static {
    /// Returns the name of its term, which is also its name in a recipe.
    fn name(&self) -> &'static str;

    /// Returns the name of the term of an [objective](crate::Weighted) that is given no other. Without
    /// an implementation: the name of the loss.
    fn term_name(&self) -> String {
        self.name().to_string()
    }
}
