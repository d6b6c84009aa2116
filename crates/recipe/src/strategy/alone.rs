//! Networks that learn from themselves.

use super::setting::{Ready, Sees, Setting, figures_of_taught, unzip};
use super::{BornAgainRecipe, BornAgainVariant, MeanTeacherRecipe, Member, Outcome};
use crate::input::{AnyMemory, AnyNetwork};
use crate::loss::catch;
use crate::naming::loss_place;
use anyhow::{Result, ensure};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill::core::{
    ChangingWeight, Context, DynObjective, Hard, HardOfAll, Knowledge, NoTeacher, Objective, Terms,
    Wanted,
};
use burn_distill::response::{
    ConfidenceWeighted, Permuted, ProbabilityMatchingLossConfig, ResponseObjective,
    SoftCrossEntropyLossConfig,
};
use burn_distill::strategy::{
    DropoutDistiller, DropoutDistillerConfig, DropoutDivergence, Figure, LastBatchDistiller,
    MeanTeacher, OfflineDistiller, PastPredictions, SameClass, SelfDistiller, SelfTeacher,
};

/// Weight of the consistency in the end, and the epochs until then, as in the experiments of the
/// authors of mean teacher with mean squares.
const CONSISTENCY: f64 = 100.0;
pub const RAMP_EPOCHS: usize = 5;

/// A network that learns from the targets and from nobody.
pub type Untaught = OfflineDistiller<AnyNetwork, NoTeacher, OfTargets>;
/// A network that learns from the last batch.
pub type Last = LastBatchDistiller<AnyNetwork, AnyMemory, Vec<DynObjective>>;
/// A network that drops its features.
pub type Dropped = DropoutDistiller<AnyNetwork, Hard>;
/// A network that is its own teacher in some way.
pub type Itself<T> = SelfDistiller<AnyNetwork, T, Vec<DynObjective>>;

/// Terms that do not look at a teacher, where there is none.
#[derive(Module, Debug)]
pub struct OfTargets {
    terms: Vec<DynObjective>,
}

impl Objective<Knowledge, ()> for OfTargets {
    fn wanted(&self) -> Wanted {
        self.terms.wanted()
    }

    fn forward(&self, context: &Context<'_, Knowledge, ()>) -> Terms {
        // Whoever is there: they do not look.
        self.terms.forward(&context.taught_by(context.student))
    }
}

