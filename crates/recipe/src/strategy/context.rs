use crate::data::DataRecipe;
use crate::fault::Place;
use crate::input::{AnyInput, AnyNetwork};
use crate::loss::{Loss, LossContext, Losses, loss_context, with_inputs};
use crate::losses::check_distinct;
use crate::model::ModelRecipe;
use crate::naming::loss_place;
use crate::network::seeded;
use crate::notices::Notices;
use crate::parts::{QUANTIZATION, StudentRecipe};
use crate::registry::{Networks, Task};
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

/// Context in which a strategy is prepared, on the CPU: the parts of a recipe that it depends on,
/// and the data.
pub struct StrategyContext<'a> {
    /// Student of the recipe.
    pub student: &'a StudentRecipe,
    /// Data of the recipe.
    pub data: &'a DataRecipe,
    /// Losses of the recipe, which are those of the strategy.
    pub losses: &'a [Table],
    /// Networks that the recipe can name.
    pub networks: &'a Networks,
    /// Losses that the recipe can name.
    pub loss_kinds: &'a Losses,
    /// Inputs and classes of the data set.
    pub task: Task,
    /// Seed of the initial weights.
    pub seed: u64,
    /// Ids of the training samples of the student, each with its class if it is labeled.
    pub samples: Vec<(usize, Option<usize>)>,
    /// A batch of training inputs; none before the data is loaded.
    pub inputs: Option<AnyInput>,
    /// Receiver of the messages of losses about the inputs.
    pub notices: Notices,
}

/// A strategy that is ready to be trained.
pub struct PreparedStrategy<M> {
    /// Distiller, which is trained.
    pub distiller: M,
    /// Views of a sample that the distiller takes.
    pub views: ViewMode,
    /// Metrics that are shown.
    pub metrics: Vec<MetricKind>,
    /// Takes the networks from the trained distiller.
    pub finalize: Finalize<M>,
}

impl<M> PreparedStrategy<M>
where
    M: Distillation<Input = AnyInput> + ModuleDisplay + 'static,
{
    /// Erases the type of the distiller.
    pub fn erased(self) -> PreparedStrategy<DynDistiller<AnyInput>> {
        let finalize = self.finalize;
        PreparedStrategy {
            distiller: DynDistiller::new(self.distiller),
            views: self.views,
            metrics: self.metrics,
            finalize: Box::new(|distiller| {
                let distiller = distiller.into_inner::<M>();
                finalize(distiller.expect("A training returns the distiller that it was given."))
            }),
        }
    }
}

/// Views of a sample that a training takes.
#[derive(Clone, Copy)]
pub enum ViewMode {
    /// This number of views, each augmented independently.
    Views(usize),
    /// The sample and another one of its class.
    Pairs,
    /// Large and small crops of the sample.
    Crops(MultiCrop),
}

/// Function that takes the networks from a trained distiller.
pub type Finalize<M> = Box<dyn FnOnce(M) -> Result<Outcome>>;

/// Networks that a training results in.
pub struct Outcome {
    /// Student, which is deployed.
    pub student: AnyNetwork,
    /// Further networks of the result.
    pub members: Vec<Member>,
}

/// A network that was trained with the student, or an ensemble of such networks.
pub struct Member {
    /// Name in the result, as in `peer 2`; its file is `peer-2.bpk`.
    pub name: String,
    /// Name of the model.
    pub model: String,
    /// Network.
    pub network: AnyNetwork,
}

impl Member {
    /// Creates a member from its name, the name of its model and its network.
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

    /// Returns the name of the file of its weights.
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

/// A `[[loss]]` with its number in the recipe, counted from 1, for its errors.
pub type NumberedTable<'a> = (usize, &'a Table);

/// Terms of the loss of a peer, each with the knowledge of all other peers as its teacher.
pub type PeerObjective = Vec<DynObjective<Knowledge, Vec<Knowledge>>>;

