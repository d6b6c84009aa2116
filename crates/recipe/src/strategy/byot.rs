use super::context::{
    Member, Outcome, PreparedStrategy, StrategyContext, ViewMode, accuracy_of, ensemble_accuracy,
    numbered_terms,
};
use super::{Configured, Prepared, Strategy, StrategyEntry, checks};
use crate::input::AnyNetwork;
use anyhow::{Context, Result};
use burn::module::Module;
use burn_distill::ByotConfig;
use burn_distill::architecture::{ExitChoice, MultiExitConfig, MultiExitNetwork};
use burn_distill::core::{CatalogEntry, Check, ConfigError, CrossEntropyObjective, DynObjective};
use burn_distill::strategy::{MetricKind, MultiExitDistiller};
use serde::{Deserialize, Serialize};

/// The entry of be your own teacher.
pub const ENTRY: StrategyEntry = StrategyEntry::new::<ByotRecipe>(CatalogEntry {
    name: "byot",
    abbreviation: "BYOT",
    about: "the deepest exit teaches the shallower ones",
    kind: "self-distillation",
    aliases: &["exits", "be-your-own-teacher"],
    reference: "Zhang et al., Be Your Own Teacher: Improve the Performance of \
        Convolutional Neural Networks via Self Distillation, ICCV 2019",
});

/// `kind = "byot"`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ByotRecipe {
    /// Source of the terms, if there is no `[[loss]]`.
    pub variant: ByotVariant,
    /// Places and layers of the exits.
    pub exits: Configured<MultiExitConfig>,
}

/// The terms of be your own teacher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByotVariant {
    /// Terms of the paper.
    #[default]
    Paper,
    /// Terms of the authors' later code.
    Later,
}

/// A network whose shallow exits learn from its deepest.
pub type Exits = MultiExitDistiller<MultiExitNetwork<AnyNetwork>, Vec<DynObjective>>;

impl Check for ByotRecipe {
    fn check(&self) -> Result<(), ConfigError> {
        checks::under("exits", &self.exits.0)
    }
}

impl ByotRecipe {
    /// Sets up exits at the stages of the student.
    pub fn set_up(&self, context: &StrategyContext) -> Result<PreparedStrategy<Exits>> {
        let student = context.student_network()?;
        self.exits.0.fit(&student).context("strategy.exits")?;
        let (terms, distiller) = match context.numbered_losses().as_slice() {
            [] => {
                let config = match self.variant {
                    ByotVariant::Paper => ByotConfig::paper(),
                    ByotVariant::Later => ByotConfig::later(),
                };
                let made = context.draw(|| config.init(self.exits.0.init(student)));
                let objectives = made.objectives.into_iter();
                let objectives = objectives.map(|objective| vec![DynObjective::new(objective)]);
                let terms = [
                    CrossEntropyObjective::TERM,
                    "soft-cross-entropy",
                    "exit-feature",
                ]
                .map(String::from);
                let mut distiller = Exits::new(made.network, objectives);
                distiller.cross_entropy = made.cross_entropy;
                (terms.to_vec(), distiller)
            }
            tables => {
                let plain = context.student_network()?;
                let why = "the deepest exit is trained only on the labels";
                let weight = context.cross_entropy_weight(&plain, why)?;
                let network = context.draw(|| self.exits.0.init(student));
                let shallow = network.exit_count() - 1;
                let (terms, objectives) = context
                    .draw(|| context.terms_of_each(shallow, tables, &plain, "the deepest exit"))?;
                objectives.iter().try_for_each(Exits::fit)?;
                (
                    terms,
                    Exits::new(network, objectives).with_cross_entropy(weight),
                )
            }
        };

        let count = distiller.objectives.len() + 1;
        let mut metrics = vec![MetricKind::Loss, MetricKind::Accuracy];
        metrics.extend((1..count).map(|exit| accuracy_of("exit", exit)));
        metrics.push(ensemble_accuracy());
        metrics.extend(numbered_terms("exit", count - 1, &terms));
        metrics.push(MetricKind::Term(format!(
            "exit {count} {}",
            CrossEntropyObjective::TERM
        )));
        let model = context.model().to_string();
        Ok(PreparedStrategy {
            distiller,
            views: ViewMode::Views(1),
            metrics,
            finalize: Box::new(move |distiller| {
                let network = distiller.network;
                // Copies with separate running statistics.
                let deployed = |choice| network.valid().deploy(choice);
                let exit = |number| {
                    let network = deployed(ExitChoice::One(number));
                    Member::new(format!("exit {number}"), &model, network)
                };
                let mut members: Vec<_> = (1..count).map(exit).collect();
                let all = format!("{count} exits");
                members.push(Member::new("ensemble", all, deployed(ExitChoice::Mean)));
                Ok(Outcome {
                    student: network.into_network(),
                    members,
                })
            }),
        })
    }
}

impl Strategy for ByotRecipe {
    fn description(&self) -> &'static str {
        "the deepest exit teaches the others"
    }

    fn prepare(&self, context: &StrategyContext) -> Result<Prepared> {
        Ok(self.set_up(context)?.into())
    }

    fn option_of_terms(&self) -> Option<&'static str> {
        (self.variant != ByotVariant::default()).then_some("variant")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::tests::{changed, options};
    use burn::module::list_param_ids;

    #[test]
    fn every_exit_has_its_own_parameters_of_losses() {
        let losses = "loss=[{ kind = 'hard' }, { kind = 'learned-temperature' }]";
        let changes = ["student.model=convnet-4-4-6", "strategy.kind=byot", losses];
        let recipe = changed(&changes);
        let options: &ByotRecipe = options(&recipe);

        let context = recipe.strategy_context().unwrap();
        let distiller = options.set_up(&context).unwrap().distiller;
        let [first, second] = distiller.objectives.as_slice() else {
            panic!("{} exits", distiller.objectives.len());
        };
        let [first, second] = [first, second].map(list_param_ids);
        assert_eq!(first.len(), 1);
        assert_ne!(first, second);
    }
}
