use super::evaluation::{accuracies, features};
use super::{TaskMethod, TaskPlan, TaskSamples};
use crate::{
    Curriculum, CurriculumError, ElasticDistiller, ElasticWeights, EvaluationError, Exemplars,
    OfflineDistiller, Stage, TaskAccuracies, herding,
};
use burn::data::dataset::DatasetError;
use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Tensor};
use burn_distill_architecture::{GrowingNetwork, NearestMeans, mean_features, with_classifier};
use burn_distill_core::{Check, Frozen, Network, NetworkMismatch, OldClasses, indices};
use burn_distill_data::{BatchLoader, ReorderedClasses, Samples};

/// Part of a growing network that is not shared by the tasks.
const HEADS: &str = "heads";

/// Tasks that a network learns one after another: a [`Curriculum`] with a [`Stage`] for each task.
///
/// For every task, the network gets a new head for its classes, and learns them by the method of
/// the [plan](TaskPlan). It is then tested on the classes of every task so far. The validation set
/// of a stage has the classes of its task only.
///
/// A curriculum that was stopped at any task continues, when the same tasks are run again, with the
/// same result as an uninterrupted one: exemplars and the importance of parameters are computed
/// again from the network after each task. With dropout, the importance by
/// [`FisherGradients::BatchMean`](crate::FisherGradients::BatchMean) differs, since it is computed in
/// training mode.
///
/// # Example
///
/// Learning without forgetting (LwF), given its objective over the old classes:
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::GrowingNetwork;
/// use burn_distill_core::{DynObjective, Network};
/// use burn_distill_data::{BatchLoader, ImageDataset};
/// use burn_distill_strategy::{
///     Curriculum, Stage, TaskError, TaskMethod, TaskPlan, TaskSamples, TaskSequence,
/// };
///
/// fn lwf<N: Network<Input = Tensor<4>>>(
///     curriculum: &mut Curriculum,
///     network: GrowingNetwork<N>,
///     samples: TaskSamples<ImageDataset>,
///     soft_cross_entropy: DynObjective,
/// ) -> Result<N, TaskError> {
///     let plan = TaskPlan::new(TaskMethod::Distillation(soft_cross_entropy));
///     let learned = TaskSequence::new(samples, plan).run(
///         curriculum,
///         network,
///         |_, network, classes| network.with_head(classes),
///         |_, name| Stage::new(name, 30),
///         |task, samples| BatchLoader::new(samples, 64).shuffle(task as u64),
///     )?;
///     println!("average forgetting: {:?}", learned.task_agnostic.forgetting());
///     Ok(learned.into_network()?)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct TaskSequence<S> {
    samples: TaskSamples<S>,
    plan: TaskPlan,
}

/// Network that has learned all tasks of a [`TaskSequence`], and its accuracies on them.
#[derive(Debug)]
pub struct LearnedTasks<N> {
    /// Network, in validation mode.
    pub network: GrowingNetwork<N>,
    /// Mean features of each class in the order of learning, by which iCaRL predicts. Shape:
    /// `[num_classes, features]`.
    pub means: Option<Tensor<2>>,
    /// Accuracies where the task of a sample is known, so that only its classes are compared.
    pub task_aware: TaskAccuracies,
    /// Accuracies among all classes so far.
    pub task_agnostic: TaskAccuracies,
    /// Classes in the order of learning.
    order: Vec<usize>,
}

impl<N: Network> LearnedTasks<N> {
    /// Returns a network of the original architecture with the same predictions: the classifier of
    /// its body has the weights of all heads, or, for iCaRL, the mean features of the classes. Its
    /// classes are in the order of the data set.
    ///
    /// # Errors
    ///
    /// Returns an error if a class is in no task, or if the body returns no classifier for all
    /// classes.
    pub fn into_network(self) -> Result<N, NetworkMismatch> {
        let (learned, classes) = (self.network.classes(), self.order.len());
        if learned != classes {
            return Err(NetworkMismatch::Network(format!(
                "The tasks have only {learned} of the {classes} classes of the data set, which a network \
                 of the original architecture has to predict: give each class a task."
            )));
        }
        let Some(means) = self.means else {
            return self.network.into_body(&self.order);
        };
        // All means have unit length: the nearest one is that with the largest product.
        let order = self.order.iter();
        let mut columns: Vec<_> = order.enumerate().map(|(at, &class)| (class, at)).collect();
        columns.sort_unstable();
        let columns: Vec<_> = columns.into_iter().map(|(_, at)| at).collect();
        let weight = means.clone().select(0, indices(&columns, &means.device()));
        let bias = Tensor::zeros([columns.len()], (&weight.device(), weight.dtype()));
        with_classifier(self.network.body, weight.transpose(), bias)
    }
}

