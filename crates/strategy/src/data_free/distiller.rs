use super::clip_norm::clip_global_norm;
use super::{GeneratorContext, GeneratorObjective, Latents};
use crate::mutual::peers::lock;
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, RecordedAdam, learner_model};
use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::tensor::{DType, Tensor};
use burn::train::TrainOutput;
use burn_distill_architecture::Generator;
use burn_distill_core::{
    Batch, Check, Clock, ConfigError, Context, Frozen, Knowledge, Network, Objective, TapSelection,
    Targets, Teacher, Terms, WeightSchedule, check, initialize,
};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::sync::{Arc, Mutex};

/// The order in which generator and student step in a pseudo batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum GeneratorOrder {
    /// Steps of the generator, then steps of the student on images that the generator makes anew of
    /// the same latent vectors, as in ZSKT.
    Turns {
        /// Number of steps of the generator. At least 1.
        generator_steps: usize,
        /// Number of steps of the student. At least 1.
        student_steps: usize,
    },
    /// One step of each, with the gradients of the same images, as in DAFL.
    Together {},
}

impl GeneratorOrder {
    fn steps(&self) -> [usize; 2] {
        match *self {
            Self::Turns {
                generator_steps,
                student_steps,
            } => [generator_steps, student_steps],
            Self::Together {} => [1, 1],
        }
    }
}

/// Configuration to create a [`DataFreeDistiller`] using the [init
/// function](DataFreeDistillerConfig::init). The defaults are those of ZSKT.
#[derive(Config, Debug)]
pub struct DataFreeDistillerConfig {
    /// Number of images in a pseudo batch. From 2 to 65,536. Default: `128`.
    #[config(default = 128)]
    pub batch_size: usize,
    /// Order of the steps. Default: one step of the generator, then ten of the student.
    #[config(default = "GeneratorOrder::Turns { generator_steps: 1, student_steps: 10 }")]
    pub order: GeneratorOrder,
    /// Learning rate of the generator, whose optimizer is Adam. At most 1000. Default: `1e-3`; ZSKT
    /// lets it fall to zero by a [cosine](burn_distill_core::ChangingWeight::Cosine).
    #[config(default = "WeightSchedule::Constant(1e-3)")]
    pub learning_rate: WeightSchedule,
    /// Maximum L2 norm of the gradient of all parameters of the generator together, and likewise of
    /// the student. Must be positive. Default: `Some(5.0)`.
    #[config(default = "Some(5.0)")]
    pub clip_norm: Option<f64>,
    /// Seed of the latent vectors. Default: `0`.
    #[config(default = 0)]
    pub seed: u64,
}

/// Largest numbers of images and steps, which are surely a mistake beyond.
const LARGEST: usize = 1 << 16;

impl DataFreeDistillerConfig {
    /// Creates a distiller from a student, its teacher, a generator, and the objectives of
    /// generator and student.
    ///
    /// # Panics
    ///
    /// Panics if a value of the configuration is out of its range, or if the objective of the
    /// student needs several views.
    pub fn init<S, N, G, C, O>(
        &self,
        (student, teacher): (S, N),
        (generator, generator_objective): (G, C),
        objective: O,
    ) -> DataFreeDistiller<S, N, G, C, O>
    where
        S: Network<Input: From<Tensor<4>>>,
        N: Network<Input = S::Input>,
        G: Generator,
        C: GeneratorObjective,
        O: Objective,
    {
        self.assert_valid();
        let views = objective.requirements().views;
        assert!(
            views == 1,
            "An image of a generator has one view, but the objective of the student needs {views}: \
             give an objective of one view."
        );
        let generator = initialize(generator);
        DataFreeDistiller {
            // A copy of a network that is not initialized would share lazy parameters with it.
            student: initialize(student),
            teacher: Frozen::new(initialize(teacher)),
            adam: RecordedAdam::new(&generator, 1e-3, 0.0),
            generator,
            generator_objective,
            objective,
            latents: Latents::Drawn { seed: self.seed },
            config: self.clone(),
            pending: Arc::default(),
            requirements: Resolved::default(),
        }
    }
}

