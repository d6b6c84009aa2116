use std::sync::{Arc, OnceLock};

/// The selections of taps that a distiller passes to its networks: they are resolved in the first step,
/// and the same in every other. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Resolved<T>(Arc<OnceLock<T>>);

impl<T> Default for Resolved<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Resolved<T> {
    /// Returns the selections, which `resolve` computes in the first step.
    pub(crate) fn get(&self, resolve: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(resolve)
    }
}
