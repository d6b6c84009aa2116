use super::strategy::{StrategyContext, StrategyRecipe};
use crate::data::DataRecipe;
use crate::evaluation::EvaluationRecipe;
use crate::model::ModelRecipe;
use crate::notices::Notices;
use crate::parts::{RouteRecipe, StageRecipe, StudentRecipe, TasksRecipe, TeacherRecipe};
use crate::registry::{DatasetSpec, Registry};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use toml::Table;
use toml::de::Error;

/// A distillation experiment: the student, its teacher or strategy, the data and the losses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// Name of the experiment and of the folder of its runs.
    pub name: String,
    /// Purpose of the experiment, in a sentence.
    pub about: String,
    /// Seeds, one for each independent repetition of teacher, baseline and distilled student.
    pub seeds: Vec<u64>,
    /// Data.
    pub data: DataRecipe,
    /// Teacher, where one is trained before the student.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherRecipe>,
    /// Student.
    pub student: StudentRecipe,
    /// Strategy: what the student is distilled from.
    #[serde(skip_serializing_if = "StrategyRecipe::is_default")]
    pub strategy: StrategyRecipe,
    /// Terms of the loss of the distilled student, if it is not trained in stages.
    #[serde(rename = "loss", skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Table>,
    /// Stages of the training of the distilled student, if there are any.
    #[serde(rename = "stage", skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageRecipe>,
    /// Route of anchors, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteRecipe>,
    /// Measurements of the embeddings, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<EvaluationRecipe>,
    /// Tasks that the student learns one after another, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TasksRecipe>,
    /// Registry of the names in the recipe; not a part of the file.
    #[serde(skip)]
    pub registry: Registry,
}

/// A recipe as it is in its file. Only a registry knows the valid contents of `[strategy]`, and the
/// keys of `[data]` depend on its source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeFile {
    name: String,
    #[serde(default)]
    about: String,
    #[serde(default = "seeds")]
    seeds: Vec<u64>,
    data: Table,
    teacher: Option<TeacherRecipe>,
    student: StudentRecipe,
    strategy: Option<Table>,
    #[serde(default, rename = "loss")]
    losses: Vec<Table>,
    #[serde(default, rename = "stage")]
    stages: Vec<StageRecipe>,
    route: Option<RouteRecipe>,
    evaluation: Option<EvaluationRecipe>,
    tasks: Option<TasksRecipe>,
}

impl RecipeFile {
    /// Returns the recipe, with the data and the strategy that these functions create from the
    /// tables `data` and `strategy`.
    ///
    /// # Errors
    ///
    /// Returns the error of a function.
    pub fn with_tables<E>(
        self,
        registry: &Registry,
        read_data: impl FnOnce(Table) -> Result<DataRecipe, E>,
        read_strategy: impl FnOnce(Table) -> Result<StrategyRecipe, E>,
    ) -> Result<Recipe, E> {
        let strategy = self.strategy.map(read_strategy);
        Ok(Recipe {
            name: self.name,
            about: self.about,
            seeds: self.seeds,
            data: read_data(self.data)?,
            teacher: self.teacher,
            student: self.student,
            strategy: strategy.transpose()?.unwrap_or_default(),
            losses: self.losses,
            stages: self.stages,
            route: self.route,
            evaluation: self.evaluation,
            tasks: self.tasks,
            registry: registry.clone(),
        })
    }
}

fn seeds() -> Vec<u64> {
    vec![0]
}

impl Recipe {
    /// Reads a recipe from its table, with the strategies of the registry. Names of networks and
    /// data sets stay as they are written, and only the types are checked: see
    /// [`read`](crate::read).
    ///
    /// # Errors
    ///
    /// Returns an error with the message of `serde` if a key or the type of a value is wrong.
    pub fn from_table(table: Table, registry: &Registry) -> Result<Self, Error> {
        let file: RecipeFile = table.try_into()?;
        file.with_tables(registry, Table::try_into, |table| {
            StrategyRecipe::read(table, registry.strategies())
        })
    }

