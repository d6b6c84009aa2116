use burn_distill_recipe::Prepared;
use std::cell::RefCell;

/// A recipe that was checked with its data, before anything is trained.
///
/// A strategy without a teacher is prepared by the check, and the run of that seed trains what was
/// prepared. Losses of a trained teacher are built again once it is trained: some of them are
/// initialized from its weights or from its outputs.
pub struct Checked {
    prepared: RefCell<Option<(u64, Prepared)>>,
    warnings: Vec<String>,
}

impl Checked {
    /// Creates the result of a check, with its warnings and the strategy that it has prepared for a
    /// seed.
    pub(super) fn new(warnings: Vec<String>, prepared: Option<(u64, Prepared)>) -> Self {
        Self {
            prepared: RefCell::new(prepared),
            warnings,
        }
    }

    /// Returns the warnings about the weights of teachers that are not trained.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Takes the prepared strategy of a seed, if the check has prepared it.
    pub(super) fn take(&self, seed: u64) -> Option<Prepared> {
        let prepared = self.prepared.borrow_mut().take_if(|(of, _)| *of == seed);
        prepared.map(|(_, prepared)| prepared)
    }
}
