use burn_distill_recipe::Prepared;
use std::cell::RefCell;

/// A recipe that was checked with its data, before anything is trained.
///
/// A strategy without a teacher is prepared by the check, and the run of that seed trains what was
/// prepared. Losses of a trained teacher are built again once it is trained: some of them are
/// initialized from its weights or from its outputs.
#[derive(Default)]
pub struct Checked(RefCell<Option<(u64, Prepared)>>);

impl Checked {
    /// Creates the result of a check that has prepared the strategy for a seed.
    pub(super) fn new(seed: u64, prepared: Prepared) -> Self {
        Self(RefCell::new(Some((seed, prepared))))
    }

    /// Takes the prepared strategy of a seed, if the check has prepared it.
    pub(super) fn take(&self, seed: u64) -> Option<Prepared> {
        let prepared = self.0.borrow_mut().take_if(|(of, _)| *of == seed);
        prepared.map(|(_, prepared)| prepared)
    }
}
