use super::plan::Plan;
use crate::Samples;
use crate::rng::{Purpose, repeated_word, rng};

/// Partner of the same class for each sample in an epoch.
pub(super) struct Partners {
    seed: u64,
    epoch: usize,
    /// Ids whose class is known, grouped by class.
    of_class: Vec<Vec<usize>>,
}

impl Partners {
    /// Creates the partners of the samples that are loaded.
    pub(super) fn new<S: Samples>(plan: &Plan<S>, seed: u64, epoch: usize) -> Self {
        let mut of_class = vec![Vec::new(); plan.dataset.num_classes()];
        for &id in plan.dataset.ids() {
            if plan.is_labeled(id) {
                of_class[plan.dataset.label(id)].push(id);
            }
        }
        Self {
            seed,
            epoch,
            of_class,
        }
    }

    /// Returns the partner of one occurrence of a sample in the data set. It may be the sample
    /// itself, and is the sample itself if its class is not known.
    pub(super) fn of<S: Samples>(&self, plan: &Plan<S>, id: usize, repetition: usize) -> usize {
        if !plan.is_labeled(id) {
            return id;
        }
        let alike = &self.of_class[plan.dataset.label(id)];
        let key = [self.seed, repeated_word(self.epoch, repetition), id as u64];
        alike[rng(Purpose::Partner, key, 0).below(alike.len() as u64) as usize]
    }
}
