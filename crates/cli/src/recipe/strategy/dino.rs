//! Views without labels, before the student knows some.

use super::options::DinoRecipe;
use super::setting::{Outcome, Ready, Sees, Setting};
use crate::experiment::ImageNetwork;
use anyhow::{Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::ChangingWeight;
use burn_distill::strategy::{DinoDistiller, DinoNetwork, DinoObjective, Figure, MeanTeacher};

/// The student with a head, and its average.
pub type Dino = DinoDistiller<Headed, MeanTeacher<Headed>, DinoObjective>;

type Headed = DinoNetwork<ImageNetwork>;

impl Setting<'_> {
    /// What is trained without labels: the average is what the student goes on from.
    pub fn dino(&self, options: &DinoRecipe) -> Result<Ready<Dino>> {
        let views = options.views;
        ensure!(
            (2..=64).contains(&views),
            "`strategy.views` should be from 2 to 64, but is {views}"
        );
        ensure!(
            options.epochs != Some(0),
            "`strategy.epochs` should be at least 1, but is 0"
        );
        ensure!(
            self.recipe.losses.is_empty(),
            "there is a [[loss]], but views are compared by prototypes, and labels are learnt as \
             without a strategy: leave it out"
        );
        let epochs = self.dino_epochs(options);
        let student = self.student()?;
        let (head, objective) = (&options.head.0, &options.objective.0);
        let distiller = self.draw(|| {
            let student = head.init_network(student, &options.tap);
            let decay = ChangingWeight::Cosine {
                from: options.decay,
                to: 1.0,
                epochs,
            };
            let teacher = MeanTeacher::new(&student, decay).with_warm_up(false);
            let objective = objective.init(head.d_output, 1.0, &Device::flex());
            DinoDistiller::new(student, teacher, objective)
        })?;
        let plain = self.student()?;
        Ok(Ready {
            distiller,
            sees: Sees::Views(views),
            figures: vec![
                Figure::Loss,
                Figure::Agreement,
                Figure::Term(DinoObjective::TERM.into()),
            ],
            outcome: Box::new(move |distiller| {
                let average = distiller.teacher.average.inner();
                // Into a network that trains: the average does not.
                let record = average.backbone.valid().into_record();
                let student: ImageNetwork = plain.try_load_record(record)?;
                Ok(Outcome::from(student))
            }),
        })
    }

    /// The epochs without labels.
    pub fn dino_epochs(&self, options: &DinoRecipe) -> usize {
        options
            .epochs
            .unwrap_or(self.recipe.student.training.epochs)
    }
}