impl Check for DataFreeDistillerConfig {
    fn check(&self) -> Result<(), ConfigError> {
        // Normalization by the statistics of a batch needs more than one image.
        check::count_in("batch_size", self.batch_size, 2..=LARGEST)?;
        let [generator, student] = self.order.steps();
        check::count_in("generator_steps", generator, 1..=LARGEST)?;
        check::count_in("student_steps", student, 1..=LARGEST)?;
        self.learning_rate
            .check()
            .map_err(|error| error.under("learning_rate"))?;
        match self.clip_norm {
            Some(norm) => check::positive("clip_norm", norm),
            None => Ok(()),
        }
    }
}

/// Distillation without data: a student learns from a trained teacher on images of a generator,
/// which is trained at the same time. It never sees a sample.
///
/// In every pseudo batch, of latent vectors `z`,
///
/// ```text
/// generator:  generator objective(images, teacher(images), student(images))     step: Adam
/// student:    objective(student(images), teacher(images)),   images = G(z)      step: optimizer
/// ```
///
/// in the [order](GeneratorOrder) of zero-shot knowledge transfer (ZSKT) or of data-free learning
/// (DAFL). The [objective of the generator](GeneratorObjective) is a
/// [`DisagreementObjective`](crate::DisagreementObjective) or a
/// [`TeacherLikeObjective`](crate::TeacherLikeObjective).
///
/// | Network | Mode | Changes |
/// | --- | --- | --- |
/// | teacher | validation: stored statistics | nothing; gradients only flow through it to the images |
/// | student | training, also in the steps of the generator that use it | weights in its own steps, running statistics in every pass |
/// | generator | training, whenever it makes images | weights in its own steps, running statistics in every pass |
///
/// The images of the steps of the student are constants. The teacher computes them once per pseudo
/// batch, since its images are the same in all steps of the student: batch normalization in training
/// does not depend on running statistics.
///
/// # Batches
///
/// Train it with a loader of [`PseudoBatches`](crate::PseudoBatches), which holds no samples. A
/// training step reads only the clock of its batch, and so does not use a view or a target even if
/// there is one. A validation step computes the objective on the samples of its batch, for which a
/// loader of real images serves: it is an evaluation and changes nothing.
///
/// Values of a step are those of its first step of each side, before the update; those of the
/// generator are shown with the prefix `generator`, as in `generator disagreement`, and are not
/// part of the loss. The loss of a validation has no such values.
///
/// # State
///
/// The record holds the student, its objective, the generator and its moments. The latent vectors
/// depend on the seed and the clock only, so that a resumed training equals an uninterrupted one.
/// There must be a step of the optimizer for each batch: neither gradient accumulation nor several
/// devices are possible.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{ImageGeneratorConfig, NetworkConfig};
/// use burn_distill_response::{ResponseObjective, SoftTargetLossConfig};
/// use burn_distill_strategy::{DataFreeDistillerConfig, DisagreementObjectiveConfig};
///
/// let device = Device::default().autodiff();
/// let network = |name| NetworkConfig::by_name(name)?.init([1, 8, 8], 10, &device);
/// let (student, teacher) = (network("convnet-4-8")?, network("convnet-8-16")?);
/// let generator = ImageGeneratorConfig::new([1, 8, 8]).with_width(16).init(&device);
/// let soft = SoftTargetLossConfig::new().with_temperature(1.0).init();
///
/// let distiller = DataFreeDistillerConfig::new().with_batch_size(32).init(
///     (student, teacher),
///     (generator, DisagreementObjectiveConfig::new().init()),
///     ResponseObjective::new(soft, 1.0),
/// );
/// assert_eq!(distiller.generator.image, [1, 8, 8]);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// P. Micaelli and A. Storkey, [Zero-shot Knowledge Transfer via Adversarial Belief
/// Matching](https://arxiv.org/abs/1905.09768), NeurIPS 2019; agrees with the authors'
/// ZeroShotKnowledgeTransfer. H. Chen et al., [Data-Free Learning of Student
/// Networks](https://arxiv.org/abs/1904.01186), ICCV 2019; after the authors' `DAFL-train.py`.
#[doc(alias = "ZSKT")]
#[doc(alias = "DAFL")]
#[derive(Module, Debug)]
pub struct DataFreeDistiller<S: Network, N: Network, G: Generator, C, O> {
    /// Student, which is trained and then deployed.
    pub student: S,
    /// Teacher, which is not trained.
    pub teacher: Frozen<N>,
    /// Generator of the images.
    pub generator: G,
    /// Objective of the generator.
    pub generator_objective: C,
    /// Objective of the student.
    pub objective: O,
    /// Optimizer of the generator. Its rate is that of the configuration.
    pub adam: RecordedAdam,
    /// Source of the latent vectors.
    #[module(skip)]
    latents: Latents,
    #[module(skip)]
    config: DataFreeDistillerConfig,
    /// State between the backward pass of the first step of the student and the optimizer.
    #[module(skip)]
    pending: Arc<Mutex<Option<Pending>>>,
    /// Selected taps.
    #[module(skip)]
    requirements: Resolved<SelectedTaps>,
}

