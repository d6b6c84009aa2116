use std::sync::OnceLock;

/// A cache of the selections of taps that a distiller passes to its networks. They are computed in
/// the first step and reused in all others. A clone computes them again, since its objective may be
/// replaced.
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
    /// Returns the selections, which are computed by `resolve` in the first step.
    pub(crate) fn get(&self, resolve: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(resolve)
    }
}
