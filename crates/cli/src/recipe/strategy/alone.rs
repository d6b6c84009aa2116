//! Networks that learn from themselves.

use super::setting::{Ready, Sees, Setting, figures_of_taught, unzip};
use super::together::hard_weight;
use super::{BornAgainRecipe, MeanTeacherRecipe, Member, Outcome};
use crate::experiment::ImageNetwork;
use crate::recipe::loss::catch;
use anyhow::{Result, ensure};
use burn::tensor::Device;
use burn_distill::core::{DynObjective, Hard};
use burn_distill::strategy::{
    DropoutDistiller, DropoutDistillerConfig, DropoutDivergence, Figure, MeanTeacher,
    PastPredictions, SameClass, SelfDistiller, SelfTeacher,
};

/// A network that drops its features.
pub type Dropped = DropoutDistiller<ImageNetwork, Hard>;
/// A network that is its own teacher in some way.
pub type Itself<T> = SelfDistiller<ImageNetwork, T, Vec<DynObjective>>;

impl Setting<'_> {
    /// What the student said about each sample the last time.
    pub fn past_predictions(&self) -> Result<Ready<Itself<PastPredictions>>> {
        let student = self.student()?;
        let tables = &self.recipe.losses;
        let losses =
            self.draw(|| self.terms_of_responses(tables, &student, "what was said before"))??;
        let samples = self.samples.iter().map(|(id, _)| id + 1).max();
        let memory =
            PastPredictions::new(samples.unwrap_or_default(), self.classes, &Device::flex());
        let (terms, objective) = unzip(losses);
        Ok(by_itself(
            student,
            memory,
            objective,
            &terms,
            Sees::Views(1),
        ))
    }

    /// What the student says about another sample of the class.
    pub fn same_class(&self) -> Result<Ready<Itself<SameClass>>> {
        let student = self.student()?;
        let (terms, objective) = self.taught(&student, &student)?;
        Ok(by_itself(
            student,
            SameClass::default(),
            objective,
            &terms,
            Sees::Pairs,
        ))
    }

    /// An average of what the student was, which is reported beside it.
    pub fn mean_teacher(
        &self,
        options: &MeanTeacherRecipe,
    ) -> Result<Ready<Itself<MeanTeacher<ImageNetwork>>>> {
        let student = self.student()?;
        let (terms, objective) = self.taught(&student, &student)?;
        let average = catch(|| MeanTeacher::new(&student, options.decay))?;
        let ready = by_itself(student, average, objective, &terms, Sees::Views(2));
        let model = self.model().to_string();
        Ok(Ready {
            outcome: Box::new(move |distiller| {
                let average = distiller.teacher.average.inner().clone();
                Ok(Outcome {
                    student: distiller.student,
                    members: vec![Member::new("average", model, average)],
                })
            }),
            ..ready
        })
    }

    /// What the student says when others of its features are dropped.
    pub fn dropout(&self, config: &DropoutDistillerConfig) -> Result<Ready<Dropped>> {
        let student = self.student()?;
        let why = "that between the two answers is always there";
        let weight = hard_weight(&self.recipe.losses, why)?;
        ensure!(
            self.recipe.losses.len() == 1,
            "nobody teaches but the student: there is no loss but `{}`, and that between its \
             answers, whose weight is `strategy.weight`",
            Hard::TERM
        );
        // Every repetition drops others.
        let seed = config.seed.wrapping_add(self.seed);
        let config = config.clone().with_seed(seed);
        let terms = [Hard::TERM, DropoutDivergence::TERM].map(String::from);
        let mut figures = vec![Figure::Loss, Figure::Accuracy];
        figures.extend(terms.map(Figure::Term));
        Ok(Ready {
            distiller: catch(|| config.init(student, Hard::new(weight)))?,
            sees: Sees::Views(1),
            figures,
            outcome: Box::new(|distiller| Ok(distiller.student.into())),
        })
    }

    /// Check that the student can teach its like, generation by generation.
    pub fn check_generations(&self, options: &BornAgainRecipe) -> Result<()> {
        ensure!(
            (1..=64).contains(&options.generations),
            "`strategy.generations` should be from 1 to 64, but is {}",
            options.generations
        );
        let [student, teacher] = [2, 1].map(|place| self.beside(self.model(), place));
        self.taught(&student?, &teacher?).map(drop)
    }
}

fn by_itself<T: SelfTeacher<ImageNetwork>>(
    student: ImageNetwork,
    teacher: T,
    objective: Vec<DynObjective>,
    terms: &[String],
    sees: Sees,
) -> Ready<Itself<T>> {
    Ready {
        distiller: SelfDistiller::new(student, teacher, objective),
        sees,
        figures: figures_of_taught(terms),
        outcome: Box::new(|distiller| Ok(distiller.student.into())),
    }
}