/// A pseudo batch whose student has yet to step.
#[derive(Debug)]
struct Pending {
    /// Generator after its steps. Its type is erased, because a derived module has no generic type
    /// in both a module and a skipped field.
    generator: Box<dyn Any + Send>,
    latents: Tensor<2>,
    /// Output of the teacher for the images of the student.
    teacher: Knowledge,
    clock: Clock,
}

/// The selected taps of both networks.
#[derive(Clone, Debug)]
struct SelectedTaps {
    /// Taps of the student for the objective of the generator.
    of_generator: TapSelection,
    /// Taps of the student for its objective.
    of_student: TapSelection,
    /// Taps of the teacher for both objectives.
    of_teacher: TapSelection,
}

impl<S, N, G, C, O> DataFreeDistiller<S, N, G, C, O>
where
    S: Network<Input: From<Tensor<4>>>,
    N: Network<Input = S::Input>,
    G: Generator,
    C: GeneratorObjective,
    O: Objective,
{
    /// Sets the source of the latent vectors, such as [given](Latents::Given) ones. Default: drawn
    /// with the seed of the configuration.
    pub fn with_latents(mut self, latents: Latents) -> Self {
        self.latents = latents;
        self
    }

    fn requirements(&self) -> &SelectedTaps {
        self.requirements.get(|| {
            let generator = self.generator_objective.requirements();
            let student = self.objective.requirements();
            SelectedTaps {
                of_generator: generator.student,
                of_student: student.student,
                of_teacher: generator.teacher.union(student.teacher),
            }
        })
    }

    /// Returns the latent vectors of a pseudo batch.
    fn latents(&self, clock: &Clock) -> Tensor<2> {
        let device = self.generator.devices().first().cloned();
        let shape = [self.config.batch_size, self.generator.latents()];
        let place = (&device.unwrap_or_default(), precision_of(&self.generator));
        self.latents.at(clock, shape, place)
    }

    /// Computes the loss of the generator for its images, and the output of the teacher.
    fn judge(&self, images: &Tensor<4>, clock: Clock) -> (Terms, Knowledge) {
        let taps = self.requirements();
        let input = S::Input::from(images.clone());
        let uses_student = self.generator_objective.uses_student();
        let student = uses_student.then(|| {
            let input = input.clone();
            self.student.forward_knowledge(input, &taps.of_generator)
        });
        let teacher = self
            .teacher
            .forward_with_input_gradients(input, &taps.of_teacher);
        let mut context = GeneratorContext::new(images, &teacher).with_clock(clock);
        context.student = student.as_ref();
        (self.generator_objective.forward(&context), teacher)
    }

    /// Computes the loss of the student on constant images.
    fn learn(&self, images: Tensor<4>, teacher: &Knowledge, clock: Clock) -> (Terms, Knowledge) {
        let taps = &self.requirements().of_student;
        let student = self.student.forward_knowledge(images.into(), taps);
        let context = Context::new(&student, teacher, &Targets::Unlabeled, &[], clock);
        (self.objective.forward(&context), student)
    }

    /// Computes the gradients of the student and its objective.
    fn student_gradients(&self, loss: &Tensor<1>) -> GradientsParams {
        let gradients = GradientsParams::from_grads(loss.backward(), self);
        self.clipped(gradients, self)
    }

    fn clipped<M: Module>(&self, gradients: GradientsParams, module: &M) -> GradientsParams {
        match self.config.clip_norm {
            Some(norm) => clip_global_norm(gradients, module, norm),
            None => gradients,
        }
    }
}

/// Returns the images as constants on autodiff, so that the student is in training mode.
fn constant(images: Tensor<4>) -> Tensor<4> {
    Tensor::from_inner(images.without_autodiff())
}

