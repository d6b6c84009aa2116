use std::sync::OnceLock;

/// The selections of taps that a distiller passes to its networks: they are resolved in the first step,
/// and the same in every other. A clone resolves its own: its objective may be replaced.
#[derive(Debug)]
pub(crate) struct Resolved<T>(OnceLock<T>);

impl<T> Default for Resolved<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Clone for Resolved<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> Resolved<T> {
    /// Returns the selections, which `resolve` computes in the first step.
    pub(crate) fn get(&self, resolve: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(resolve)
    }
}
