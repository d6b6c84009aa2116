use super::super::{Prepared, StrategyContext, TaskTraining};
use crate::fault::Place;
use anyhow::{Result, bail, ensure};
use burn_distill::architecture::GrowingNetworkConfig;
use burn_distill::core::{Check, ConfigError, Network, check};
use burn_distill::strategy::{ExemplarBudget, TaskPlan};

/// Number of exemplars in a recipe.
#[derive(Clone, Copy, Debug)]
pub struct ExemplarKeys {
    /// Number of samples of all classes together.
    pub total: Option<usize>,
    /// Number of samples of each class.
    pub per_class: Option<usize>,
}

impl ExemplarKeys {
    /// Returns the number of exemplars; none if no key is given.
    pub fn budget(self) -> Option<ExemplarBudget> {
        let total = self.total.map(ExemplarBudget::Total);
        total.or(self.per_class.map(ExemplarBudget::PerClass))
    }

    /// Checks that one key at most is given.
    pub fn check(self) -> Result<(), ConfigError> {
        for (key, count) in [
            ("exemplars", self.total),
            ("exemplars_per_class", self.per_class),
        ] {
            if let Some(count) = count {
                check::at_least(key, count, 1)?;
            }
        }
        check::ensure(
            self.total.is_none() || self.per_class.is_none(),
            "exemplars",
            "left out where `exemplars_per_class` is given",
            "given",
        )
    }
}

/// Returns the default tap.
pub fn pool() -> String {
    "pool".into()
}

/// Prepares a plan, after checking that the student can grow heads and become a plain network again.
///
/// # Errors
///
/// Returns an error that names the key.
pub fn prepared(context: &StrategyContext, plan: TaskPlan, tap: &str) -> Result<Prepared> {
    plan.check().at("strategy")?;
    let student = context.student_network()?;
    let classifier = student.classifier();
    let growing = GrowingNetworkConfig::new().with_tap(tap.into());
    let growing = growing.try_init(student).at("strategy.tap")?;
    let Some(classifier) = classifier else {
        bail!(
            "a student that learns tasks needs a classifier, but {} returns none: choose another \
             `student.model`",
            context.model()
        );
    };
    let [inputs, _] = classifier.weight.dims();
    ensure!(
        inputs == growing.features,
        "`strategy.tap` is `{tap}` with {} features, but the classifier of the student takes {inputs} \
         features: name the tap before the classifier",
        growing.features
    );
    ensure!(
        classifier.bias.is_some(),
        "a student that learns tasks needs a classifier with a bias: choose another `student.model`"
    );
    Ok(Prepared::Tasks(TaskTraining {
        plan,
        tap: tap.into(),
    }))
}
