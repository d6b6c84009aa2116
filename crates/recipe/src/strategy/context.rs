use crate::fault::Place;
use crate::input::{AnyInput, AnyNetwork};
use crate::loss::Losses;
use crate::losses::check_distinct;
use crate::model::ModelRecipe;
use crate::naming::loss_place;
use crate::network::seeded;
use crate::notices::Notices;
use crate::registry::{DatasetSpec, Task};
use crate::{Loss, LossContext, Recipe, loss_context, with_inputs};
use anyhow::{Result, bail, ensure};
use burn::module::{Module, ModuleDisplay};
use burn::tensor::Device;
use burn_distill::core::{
    CrossEntropyObjective, DynObjective, Knowledge, Network, Objective, Seed, TapSelection,
    WeightSchedule,
};
use burn_distill::data::MultiCrop;
use burn_distill::strategy::{
    Distillation, DynDistiller, EnsembleObjective, EnsembleTarget, MetricKind,
};
use toml::{Table, Value};

/// Where a strategy is set up, on the CPU: in an experiment, or while a recipe is only checked.
pub struct StrategyContext<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Inputs and classes of the data set.
    pub task: Task,
    /// Decides the initial weights of whatever has some.
    pub seed: u64,
    /// The ids of the samples that the student is taught on, with the classes that it knows.
    pub samples: Vec<(usize, Option<usize>)>,
    /// A batch of inputs that the student is taught on; none while a recipe is only checked.
    pub inputs: Option<AnyInput>,
    /// Where losses leave messages about what they have found in the inputs.
    pub notices: Notices,
}

/// A strategy that is set up: what is trained, and what comes of it.
pub struct PreparedStrategy<M> {
    /// What is trained.
    pub distiller: M,
    /// What it sees of a sample.
    pub sees: ViewMode,
    /// What is shown of it.
    pub metrics: Vec<MetricKind>,
    /// The networks that it holds in the end.
    pub outcome: Finalize<M>,
}

impl<M> PreparedStrategy<M>
where
    M: Distillation<Input = AnyInput> + ModuleDisplay + 'static,
{
    /// Forgets the type of what is trained.
    pub fn erased(self) -> PreparedStrategy<DynDistiller<AnyInput>> {
        let outcome = self.outcome;
        PreparedStrategy {
            distiller: DynDistiller::new(self.distiller),
            sees: self.sees,
            metrics: self.metrics,
            outcome: Box::new(|distiller| {
                let distiller = distiller.into_inner::<M>();
                outcome(distiller.expect("a training returns what it was given"))
            }),
        }
    }
}

/// What a training sees of a sample.
#[derive(Clone, Copy)]
pub enum ViewMode {
    /// So many views of it.
    Views(usize),
    /// Another sample of its class, too.
    Pairs,
    /// Large and small crops of it.
    Crops(MultiCrop),
}

/// Takes the networks from what was trained.
pub type Finalize<M> = Box<dyn FnOnce(M) -> Result<Outcome>>;

/// The networks that a training leaves.
pub struct Outcome {
    /// The one that is deployed.
    pub student: AnyNetwork,
    /// The others that are reported.
    pub members: Vec<Member>,
}

/// A network that learned with the student, or that is made of those that did.
pub struct Member {
    /// What it is, as in `peer 2`; its file is `peer-2.bpk`.
    pub name: String,
    /// What model it is.
    pub model: String,
    /// The network.
    pub network: AnyNetwork,
}

impl Member {
    /// A network under that name.
    pub fn new(
        name: impl Into<String>,
        model: impl ToString,
        network: impl Network<Input = AnyInput>,
    ) -> Self {
        Self {
            name: name.into(),
            model: model.to_string(),
            network: AnyNetwork::new(network),
        }
    }
}

impl Member {
    /// The name of the file of its weights.
    pub fn file(&self) -> String {
        format!("{}.bpk", self.name.replace(' ', "-"))
    }
}