impl<'a> StrategyContext<'a> {
    /// Returns the losses of the recipe with their numbers.
    pub fn numbered_losses(&self) -> Vec<NumberedTable<'a>> {
        (1..).zip(self.losses).collect()
    }

    /// Returns the model of the student.
    pub fn model(&self) -> &'a ModelRecipe {
        &self.student.model
    }

    /// Initializes the student, with the initial weights of the baseline, and with quantized weights
    /// if the recipe says so.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such network, if it is not for this data, or if its
    /// quantization does not fit it.
    pub fn student_network(&self) -> Result<AnyNetwork> {
        let network = self.build(self.model(), self.seed).at("student.model")?;
        self.student.quantized(network).at(QUANTIZATION)
    }

    /// Initializes the peers of the student, each from another seed.
    pub fn peers(&self, models: &[ModelRecipe]) -> Result<Vec<AnyNetwork>> {
        let peers = (1..).zip(models);
        let build = |(place, model): (usize, _)| {
            let place_in_recipe = format!("strategy.peers.{}", place - 1);
            self.beside(model, place).at(&place_in_recipe)
        };
        peers.map(build).collect()
    }

    /// Initializes the peer of the student at a place, counted from 1.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such network, or if it is not for this data.
    pub fn beside(&self, model: &ModelRecipe, place: usize) -> Result<AnyNetwork> {
        let network = self.build(model, self.seed_of(place))?;
        self.student.quantized(network).at(QUANTIZATION)
    }

    fn build(&self, model: &ModelRecipe, seed: impl Into<Seed>) -> Result<AnyNetwork> {
        self.networks
            .build(model, &self.task, seed, &Device::flex())
    }

    /// Returns the seed of the peer of the student at a place, counted from 1.
    pub fn seed_of(&self, place: usize) -> Seed {
        Seed::new(self.seed).network(place)
    }

    /// Calls `draw` with a seeded generator of random numbers, other than those of the networks.
    pub fn draw<T>(&self, draw: impl FnOnce() -> T) -> T {
        seeded(Seed::new(self.seed).losses(), draw)
    }

    /// Creates the context of the losses between two networks.
    pub fn loss_context(&self, student: &AnyNetwork, teacher: &AnyNetwork) -> LossContext {
        let batch_size = self.student.training.batch_size;
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

    /// Builds the terms of the loss between a student and its teacher, one for each table.
    ///
    /// # Errors
    ///
    /// Returns an error, with the place of the loss, if it cannot be built, or if two losses have
    /// one name.
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

    /// Builds the terms of all losses of the recipe between a student and its teacher, and returns
    /// their names and their objectives.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`terms`](Self::terms).
    pub fn distilled(
        &self,
        student: &AnyNetwork,
        teacher: &AnyNetwork,
    ) -> Result<(Vec<String>, Vec<DynObjective>)> {
        let losses = self.draw(|| self.terms(&self.numbered_losses(), student, teacher))?;
        Ok(unzip(losses))
    }

    /// Returns the weight of the one cross-entropy with the labels, which a strategy needs for the
    /// reason `why`.
    ///
    /// # Errors
    ///
    /// Returns an error if the number of these losses is not 1, or if the loss cannot be built.
    pub fn cross_entropy_weight(&self, student: &AnyNetwork, why: &str) -> Result<WeightSchedule> {
        let all = self.numbered_losses().into_iter();
        let all: Vec<_> = all.filter(|(_, table)| is_cross_entropy(table)).collect();
        let [(number, table)] = all.as_slice() else {
            bail!(
                "there should be one loss of the kind `{}`, since {why}, but there are {}",
                CrossEntropyObjective::TERM,
                all.len()
            );
        };
        // Built for its errors, as any other loss; the distiller computes the term itself.
        self.plain_term(table, &self.loss_context(student, student))
            .at(&loss_place(number - 1))?;
        Ok(match table.get("weight") {
            Some(weight) => weight.clone().try_into()?,
            None => WeightSchedule::Constant(1.0),
        })
    }

    /// Returns the weight of the one cross-entropy with the labels, and the other losses.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no other loss, and the errors of
    /// [`cross_entropy_weight`](Self::cross_entropy_weight).
    pub fn cross_entropy_and_others(
        &self,
        student: &AnyNetwork,
        why: &str,
    ) -> Result<(WeightSchedule, Vec<NumberedTable<'a>>)> {
        let others = self.numbered_losses().into_iter();
        let others: Vec<_> = others
            .filter(|(_, table)| !is_cross_entropy(table))
            .collect();
        ensure!(
            !others.is_empty(),
            "there is no loss but `{}`: give a [[loss]] of another kind",
            CrossEntropyObjective::TERM
        );
        Ok((self.cross_entropy_weight(student, why)?, others))
    }

    /// Builds terms that compare responses only, for a teacher without taps. `teacher` names it in
    /// an error.
    ///
    /// # Errors
    ///
    /// Returns an error if a loss takes taps of the teacher, and the errors of
    /// [`terms`](Self::terms).
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
                "the loss `{}` compares features, but {teacher} has only predictions: give a loss of \
                 responses",
                loss.name
            );
        }
        Ok(losses)
    }

    /// Builds such terms for each of `learners` networks, with separate parameters, and returns the
    /// names of the terms and the objectives of each network.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`terms_of_responses`](Self::terms_of_responses).
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

    /// Builds the terms of each of several networks, and returns the names of the terms and the
    /// objective of each network. Its teacher is a target that is computed from all networks, or
    /// each of the others.
    ///
    /// # Errors
    ///
    /// Returns an error, with the place of the loss, if it cannot be built.
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

    /// Builds a term of a strategy without a [teacher].
    fn plain_term(&self, table: &Table, context: &LossContext) -> Result<Loss> {
        let mut loss = self.loss_kinds.build(table, context)?;
        ensure!(
            loss.preparation.is_none() && loss.student.is_none(),
            "the loss `{}` has a preparation before the training, or changes the student, {FOR_ONE_TEACHER}",
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
            self.loss_kinds.build_joint(table, &contexts)
        })?;
        let indices = tables.iter().map(|(number, _)| number - 1);
        check_distinct(indices.zip(losses.iter().map(|loss| loss.name.as_str())))?;
        Ok(losses
            .into_iter()
            .map(|loss| (loss.name, loss.objective))
            .unzip())
    }
}