/// The reason why tasks cannot be learned.
#[derive(thiserror::Error)]
pub enum TaskError {
    /// The curriculum was stopped, or a stage failed.
    #[error(transparent)]
    Curriculum(#[from] CurriculumError),
    /// Samples could not be loaded.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// The network could not be tested after a task.
    #[error("after task {task}: {source}")]
    Evaluation {
        /// Number of the task, counted from 1.
        task: usize,
        /// Error of the evaluation.
        source: EvaluationError,
    },
    /// The network does not fit its purpose.
    #[error(transparent)]
    Network(#[from] NetworkMismatch),
}

burn_distill_core::debug_as_display!(TaskError);

/// State of a sequence between two tasks.
struct Progress<N> {
    /// Network after the last task.
    network: GrowingNetwork<N>,
    exemplars: Option<Exemplars>,
    importance: Option<ElasticWeights>,
}

impl<S: Samples> TaskSequence<S> {
    /// Creates a sequence from the samples of the tasks and the plan.
    ///
    /// # Panics
    ///
    /// Panics if the options of the plan do not fit its method.
    pub fn new(samples: TaskSamples<S>, plan: TaskPlan) -> Self {
        plan.assert_valid();
        Self { samples, plan }
    }

    /// Returns the name of the stage of a task, counted from 0.
    pub fn stage_name(&self, task: usize) -> String {
        format!("task-{}", task + 1)
    }

    /// Learns all tasks with a network that has no heads yet.
    ///
    /// - `grow`: adds a head for a number of classes to the network before a task, counted from 0
    /// - `stage`: creates the stage of a task with a name, with its epochs, optimizer and schedule
    /// - `loader`: creates the loader of the training samples of a task
    ///
    /// # Errors
    ///
    /// Returns an error as [`Curriculum::run`] and [`Curriculum::load`] do, or if a sample cannot
    /// be loaded or predicted.
    pub fn run<N: Network<Input = S::Input>>(
        &self,
        curriculum: &mut Curriculum,
        network: GrowingNetwork<N>,
        grow: impl Fn(usize, GrowingNetwork<N>, usize) -> GrowingNetwork<N>,
        stage: impl Fn(usize, String) -> Stage,
        loader: impl Fn(usize, ReorderedClasses<S>) -> BatchLoader<ReorderedClasses<S>>,
    ) -> Result<LearnedTasks<N>, TaskError> {
        let device = curriculum.device().clone();
        let mut progress = Progress {
            network,
            exemplars: self.plan.exemplars.map(Exemplars::new),
            importance: None,
        };
        let mut means = None;
        let [mut task_aware, mut task_agnostic] = [(); 2].map(|()| TaskAccuracies::default());
        for task in 0..self.samples.tasks.len() {
            let classes = self.samples.tasks.columns(task).len();
            let grown = grow(task, progress.network.valid(), classes);
            let train = || loader(task, self.training_samples(task, &progress));
            let grown = match (task, self.plan.warm_up) {
                (0, _) | (_, 0) => grown,
                (_, epochs) => {
                    let name = format!("{}-warm-up", self.stage_name(task));
                    let stage = stage(task, name).with_epochs(epochs);
                    self.warm_up(curriculum, stage, grown, train())?
                }
            };
            let train = train();
            let stage = stage(task, self.stage_name(task));
            self.learn(curriculum, stage, grown.clone(), &progress, train)?;

            let network = curriculum.load("student", &grown)?;
            progress.network = network.valid().to_device(&device);
            self.remember_importance(task, &mut progress, &device, &loader)?;
            self.remember_exemplars(task, &mut progress, &device)?;
            means = self.means(&progress, &device)?;
            let rows = self.rows(task, &progress.network, &means, &device)?;
            let [aware, agnostic] = rows;
            task_aware.push(aware);
            task_agnostic.push(agnostic);
        }
        Ok(LearnedTasks {
            network: progress.network,
            means,
            task_aware,
            task_agnostic,
            order: self.samples.tasks.order().to_vec(),
        })
    }

    /// Returns the training samples of a task, with samples of earlier tasks if the plan has them.
    fn training_samples<N>(&self, task: usize, progress: &Progress<N>) -> ReorderedClasses<S> {
        if matches!(self.plan.method, TaskMethod::Joint) {
            let all = 0..self.samples.tasks.columns(task).end;
            return self.samples.train.of_classes(all);
        }
        let own = self.samples.training(task);
        let Some(exemplars) = &progress.exemplars else {
            return own;
        };
        let ids: Vec<_> = own.ids().iter().copied().chain(exemplars.ids()).collect();
        self.samples.train.subset(ids)
    }

    /// Trains only the head of the newest task.
    fn warm_up<N: Network<Input = S::Input>>(
        &self,
        curriculum: &mut Curriculum,
        stage: Stage,
        student: GrowingNetwork<N>,
        train: BatchLoader<ReorderedClasses<S>>,
    ) -> Result<GrowingNetwork<N>, CurriculumError> {
        let task = student.heads.len() - 1;
        let group = ParamGroup::from_regex(format!(r"^student\.{HEADS}\.{task}\."));
        let stage = stage.with_trains(group.expect("The pattern is a regular expression."));
        let labels = self.plan.labels(student.classes_of(task).start);
        let distiller = OfflineDistiller::without_teacher(student.clone(), labels);
        curriculum.run(stage, distiller, (train, self.validation(task)))?;
        curriculum.load("student", &student)
    }

    /// Returns the validation samples of a task.
    fn validation(&self, task: usize) -> BatchLoader<ReorderedClasses<S>> {
        let columns = self.samples.tasks.columns(task);
        BatchLoader::new(self.samples.validation.of_classes(columns), 256)
    }

    fn learn<N: Network<Input = S::Input>>(
        &self,
        curriculum: &mut Curriculum,
        stage: Stage,
        mut student: GrowingNetwork<N>,
        progress: &Progress<N>,
        train: BatchLoader<ReorderedClasses<S>>,
    ) -> Result<(), CurriculumError> {
        let (task, old_classes) = (progress.network.heads.len(), progress.network.classes());
        if task > 0 && self.plan.freeze_old_heads {
            student = student.with_frozen_old_heads();
        }
        if task > 0 && self.plan.fix_statistics {
            student = student.with_fixed_statistics();
        }
        let loaders = (train, self.validation(task));
        let old = || Frozen::new(progress.network.clone());
        match (&self.plan.method, task) {
            (TaskMethod::Distillation(objective), 1..) => {
                let objective = OldClasses::new(objective.clone());
                let objective = (self.plan.labels(old_classes), objective);
                let distiller = OfflineDistiller::new(student, old(), objective);
                curriculum.run(stage, distiller, loaders)?;
            }
            (TaskMethod::Icarl(objective), 1..) => {
                let distiller = OfflineDistiller::new(student, old(), objective.clone());
                curriculum.run(stage, distiller, loaders)?;
            }
            (TaskMethod::Icarl(objective), 0) => {
                let distiller = OfflineDistiller::without_teacher(student, objective.clone());
                curriculum.run(stage, distiller, loaders)?;
            }
            (TaskMethod::Elastic(config), 1..) => {
                let importance = progress.importance.as_ref();
                let importance = importance.expect("a task before has importance").clone();
                let labels = self.plan.labels(old_classes);
                let distiller =
                    ElasticDistiller::new(student, labels, importance, config.weight.clone());
                curriculum.run(stage, distiller, loaders)?;
            }
            _ => {
                let labels = self.plan.labels(old_classes);
                let distiller = OfflineDistiller::without_teacher(student, labels);
                curriculum.run(stage, distiller, loaders)?;
            }
        }
        Ok(())
    }

    fn remember_importance<N: Network<Input = S::Input>>(
        &self,
        task: usize,
        progress: &mut Progress<N>,
        device: &Device,
        loader: &impl Fn(usize, ReorderedClasses<S>) -> BatchLoader<ReorderedClasses<S>>,
    ) -> Result<(), TaskError> {
        let TaskMethod::Elastic(config) = &self.plan.method else {
            return Ok(());
        };
        // The last task needs no importance: nothing is learned after it.
        if task + 1 == self.samples.tasks.len() {
            return Ok(());
        }
        let network = &progress.network;
        let importance = progress.importance.take();
        let importance = importance.unwrap_or_else(|| ElasticWeights::new(network, [HEADS]));
        let loader = loader(task, self.samples.training(task));
        let loader = loader.device(&device.clone().autodiff());
        let information = config
            .fisher
            .compute(network, &loader, importance.skipped())?;
        importance.consolidate(network, information, config.decay);
        progress.importance = Some(importance);
        Ok(())
    }

    fn remember_exemplars<N: Network<Input = S::Input>>(
        &self,
        task: usize,
        progress: &mut Progress<N>,
        device: &Device,
    ) -> Result<(), TaskError> {
        let Some(exemplars) = &mut progress.exemplars else {
            return Ok(());
        };
        let columns = self.samples.tasks.columns(task);
        let count = exemplars.room_for(columns.len());
        let network = &progress.network;
        let chosen = columns.map(|class| {
            let samples = self.samples.train.of_classes(class..class + 1);
            let ids = samples.ids().to_vec();
            if ids.is_empty() {
                return Ok(ids);
            }
            let features = features(network, &network.tap, samples, device)?;
            let chosen = herding(features, count).into_iter();
            Ok::<_, DatasetError>(chosen.map(|at| ids[at]).collect())
        });
        let chosen: Vec<_> = chosen.collect::<Result<_, _>>()?;
        exemplars.add(chosen);
        Ok(())
    }

    /// Returns the mean features of each class so far, if the method predicts by them.
    fn means<N: Network<Input = S::Input>>(
        &self,
        progress: &Progress<N>,
        device: &Device,
    ) -> Result<Option<Tensor<2>>, TaskError> {
        let (TaskMethod::Icarl(_), Some(exemplars)) = (&self.plan.method, &progress.exemplars)
        else {
            return Ok(None);
        };
        let network = &progress.network;
        let means = exemplars.classes().iter().map(|ids| {
            let samples = self.samples.train.subset(ids.as_slice());
            match samples.is_empty() {
                // A class without samples has no direction, and is never the nearest.
                true => Ok(Tensor::zeros(
                    [1, network.features],
                    &device.clone().without_autodiff(),
                )),
                false => {
                    let features = features(network, &network.tap, samples, device)?;
                    Ok::<_, DatasetError>(mean_features(features))
                }
            }
        });
        let means: Vec<_> = means.collect::<Result<_, _>>()?;
        Ok(Some(Tensor::cat(means, 0)))
    }

    /// Returns the accuracies on every task so far, with and without knowledge of the task.
    fn rows<N: Network<Input = S::Input>>(
        &self,
        task: usize,
        network: &GrowingNetwork<N>,
        means: &Option<Tensor<2>>,
        device: &Device,
    ) -> Result<[Vec<f64>; 2], TaskError> {
        let of_task = |earlier: usize| {
            let columns = self.samples.tasks.columns(earlier);
            let samples = self.samples.test.of_classes(columns.clone());
            match means {
                None => accuracies(network, samples, columns, device),
                Some(means) => {
                    let nearest = NearestMeans::new(network.clone(), &network.tap, means.clone());
                    accuracies(&nearest, samples, columns, device)
                }
            }
        };
        let pairs = (0..=task).map(of_task).collect::<Result<Vec<_>, _>>();
        let pairs = pairs.map_err(|source| TaskError::Evaluation {
            task: task + 1,
            source,
        })?;
        let (aware, agnostic) = pairs.into_iter().map(|[a, b]| (a, b)).unzip();
        Ok([aware, agnostic])
    }
}
