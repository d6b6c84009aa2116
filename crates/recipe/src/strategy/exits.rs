//! The exits of one network.

use super::options::{ByotRecipe, ByotVariant};
use super::setting::{
    Member, Outcome, Ready, Sees, Setting, accuracy_of, ensemble_accuracy, numbered_terms,
};
use crate::input::AnyNetwork;
use crate::loss::catch;
use anyhow::Result;
use burn::module::Module;
use burn_distill::ByotConfig;
use burn_distill::architecture::{ExitChoice, MultiExitNetwork};
use burn_distill::core::{DynObjective, Hard};
use burn_distill::strategy::{ExitsDistiller, Figure};

/// A network whose shallow exits learn from its deepest.
pub type Exits = ExitsDistiller<MultiExitNetwork<AnyNetwork>, Vec<DynObjective>>;

impl Setting<'_> {
    /// Be your own teacher: exits at the stages of the student.
    pub fn exits(&self, options: &ByotRecipe) -> Result<Ready<Exits>> {
        let student = self.student()?;
        let (terms, distiller) = match self.losses().as_slice() {
            [] => {
                let config = match options.variant {
                    ByotVariant::Paper => ByotConfig::paper(),
                    ByotVariant::Later => ByotConfig::later(),
                };
                let made = self.draw(|| config.init(options.exits.0.init(student)))?;
                let objectives = made.objectives.into_iter();
                let objectives = objectives.map(|objective| vec![DynObjective::new(objective)]);
                let terms = [Hard::TERM, "soft-cross-entropy", "exit-feature"].map(String::from);
                (
                    terms.to_vec(),
                    Exits {
                        network: made.network,
                        objectives: objectives.collect(),
                        hard: made.hard,
                    },
                )
            }
            tables => {
                let plain = self.student()?;
                let why = "the deepest exit learns from the labels alone";
                let weight = self.hard_weight(&plain, why)?;
                let network = self.draw(|| options.exits.0.init(student))?;
                let shallow = network.exit_count() - 1;
                let (terms, objectives) =
                    self.draw(|| self.terms_of_each(shallow, tables, &plain, "the deepest exit"))??;
                let distiller = catch(|| ExitsDistiller::new(network, objectives))?;
                let distiller = distiller.with_hard(weight);
                (terms, distiller)
            }
        };

        let count = distiller.objectives.len() + 1;
        let mut figures = vec![Figure::Loss, Figure::Accuracy];
        figures.extend((1..count).map(|exit| accuracy_of("exit", exit)));
        figures.push(ensemble_accuracy());
        figures.extend(numbered_terms("exit", count - 1, &terms));
        figures.push(Figure::Term(format!("exit {count} {}", Hard::TERM)));
        let model = self.model().to_string();
        Ok(Ready {
            distiller,
            sees: Sees::Views(1),
            figures,
            outcome: Box::new(move |distiller| {
                let network = distiller.network;
                // Copies with running statistics of their own.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StrategyRecipe;
    use crate::strategy::tests::changed;
    use burn::module::list_param_ids;

    #[test]
    fn what_the_losses_of_an_exit_learn_is_its_own() {
        let losses = "loss=[{ kind = 'hard' }, { kind = 'learned-temperature' }]";
        let changes = ["student.model=convnet-4-4-6", "strategy.kind=byot", losses];
        let recipe = changed(&changes);
        let StrategyRecipe::Byot(options) = &recipe.strategy else {
            panic!("{:?}", recipe.strategy);
        };

        let distiller = Setting::to_check(&recipe)
            .unwrap()
            .exits(options)
            .unwrap()
            .distiller;
        let [first, second] = distiller.objectives.as_slice() else {
            panic!("{} exits", distiller.objectives.len());
        };
        let [first, second] = [first, second].map(list_param_ids);
        assert_eq!(first.len(), 1);
        assert_ne!(first, second);
    }
}