impl Setting<'_> {
    /// No teacher: the terms are of the student and of the targets alone.
    pub fn teacher_free(&self) -> Result<Ready<Untaught>> {
        let student = self.student()?;
        let (names, terms) = self.taught(&student, &student)?;
        for (number, table) in self.losses() {
            ensure!(
                self.recipe.registry.losses().is_of_targets(table),
                "`{}` compares the student with a teacher, and a virtual one is no network: `hard`, \
                 `virtual-teacher` and `label-smoothing` need none",
                loss_place(number - 1)
            );
        }
        let mut figures = vec![Figure::Loss, Figure::Accuracy];
        figures.extend(names.into_iter().map(Figure::Term));
        Ok(Ready {
            distiller: OfflineDistiller::alone(student, OfTargets { terms }),
            sees: Sees::Views(1),
            figures,
            outcome: Box::new(|distiller| Ok(distiller.student.into())),
        })
    }

    /// What the student said about each sample the last time.
    pub fn past_predictions(&self) -> Result<Ready<Itself<PastPredictions>>> {
        let student = self.student()?;
        let tables = self.losses();
        let losses =
            self.draw(|| self.terms_of_responses(&tables, &student, "what was said before"))??;
        let samples = self.samples.iter().map(|(id, _)| id + 1).max();
        let memory = PastPredictions::new(
            samples.unwrap_or_default(),
            self.task.classes,
            &Device::flex(),
        );
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
    ) -> Result<Ready<Itself<MeanTeacher<AnyNetwork>>>> {
        let student = self.student()?;
        let (terms, objective) = match self.recipe.losses.is_empty() {
            true => consistency(options),
            false => self.taught(&student, &student)?,
        };
        self.check_labeled_per_batch(options)?;
        let start = match options.random_start {
            true => self.beside(self.model(), 1)?,
            false => student.clone(),
        };
        let average = catch(|| MeanTeacher::new(&start, options.decay))?
            .with_warm_up(options.warm_up)
            .with_training_mode(options.training_mode);
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

    /// Check that batches can have the number of labeled samples that a recipe asks for.
    fn check_labeled_per_batch(&self, options: &MeanTeacherRecipe) -> Result<()> {
        const KEY: &str = "`strategy.labeled_per_batch`";
        let labeled = options.labeled_per_batch.unwrap_or(0);
        let batch_size = self.recipe.student.training.batch_size;
        ensure!(
            labeled < batch_size,
            "{KEY} should be below `student.training.batch_size`, which is {batch_size}, but is \
             {labeled}: the rest of a batch is unlabeled"
        );
        ensure!(
            labeled == 0 || self.recipe.data.labels_per_class.is_some(),
            "{KEY} is {labeled}, but all samples are labeled: give `data.labels_per_class`, or \
             leave it out"
        );
        Ok(())
    }

    /// What the student said about the last batch.
    pub fn last_batch(&self) -> Result<Ready<Last>> {
        let student = self.student()?;
        let why = "either batch has that of the labels besides";
        let (hard, tables) = self.hard_and_others(&student, why)?;
        let losses =
            self.draw(|| self.terms_of_responses(&tables, &student, "what was said before"))??;
        let (terms, objective) = unzip(losses);
        let batch_size = self.recipe.student.training.batch_size;
        let mut distiller = catch(|| LastBatchDistiller::new(student, batch_size, objective))?;
        distiller.hard = Hard::new(hard);
        let mut figures = vec![
            Figure::Loss,
            Figure::Accuracy,
            Figure::Term(Hard::TERM.into()),
        ];
        figures.extend(terms.into_iter().map(Figure::Term));
        Ok(Ready {
            distiller,
            sees: Sees::Views(2),
            figures,
            outcome: Box::new(|distiller| Ok(distiller.student.into())),
        })
    }

    /// What the student says when others of its features are dropped.
    pub fn dropout(&self, config: &DropoutDistillerConfig) -> Result<Ready<Dropped>> {
        let student = self.student()?;
        let why = "that between the two answers is always there";
        let weight = self.hard_weight(&student, why)?;
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
        let [student, teacher] = [2, 1].map(|place| self.beside(self.model(), place));
        self.generation(2, options, &student?, &teacher?).map(drop)
    }

    /// What the generation of that number is trained on, which the one before it teaches, with the
    /// names of its terms.
    pub fn generation(
        &self,
        number: u64,
        options: &BornAgainRecipe,
        student: &AnyNetwork,
        teacher: &AnyNetwork,
    ) -> Result<(Vec<String>, Vec<DynObjective>)> {
        let (name, towards) = match options.variant {
            // Its terms are written out.
            BornAgainVariant::Ban => return self.taught(student, teacher),
            BornAgainVariant::Cwtm => {
                let weighted = ConfidenceWeighted::new(1.0);
                let name = ConfidenceWeighted::TERM.to_string();
                (name, DynObjective::new(weighted))
            }
            BornAgainVariant::Dkpp => {
                let soft = SoftCrossEntropyLossConfig::new().with_temperature(1.0);
                let permuted = Permuted::new(soft.init(), self.seed_of(number) as usize, 1.0);
                (permuted.name.clone(), DynObjective::new(permuted))
            }
        };
        let hard = || (Hard::TERM.to_string(), DynObjective::new(Hard::new(1.0)));
        let hard = options.labels.unwrap_or(false).then(hard);
        Ok(hard.into_iter().chain([(name, towards)]).unzip())
    }
}

/// The terms of the authors of mean teacher.
fn consistency(options: &MeanTeacherRecipe) -> (Vec<String>, Vec<DynObjective>) {
    let ramp = ChangingWeight::SigmoidRampUp {
        to: options.weight.unwrap_or(CONSISTENCY),
        epochs: options.ramp_epochs.unwrap_or(RAMP_EPOCHS),
        interval: options.ramp_interval.unwrap_or_default(),
    };
    let loss = ProbabilityMatchingLossConfig::new().init();
    let consistency = ResponseObjective::new(loss, ramp);
    let names = vec![Hard::TERM.to_string(), consistency.name.clone()];
    let hard = DynObjective::new(HardOfAll::new(1.0));
    (names, vec![hard, DynObjective::new(consistency)])
}

fn by_itself<T: SelfTeacher<AnyNetwork>>(
    student: AnyNetwork,
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