impl From<AnyNetwork> for Outcome {
    fn from(student: AnyNetwork) -> Self {
        let members = Vec::new();
        Self { student, members }
    }
}

/// A `[[loss]]` with its number in the recipe, which its errors name.
pub type NumberedTable<'a> = (usize, &'a Table);

/// What a peer is trained on: terms against all the others.
pub type PeerObjective = Vec<DynObjective<Knowledge, Vec<Knowledge>>>;

impl<'a> StrategyContext<'a> {
    /// Enough to see whether a strategy can be set up.
    pub fn to_check(recipe: &'a Recipe) -> Result<Self> {
        let DatasetSpec { task, samples } = recipe.spec()?;
        Ok(Self {
            recipe,
            seed: 0,
            // Which samples there are is known with the data: until then as many as were published.
            samples: (0..samples)
                .map(|id| (id, Some(id % task.classes)))
                .collect(),
            task,
            inputs: None,
            notices: Notices::default(),
        })
    }

    /// All `[[loss]]` of the recipe.
    pub fn losses(&self) -> Vec<NumberedTable<'a>> {
        (1..).zip(&self.recipe.losses).collect()
    }

    /// The student's model.
    pub fn model(&self) -> &'a ModelRecipe {
        &self.recipe.student.model
    }

    /// The student, with the weights that the student alone begins with.
    pub fn student(&self) -> Result<AnyNetwork> {
        self.build(self.model(), self.seed).at("student.model")
    }

    /// Networks beside the student, each from a seed of its own.
    pub fn peers(&self, models: &[ModelRecipe]) -> Result<Vec<AnyNetwork>> {
        let peers = (1..).zip(models);
        let build = |(place, model): (usize, _)| {
            let place_in_recipe = format!("strategy.peers.{}", place - 1);
            self.beside(model, place).at(&place_in_recipe)
        };
        peers.map(build).collect()
    }

    /// The network in that place beside the student, counted from 1.
    pub fn beside(&self, model: &ModelRecipe, place: usize) -> Result<AnyNetwork> {
        self.build(model, self.seed_of(place))
    }

    fn build(&self, model: &ModelRecipe, seed: impl Into<Seed>) -> Result<AnyNetwork> {
        let registry = &self.recipe.registry;
        registry.build(model, &self.task, seed, &Device::flex())
    }

    /// Returns the seed of the network in that place beside the student.
    pub fn seed_of(&self, place: usize) -> Seed {
        Seed::new(self.seed).network(place)
    }

    /// Returns what `draw` returns, with random numbers away from the seeds of networks.
    pub fn draw<T>(&self, draw: impl FnOnce() -> T) -> T {
        seeded(Seed::new(self.seed).losses(), draw)
    }

    /// Creates the context of the losses between two networks.
    pub fn loss_context(&self, student: &AnyNetwork, teacher: &AnyNetwork) -> LossContext {
        let batch_size = self.recipe.student.training.batch_size;
        // Copies, so that building a loss does not change the running statistics of the networks.
        let context = loss_context(
            student.valid(),
            teacher.valid(),
            batch_size,
            self.samples.clone(),
        );
        match &self.inputs {
            Some(inputs) => with_inputs(context, inputs.clone(), self.notices.clone()),
            None => context,
        }
    }

    /// The terms between a network that learns and whoever teaches it, each in its place of these
    /// tables.
    pub fn terms(
        &self,
        tables: &[NumberedTable],
        student: &AnyNetwork,
        teacher: &AnyNetwork,
    ) -> Result<Vec<Loss>> {
        let context = self.loss_context(student, teacher);
        let losses = numbered(tables, |table| self.plain_term(table, &context));
        let losses = losses?;
        let indices = tables.iter().map(|(number, _)| number - 1);
        check_distinct(indices.zip(losses.iter().map(|loss| loss.name.as_str())))?;
        Ok(losses)
    }

    /// What a network is trained on that such a teacher teaches, with the names of its terms.
    pub fn distilled(
        &self,
        student: &AnyNetwork,
        teacher: &AnyNetwork,
    ) -> Result<(Vec<String>, Vec<DynObjective>)> {
        let losses = self.draw(|| self.terms(&self.losses(), student, teacher))?;
        Ok(unzip(losses))
    }

    /// The weight of the one loss of labels, which there is for that reason.
    pub fn hard_weight(&self, student: &AnyNetwork, why: &str) -> Result<WeightSchedule> {
        let hard = self.losses().into_iter();
        let hard: Vec<_> = hard.filter(|(_, table)| is_hard(table)).collect();
        let [(number, table)] = hard.as_slice() else {
            bail!(
                "there should be one loss of the kind `{}`, since {why}, but there are {}",
                CrossEntropyObjective::TERM,
                hard.len()
            );
        };
        // Built for what it refuses, as any other loss.
        self.plain_term(table, &self.loss_context(student, student))
            .at(&loss_place(number - 1))?;
        Ok(match table.get("weight") {
            Some(weight) => weight.clone().try_into()?,
            None => WeightSchedule::Constant(1.0),
        })
    }

    /// That weight, and the other losses, of which there is one at least.
    pub fn hard_and_others(
        &self,
        student: &AnyNetwork,
        why: &str,
    ) -> Result<(WeightSchedule, Vec<NumberedTable<'a>>)> {
        let others = self.losses().into_iter();
        let others: Vec<_> = others.filter(|(_, table)| !is_hard(table)).collect();
        ensure!(
            !others.is_empty(),
            "there is no loss but `{}`: give a [[loss]] of another kind",
            CrossEntropyObjective::TERM
        );
        Ok((self.hard_weight(student, why)?, others))
    }

    /// Terms that compare responses alone: whoever teaches has no taps.
    pub fn terms_of_responses(
        &self,
        tables: &[NumberedTable],
        student: &AnyNetwork,
        teacher: &str,
    ) -> Result<Vec<Loss>> {
        let losses = self.terms(tables, student, student)?;
        for loss in &losses {
            ensure!(
                loss.objective.requirements().teacher == TapSelection::None,
                "the loss `{}` compares features, and {teacher} has none: it teaches by its \
                 predictions alone",
                loss.name
            );
        }
        Ok(losses)
    }

    /// The names of such terms, and the objectives of each of so many learners: what they have to
    /// learn is their own.
    pub fn terms_of_each(
        &self,
        learners: usize,
        tables: &[NumberedTable],
        student: &AnyNetwork,
        teacher: &str,
    ) -> Result<(Vec<String>, Vec<Vec<DynObjective>>)> {
        let mut names = Vec::new();
        let mut objectives = Vec::with_capacity(learners);
        for _ in 0..learners {
            let objective;
            (names, objective) = unzip(self.terms_of_responses(tables, student, teacher)?);
            objectives.push(objective);
        }
        Ok((names, objectives))
    }

    /// What each of several networks is trained on with the others: by a target that is made of all,
    /// or each of them. The names of the terms come first.
    pub fn between_peers(
        &self,
        tables: &[NumberedTable],
        networks: &[AnyNetwork],
        target: Option<EnsembleTarget>,
    ) -> Result<(Vec<String>, Vec<PeerObjective>)> {
        let mut names = Vec::new();
        let mut objectives = Vec::with_capacity(networks.len());
        for (index, network) in networks.iter().enumerate() {
            let objective: PeerObjective;
            (names, objective) = match target {
                None => self.by_each(tables, networks, index)?,
                Some(target) => {
                    let losses = self.terms_of_responses(tables, network, "an ensemble")?;
                    let (names, losses) = unzip(losses);
                    let ensemble =
                        EnsembleObjective::new(target, networks.len(), losses, &Device::flex());
                    (names, vec![DynObjective::new(ensemble)])
                }
            };
            objectives.push(objective);
        }
        Ok((names, objectives))
    }

    /// Returns the losses that the recipe can name.
    fn loss_kinds(&self) -> &Losses {
        self.recipe.registry.losses()
    }

    /// A term of a strategy in which no [teacher] teaches.
    fn plain_term(&self, table: &Table, context: &LossContext) -> Result<Loss> {
        let mut loss = self.loss_kinds().build(table, context)?;
        ensure!(
            loss.preparation.is_none() && loss.student.is_none(),
            "the loss `{}` trains something before the student learns, or makes the student \
             another network, {FOR_ONE_TEACHER}",
            loss.name
        );
        ensure!(
            !loss.is_to_be_clipped(),
            "the loss `{}` is clipped, {FOR_ONE_TEACHER}",
            loss.name
        );
        loss.clip = None;
        one_view(&loss.name, loss.objective.requirements().views)?;
        Ok(loss)
    }

    fn by_each(
        &self,
        tables: &[NumberedTable],
        networks: &[AnyNetwork],
        index: usize,
    ) -> Result<(Vec<String>, PeerObjective)> {
        let others = networks.iter().enumerate();
        let others = others.filter(|(other, _)| *other != index);
        let contexts: Vec<_> = others
            .map(|(_, other)| self.loss_context(&networks[index], other))
            .collect();
        let losses = numbered(tables, |table| {
            self.loss_kinds().build_joint(table, &contexts)
        })?;
        let indices = tables.iter().map(|(number, _)| number - 1);
        check_distinct(indices.zip(losses.iter().map(|loss| loss.name.as_str())))?;
        Ok(losses
            .into_iter()
            .map(|loss| (loss.name, loss.objective))
            .unzip())
    }
}