/// Returns the precision of the first parameter of a module.
fn precision_of<M: Module>(module: &M) -> DType {
    struct First(Option<DType>);

    impl ModuleVisitor for First {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.get_or_insert_with(|| param.val().dtype());
        }
    }

    let mut first = First(None);
    module.visit(&mut first);
    first.0.unwrap_or(DType::F32)
}

/// Returns the terms of the generator as values that are only shown.
fn shown(terms: Terms) -> Terms {
    let each = terms.into_iter().map(|term| {
        let name = format!("generator {}", term.name);
        Terms::shown(name, term.value)
    });
    each.fold(Terms::default(), Terms::and)
}

impl<S, N, G, C, O> Distillation for DataFreeDistiller<S, N, G, C, O>
where
    S: Network<Input: From<Tensor<4>>>,
    N: Network<Input = S::Input>,
    G: Generator,
    C: GeneratorObjective,
    O: Objective,
{
    type Input = S::Input;

    fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        let taps = self.requirements();
        let teacher = self.teacher.teach(batch, &taps.of_teacher);
        let input = batch.view().clone();
        let student = self.student.forward_knowledge(input, &taps.of_student);
        let Batch {
            targets,
            ids,
            clock,
            ..
        } = batch;
        let context = Context::new(&student, &teacher, targets, ids, *clock);
        let terms = self.objective.forward(&context);
        DistillationOutput::new(terms, &student.response, Some(&teacher.response), targets)
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        // Only the clock: nothing else of the batch may reach a network.
        let Batch { clock, .. } = batch;
        let latents = self.latents(&clock);
        let rate = self.config.learning_rate.at(&clock);
        let [generator_steps, _] = self.config.order.steps();

        let mut generator = self.generator.clone();
        let mut of_generator = None;
        let mut judged = None;
        for _ in 0..generator_steps {
            let images = generator.generate(latents.clone());
            let (terms, teacher) = self.judge(&images, clock);
            let gradients = GradientsParams::from_grads(terms.total().backward(), &generator);
            let gradients = self.clipped(gradients, &generator);
            generator = self.adam.step_at(rate, generator, &gradients);
            of_generator.get_or_insert_with(|| shown(terms));
            judged = Some((constant(images), teacher.without_autodiff()));
        }
        let (images, teacher) = match (self.config.order, judged) {
            (GeneratorOrder::Together {}, Some(judged)) => judged,
            _ => {
                let images = constant(generator.generate(latents.clone()));
                let taps = &self.requirements().of_teacher;
                let input = S::Input::from(images.clone().without_autodiff());
                let teacher = self.teacher.forward_with_input_gradients(input, taps);
                (images, teacher)
            }
        };

        let (terms, student) = self.learn(images, &teacher, clock);
        let response = Some(&teacher.response);
        let output =
            DistillationOutput::new(terms, &student.response, response, &Targets::Unlabeled)
                .showing(of_generator.unwrap_or_default());
        let grads = self.student_gradients(&output.loss);
        let waiting = lock(&self.pending).replace(Pending {
            generator: Box::new(generator),
            latents,
            teacher,
            clock,
        });
        assert!(
            waiting.is_none(),
            "A training without data needs a step of the optimizer for each batch: train without \
             gradient accumulation."
        );
        TrainOutput {
            grads,
            item: output,
        }
    }

    fn optimizer_step(
        mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let pending = lock(&self.pending).take();
        let Some(pending) = pending else {
            return optimizer.step(rate, self, gradients);
        };
        let stepped = pending.generator.downcast::<G>();
        self.generator = *stepped.expect("A step keeps the type of its generator.");
        self = optimizer.step(rate.clone(), self, gradients);
        let [_, student_steps] = self.config.order.steps();
        for _ in 1..student_steps {
            let images = constant(self.generator.generate(pending.latents.clone()));
            let (terms, _) = self.learn(images, &pending.teacher, pending.clock);
            let gradients = self.student_gradients(&terms.total());
            self = optimizer.step(rate.clone(), self, gradients);
        }
        self
    }

    fn optimizer_step_multi(
        self,
        _optimizer: &mut ModuleOptimizer,
        _rate: ModuleLearningRate,
        _gradients: MultiGradientsParams,
    ) -> Self {
        panic!("A training without data runs on one device: use one device.")
    }
}

learner_model!([S: Network, N: Network, G: Generator, C, O] DataFreeDistiller<S, N, G, C, O>);
