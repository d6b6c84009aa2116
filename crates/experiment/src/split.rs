use anyhow::{Result, ensure};
use burn_distill::data::{Samples, TrainTestData};
use burn_distill::interchange::ModelDescription;
use burn_distill_recipe::{AnyDataset, DataRecipe, Measured};
use serde::{Deserialize, Serialize};

/// Split of a data set, by the keys of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Fraction held out for testing, if the data has no published test set.
    pub test: f64,
    /// Fraction of the remaining samples held out for validation, if the data has no published
    /// validation set.
    pub validation: f64,
    /// Seed of both splits.
    pub split_seed: u64,
    /// Number of training samples, if not all of them are used.
    pub samples: Option<usize>,
}

/// Parts of a split data set.
pub struct Parts {
    /// Training samples.
    pub train: AnyDataset,
    /// Validation samples.
    pub validation: AnyDataset,
    /// Test samples.
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
    /// Returns an error if there are fewer samples than the recipe holds out or trains on.
    pub fn apply(&self, published: &TrainTestData<AnyDataset>) -> Result<Parts> {
        let seed = self.split_seed;
        let (rest, test) = match &published.test {
            Some(test) => (published.train.clone(), test.clone()),
            None => published.train.split(self.test, seed)?,
        };
        let (mut train, validation) = match &published.validation {
            Some(validation) => (rest, validation.clone()),
            None if self.validation == 0.0 => (rest.clone(), rest.subset([])),
            None => rest.split(self.validation, seed)?,
        };
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

impl Parts {
    /// Returns the parts, normalized by the constants of a model, or by those that are measured on the
    /// training samples. Data that has constants of its own is not changed.
    ///
    /// The constants of a model for images of other channels, or for a table of other columns, are not
    /// used.
    ///
    /// # Errors
    ///
    /// Returns an error if the constants cannot be measured on the training samples.
    pub fn normalized(self, model: Option<&ModelDescription>) -> Result<Self> {
        let Some(measured) = self.train.measured()? else {
            return Ok(self);
        };
        let known = model.and_then(|model| match &measured {
            Measured::Channels(measured) => {
                let known = model.normalization.as_ref();
                let known = known.filter(|known| known.mean.len() == measured.mean.len());
                known.cloned().map(Measured::Channels)
            }
            Measured::Columns(measured) => {
                let known = model.table.as_ref().map(|table| &table.encoding);
                let known = known.filter(|known| known.has_columns_of(measured));
                known.cloned().map(Measured::Columns)
            }
        });
        let constants = known.unwrap_or(measured);
        Ok(Self {
            train: self.train.normalized_by(&constants),
            validation: self.validation.normalized_by(&constants),
            test: self.test.normalized_by(&constants),
        })
    }
}
