use anyhow::{Result, ensure};
use burn_distill::data::{Published, Samples};
use burn_distill_recipe::{AnyDataset, DataRecipe};
use serde::{Deserialize, Serialize};

/// How a data set is split, in the terms of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// The part held out for testing, of data that has no published test set.
    pub test: f64,
    /// The part of the rest held out for validation.
    pub validation: f64,
    /// The seed of both splits.
    pub split_seed: u64,
    /// The number of training samples, where not all that are left are used.
    pub samples: Option<usize>,
}

/// The parts of a split data set.
pub struct Parts {
    /// The samples to train on.
    pub train: AnyDataset,
    /// The samples to validate on.
    pub validation: AnyDataset,
    /// The samples to test on.
    pub test: AnyDataset,
}

impl Split {
    /// Returns the split of a recipe.
    pub fn of(recipe: &DataRecipe) -> Self {
        Self {
            test: recipe.test,
            validation: recipe.validation,
            split_seed: recipe.split_seed,
            samples: recipe.samples,
        }
    }

    /// Splits a data set.
    ///
    /// # Errors
    ///
    /// Returns an error if there are fewer samples than are to be held out or trained on.
    pub fn apply(&self, published: &Published<AnyDataset>) -> Result<Parts> {
        let seed = self.split_seed;
        let (rest, test) = match &published.test {
            Some(test) => (published.train.clone(), test.clone()),
            None => published.train.split(self.test, seed)?,
        };
        let (mut train, validation) = rest.split(self.validation, seed)?;
        if let Some(samples) = self.samples {
            ensure!(
                samples <= train.len(),
                "`data.samples` is {samples}, but there are {} training samples",
                train.len()
            );
            train = train.split(samples, seed)?.1;
        }
        Ok(Parts {
            train,
            validation,
            test,
        })
    }
}