/// What is shown of a student that is taught with these terms.
pub fn metrics_of_distilled<'t>(terms: impl IntoIterator<Item = &'t String>) -> Vec<MetricKind> {
    let mut metrics = vec![
        MetricKind::Loss,
        MetricKind::Accuracy,
        MetricKind::TeacherAccuracy,
        MetricKind::Agreement,
    ];
    metrics.extend(terms.into_iter().cloned().map(MetricKind::Term));
    metrics
}

/// Returns the accuracy of one of several networks of that kind: peers, branches or exits.
pub fn accuracy_of(kind: &str, number: usize) -> MetricKind {
    MetricKind::Shown(format!("{kind} {number} accuracy"))
}

/// The accuracy of all of them together.
pub fn ensemble_accuracy() -> MetricKind {
    MetricKind::Shown("ensemble accuracy".into())
}

/// Returns the terms of `count` networks of that kind, one after the other.
pub fn numbered_terms(kind: &str, count: usize, terms: &[String]) -> Vec<MetricKind> {
    let numbers = 1..=count;
    let of = |number| {
        let terms = terms.iter();
        terms.map(move |term| MetricKind::Term(format!("{kind} {number} {term}")))
    };
    numbers.flat_map(of).collect()
}

/// Whether a table is that of the loss of labels.
fn is_hard(table: &Table) -> bool {
    let kind = table.get("kind").and_then(Value::as_str);
    kind.is_some_and(|kind| CrossEntropyObjective::CATALOG.is_called(kind))
}

/// The names and the objectives of losses.
pub fn unzip(losses: Vec<Loss>) -> (Vec<String>, Vec<DynObjective>) {
    let losses = losses.into_iter();
    losses.map(|loss| (loss.name, loss.objective)).unzip()
}

/// One of each table, with the number of the table in its error.
fn numbered<T>(tables: &[NumberedTable], of: impl Fn(&Table) -> Result<T>) -> Result<Vec<T>> {
    let of = |&(number, table): &NumberedTable| of(table).at(&loss_place(number - 1));
    tables.iter().map(of).collect()
}

/// Where what a term here cannot have is possible: generations, too, go without.
const FOR_ONE_TEACHER: &str =
    "which is for one [teacher], or the strategy `tf-kd` with a trained copy";

fn one_view(name: &str, views: usize) -> Result<()> {
    ensure!(
        views == 1,
        "the loss `{name}` is of {views} views, {FOR_ONE_TEACHER}: leave out `views`"
    );
    Ok(())
}
