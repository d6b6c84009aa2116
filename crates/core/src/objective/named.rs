use burn::module::{Module, ModuleDisplay};

/// A loss with a name. Every trait of losses requires it.
///
/// A loss may implement several traits, such as [`TapLoss`](crate::TapLoss) and
/// [`MultiLayerLoss`](crate::MultiLayerLoss). It has the same name in all of them.
pub trait NamedLoss: Module + ModuleDisplay + 'static {
    /// Returns the name of the loss, which is also its name in recipes.
    fn name(&self) -> &'static str;

    /// Returns the default name of the term in an [objective](crate::Weighted). Default: the name
    /// of the loss.
    fn term_name(&self) -> String {
        self.name().to_string()
    }
}
