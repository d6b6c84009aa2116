use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, StageArtifacts, learner_model};
use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::{Tensor, assert_shape};
use burn_distill_core::{
    Batch, Buffer, Context, Knowledge, Network, Objective, TapSelection, Terms, WeightSchedule,
    parameter_vector,
};

/// Importance of the parameters of a network for the tasks that it has learned, and their values
/// after the last of them: elastic weight consolidation (EWC).
///
/// ```text
/// penalty = ½ Σ F (θ − θ*)²
/// F ← decay · F + (1 − decay) · F of the task        after each task
/// ```
///
/// where `θ*` are the parameters after the last task and `F` is their
/// [Fisher information](crate::FisherConfig), which is zero before the first task. Heads of tasks
/// are skipped: they are not shared by the tasks.
///
/// It is saved and restored with the module that contains it, and is never trained.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_architecture::NetworkConfig;
/// use burn_distill_core::parameter_vector;
/// use burn_distill_strategy::ElasticWeights;
///
/// let network = NetworkConfig::by_name("mlp-2")?.init([1, 1, 1], 2, &Device::default())?;
/// let weights = ElasticWeights::new(&network, ["heads"]);
///
/// let information = parameter_vector(&network, |_| false).ones_like();
/// weights.consolidate(&network, information, 0.5);
///
/// assert_eq!(weights.penalty(&network).into_scalar::<f32>(), 0.0);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// J. Kirkpatrick et al., [Overcoming catastrophic forgetting in neural
/// networks](https://arxiv.org/abs/1612.00796), PNAS 2017. Agrees with `ewc` of FACIL, whose `alpha`
/// of 0.5 is `decay`. The paper adds a penalty for each task.
#[doc(alias = "EWC")]
#[derive(Module, Debug)]
pub struct ElasticWeights {
    /// Importance of each parameter. Shape: `[parameters]`.
    pub importance: Buffer<Tensor<1>>,
    /// Values of the parameters after the last task. Shape: `[parameters]`.
    pub anchor: Buffer<Tensor<1>>,
    /// Parts of the network that are skipped, as paths of its modules.
    #[module(skip)]
    skipped: Vec<String>,
}

impl ElasticWeights {
    /// Creates the importance of a network that has learned no task, which is zero. `skipped` are
    /// the paths of the parts of the network whose parameters are free, such as `heads`.
    ///
    /// # Panics
    ///
    /// Panics if no parameters are left.
    pub fn new<N: Module>(
        network: &N,
        skipped: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let skipped: Vec<_> = skipped.into_iter().map(Into::into).collect();
        let parameters = vector(network, &skipped).without_autodiff();
        Self {
            importance: Buffer::new(parameters.zeros_like()),
            anchor: Buffer::new(parameters),
            skipped,
        }
    }

    /// Returns the paths of the parts that are skipped.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Adds the importance of the parameters for a task that the network has learned, and sets the
    /// values that it should keep.
    ///
    /// # Shapes
    ///
    /// - information: `[parameters]`, as [`FisherConfig::compute`](crate::FisherConfig::compute)
    ///   returns it
    ///
    /// # Panics
    ///
    /// Panics if the network has another number of parameters.
    pub fn consolidate<N: Module>(&self, network: &N, information: Tensor<1>, decay: f64) {
        let before = self.importance.get();
        let parameters = self.vector(network).without_autodiff();
        let [count] = parameters.dims();
        assert_shape!(information, [count]);
        let information = information
            .without_autodiff()
            .to_device(&before.device())
            .cast(parameters.dtype());
        let before = before.cast(parameters.dtype()).mul_scalar(decay);
        self.importance
            .set(before.add(information.mul_scalar(1.0 - decay)));
        self.anchor.set(parameters);
    }

    /// Computes the penalty for changes of important parameters. Shape of the output: `[1]`.
    ///
    /// # Panics
    ///
    /// Panics if the network has another number of parameters.
    pub fn penalty<N: Module>(&self, network: &N) -> Tensor<1> {
        let parameters = self.vector(network);
        let constant = |buffer: &Buffer<Tensor<1>>| buffer.get().cast(parameters.dtype());
        let change = parameters.clone().sub(constant(&self.anchor));
        let weighted = change.square().mul(constant(&self.importance));
        weighted.sum().mul_scalar(0.5)
    }

