use burn::data::dataloader::{DataLoader, DataLoaderIterator};
use burn_distill::core::Batch;
use burn_distill::data::BatchLoader;
use burn_distill::strategy::{EpochLoader, PseudoBatches};
use burn_distill_recipe::{AnyDataset, AnyInput};
use std::sync::Arc;

/// Loader of the data of an experiment.
pub type Loader = BatchLoader<AnyDataset>;

/// Batches of a training.
pub enum TrainingBatches {
    /// Batches of samples.
    Samples(Box<Loader>),
    /// Batches of a student that sees no sample.
    Pseudo(PseudoBatches),
}

impl From<Loader> for TrainingBatches {
    fn from(loader: Loader) -> Self {
        Self::Samples(Box::new(loader))
    }
}

impl TrainingBatches {
    /// Returns the number of views of each sample.
    pub fn views(&self) -> usize {
        match self {
            Self::Samples(loader) => loader.num_views(),
            Self::Pseudo(_) => 1,
        }
    }
}

impl EpochLoader<AnyInput> for TrainingBatches {
    fn num_batches(&self) -> usize {
        match self {
            Self::Samples(loader) => loader.num_batches(),
            Self::Pseudo(batches) => EpochLoader::<AnyInput>::num_batches(batches),
        }
    }

    fn batches(&self) -> Box<dyn DataLoaderIterator<Batch<AnyInput>> + '_> {
        match self {
            Self::Samples(loader) => loader.batches(),
            Self::Pseudo(batches) => batches.batches(),
        }
    }

    fn starting_from(self, epoch: usize) -> Arc<dyn DataLoader<Batch<AnyInput>>> {
        match self {
            Self::Samples(loader) => loader.starting_from(epoch),
            Self::Pseudo(batches) => batches.starting_from(epoch),
        }
    }
}