/// Returns the metrics of a student that is distilled with these terms.
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

/// Returns the accuracy of the ensemble of all networks.
pub fn ensemble_accuracy() -> MetricKind {
    MetricKind::Shown("ensemble accuracy".into())
}

/// Returns the terms of `count` networks of that kind, network by network.
pub fn numbered_terms(kind: &str, count: usize, terms: &[String]) -> Vec<MetricKind> {
    let numbers = 1..=count;
    let of = |number| {
        let terms = terms.iter();
        terms.map(move |term| MetricKind::Term(format!("{kind} {number} {term}")))
    };
    numbers.flat_map(of).collect()
}

/// Returns whether a table is that of the cross-entropy with the labels.
fn is_cross_entropy(table: &Table) -> bool {
    let kind = table.get("kind").and_then(Value::as_str);
    kind.is_some_and(|kind| CrossEntropyObjective::CATALOG.has_name(kind))
}

/// Returns the names and the objectives of losses.
pub fn unzip(losses: Vec<Loss>) -> (Vec<String>, Vec<DynObjective>) {
    let losses = losses.into_iter();
    losses.map(|loss| (loss.name, loss.objective)).unzip()
}

/// Calls `of` with each table, and puts the place of the table in front of its error.
fn numbered<T>(tables: &[NumberedTable], of: impl Fn(&Table) -> Result<T>) -> Result<Vec<T>> {
    let of = |&(number, table): &NumberedTable| of(table).at(&loss_place(number - 1));
    tables.iter().map(of).collect()
}

/// The recipes in which a loss may have what the losses of strategies cannot have.
const FOR_ONE_TEACHER: &str =
    "which is for one [teacher], or the strategy `tf-kd` with a trained copy";

fn one_view(name: &str, views: usize) -> Result<()> {
    ensure!(
        views == 1,
        "the loss `{name}` is of {views} views, {FOR_ONE_TEACHER}: leave out `views`"
    );
    Ok(())
}