    /// Returns the parameters of a network that are not skipped.
    fn vector<N: Module>(&self, network: &N) -> Tensor<1> {
        let parameters = vector(network, &self.skipped);
        let [count] = self.anchor.get().dims();
        assert_eq!(
            parameters.dims(),
            [count],
            "The importance is of another number of parameters: skip the parts of the network that grow, \
             such as `heads`."
        );
        parameters
    }
}

fn vector<N: Module>(network: &N, skipped: &[String]) -> Tensor<1> {
    parameter_vector(network, |path| is_skipped(path, skipped))
}

/// Returns whether a parameter belongs to one of these parts of a network.
pub(super) fn is_skipped(path: &str, skipped: &[String]) -> bool {
    skipped.iter().any(|part| {
        let rest = path.strip_prefix(part.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// Training that keeps the parameters near those after earlier tasks, the more the more important
/// they are: elastic weight consolidation (EWC).
///
/// ```text
/// loss = objective(student(x), targets) + weight · ½ Σ F (θ − θ*)²
/// ```
///
/// It needs no teacher, and is the usual contrast to a distillation from the network before the
/// task. The term is named `elastic-weights`; the authors of FACIL give it a weight of 5000.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{GrowingNetworkConfig, NetworkConfig};
/// use burn_distill_core::NewClassCrossEntropy;
/// use burn_distill_strategy::{ElasticDistiller, ElasticWeights};
///
/// let device = Device::default().autodiff();
/// let body = NetworkConfig::by_name("convnet-4-8")?.init([1, 8, 8], 5, &device)?;
/// let trained = GrowingNetworkConfig::new().init(body).with_head(3);
/// let weights = ElasticWeights::new(&trained, ["heads"]);
/// // .. `weights.consolidate` with the Fisher information of the first task
///
/// let student = trained.with_head(2);
/// let distiller = ElasticDistiller::new(student, NewClassCrossEntropy::new(1.0, 3), weights, 5000.0);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// J. Kirkpatrick et al., [Overcoming catastrophic forgetting in neural
/// networks](https://arxiv.org/abs/1612.00796), PNAS 2017. Agrees with `ewc` of FACIL.
#[doc(alias = "EWC")]
#[derive(Module, Debug)]
pub struct ElasticDistiller<N, O> {
    /// Network that is trained.
    pub student: N,
    /// Training objective of the task.
    pub objective: O,
    /// Importance of the parameters for earlier tasks.
    pub weights: ElasticWeights,
    /// Weight of the penalty.
    #[module(skip)]
    pub weight: WeightSchedule,
    /// Taps that the objective needs.
    #[module(skip)]
    requirements: Resolved<TapSelection>,
}

impl<N, O> ElasticDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, ()>,
{
    /// Name of the term.
    pub const TERM: &'static str = "elastic-weights";

    /// Creates a distiller from a network, the objective of the new task, the importance of the
    /// parameters for earlier tasks and the weight of the penalty.
    ///
    /// # Panics
    ///
    /// Panics if the importance is of another number of parameters.
    pub fn new(
        student: N,
        objective: O,
        weights: ElasticWeights,
        weight: impl Into<WeightSchedule>,
    ) -> Self {
        weights.vector(&student);
        Self {
            student,
            objective,
            weights,
            weight: weight.into(),
            requirements: Resolved::default(),
        }
    }
}

impl<N, O> Distillation for ElasticDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, ()>,
{
    type Input = N::Input;

    fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
        let taps = self
            .requirements
            .get(|| self.objective.requirements().student);
        let student = self.student.forward_knowledge(batch.view().clone(), taps);
        let (targets, clock) = (&batch.targets, batch.clock);
        let context = Context::new(&student, &(), targets, &batch.ids, clock);
        let penalty = self.weights.penalty(&self.student);
        let terms = self.objective.forward(&context).and(Terms::one(
            Self::TERM,
            penalty,
            self.weight.at(&clock),
        ));
        DistillationOutput::new(terms, &student.response, None, targets)
    }
}

learner_model!([N, O] ElasticDistiller<N, O>);

/// The `student`, the `objective` and the `weights`.
impl<N: Module, O: Module> StageArtifacts for ElasticDistiller<N, O> {
    fn artifacts(&self) -> Vec<(String, ModuleRecord)> {
        vec![
            ("student".into(), self.student.valid().into_record()),
            ("objective".into(), self.objective.valid().into_record()),
            ("weights".into(), self.weights.valid().into_record()),
        ]
    }
}