    /// Returns whether a loss of the student is computed from labels.
    pub fn uses_labels(&self) -> bool {
        let kinds = self.registry.losses();
        let stages = self.stages.iter().flat_map(|stage| &stage.losses);
        let mut all = self.losses.iter().chain(stages);
        let uses = |table: &Table| kinds.needs_labels(table) || kinds.is_of_targets(table);
        !self.strategy.is_offline() || all.any(uses)
    }

    /// Returns whether the classifier of the student is trained: not so if all losses are on features
    /// or relations.
    pub fn trains_classifier(&self) -> bool {
        let kinds = self.registry.losses();
        let stages = self.stages.iter().flat_map(|stage| &stage.losses);
        let mut all = self.losses.iter().chain(stages);
        !self.strategy.is_offline() || all.any(|table| !kinds.is_of_features(table))
    }

    /// Returns the shapes and sizes of the data set.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`DataRecipe::spec`].
    pub fn spec(&self) -> Result<DatasetSpec> {
        self.data.spec(&self.registry)
    }

    /// Returns the context of the strategy before the data is loaded, with every published sample.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`spec`](Self::spec).
    pub fn strategy_context(&self) -> Result<StrategyContext<'_>> {
        let DatasetSpec { task, samples, .. } = self.spec()?;
        Ok(StrategyContext {
            student: &self.student,
            data: &self.data,
            losses: &self.losses,
            networks: self.registry.networks(),
            loss_kinds: self.registry.losses(),
            seed: 0,
            // The split is known with the data only.
            samples: (0..samples)
                .map(|id| (id, Some(id % task.classes)))
                .collect(),
            task,
            inputs: None,
            notices: Notices::default(),
        })
    }

    /// Returns the context of a strategy without data, in which there are no samples.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`spec`](Self::spec).
    pub fn context_without_data(&self) -> Result<StrategyContext<'_>> {
        Ok(StrategyContext {
            samples: Vec::new(),
            inputs: None,
            ..self.strategy_context()?
        })
    }

    /// Returns the models of the recipe, each with its key.
    pub fn models_mut(&mut self) -> Vec<(String, &mut ModelRecipe)> {
        let mut models = Vec::new();
        if let Some(teacher) = &mut self.teacher {
            let others = teacher.others.iter_mut().map(|other| &mut other.model);
            let all = [&mut teacher.model].into_iter().chain(others).enumerate();
            models.extend(all.filter_map(|(index, model)| {
                let place = TeacherRecipe::place(index);
                Some((format!("{place}.model"), model.as_mut()?))
            }));
        }
        models.push(("student.model".into(), &mut self.student.model));
        let of_strategy = self.strategy.options_mut().models_mut().into_iter();
        models.extend(of_strategy.map(|(key, model)| (format!("strategy.{key}"), model)));
        models
    }

    /// Returns the teacher, or the first of several.
    ///
    /// # Errors
    ///
    /// Returns an error if the recipe has no teacher.
    pub fn first_teacher(&self) -> Result<&TeacherRecipe> {
        self.teacher.as_ref().context(
            "`teacher` is missing: give a [teacher], or a [strategy] in which the student learns \
             without one",
        )
    }

    /// Returns the losses of the stages, each with the index of its stage and its own.
    pub fn losses_of_stages(&self) -> impl Iterator<Item = (usize, usize, &Table)> {
        let stages = self.stages.iter().enumerate();
        stages.flat_map(|(stage, of_stage)| {
            let losses = of_stage.losses.iter().enumerate();
            losses.map(move |(index, table)| (stage, index, table))
        })
    }

    /// Returns whether the outputs of the teacher at that index are computed in training mode:
    /// false for a teacher that is not a `[teacher]` of the recipe, such as a trained copy of the
    /// student.
    pub fn teaches_in_training_mode(&self, index: usize) -> bool {
        let teachers = self.teachers();
        teachers
            .get(index)
            .is_some_and(|teacher| teacher.training_mode)
    }

    /// Returns every teacher as if it were the only one, the first one first; none if no teacher is
    /// trained before the student.
    pub fn teachers(&self) -> Vec<TeacherRecipe> {
        self.teacher.iter().flat_map(TeacherRecipe::all).collect()
    }

    /// Returns the name of the network of every teacher, the first one first.
    pub fn teacher_names(&self) -> Vec<String> {
        self.teachers().iter().map(TeacherRecipe::name).collect()
    }
}
