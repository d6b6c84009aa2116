//! The exits of one network.

use super::options::{ByotRecipe, ByotVariant};
use super::setting::{
    Member, Outcome, Ready, Sees, Setting, accuracy_of, ensemble_accuracy, numbered_terms, unzip,
};
use super::together::hard_weight;
use crate::experiment::ImageNetwork;
use anyhow::Result;
use burn::module::Module;
use burn_distill::ByotConfig;
use burn_distill::architecture::{ExitChoice, MultiExitNetwork};
use burn_distill::core::{DynObjective, Hard};
use burn_distill::strategy::{ExitsDistiller, Figure};

/// A network whose shallow exits learn from its deepest.
pub type Exits = ExitsDistiller<MultiExitNetwork<ImageNetwork>, Vec<DynObjective>>;

impl Setting<'_> {
    /// Be your own teacher: exits at the stages of the student.
    pub fn exits(&self, options: &ByotRecipe) -> Result<Ready<Exits>> {
        let student = self.student()?;
        let (terms, distiller) = match self.recipe.losses.as_slice() {
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
                let weight = hard_weight(tables, "the deepest exit learns from the labels alone")?;
                let losses =
                    self.draw(|| self.terms_of_responses(tables, &student, "the deepest exit"))??;
                let (terms, objective) = unzip(losses);
                let distiller = self.draw(|| {
                    let network = options.exits.0.init(student);
                    let shallow = network.exit_count() - 1;
                    ExitsDistiller::new(network, vec![objective; shallow]).with_hard(weight)
                })?;
                (terms, distiller)
            }
        };

        let count = distiller.objectives.len() + 1;
        let mut figures = vec![Figure::Loss, Figure::Accuracy];
        figures.extend((1..count).map(accuracy_of));
        figures.push(ensemble_accuracy());
        figures.extend(numbered_terms(count - 1, &terms));
        figures.push(Figure::Term(format!("{count} {}", Hard::TERM)));
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
