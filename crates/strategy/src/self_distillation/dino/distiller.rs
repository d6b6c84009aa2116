use crate::last_clock::LastClock;
use crate::resolved::Resolved;
use crate::self_distillation::SelfTeacher;
use crate::{Distillation, DistillationOutput, learner_model};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamGroup};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::tensor::Tensor;
use burn::train::TrainOutput;
use burn_distill_core::{
    Batch, Clock, Context, Input, Knowledge, Network, Objective, Requirements, Targets,
    WeightSchedule,
};

/// Self-distillation with no labels (DINO): the predictions of a network for each view of a sample
/// should match those of its moving average for the other views.
///
/// ```text
/// loss = objective([student(x₁), …, student(x_V)], [teacher(x₁), …, teacher(x_G)])
/// ```
///
/// The teacher processes the first `global_views` views, by default two, and the student processes all
/// views. The views may have different sizes: large crops first, then small ones. Consecutive views
/// of one size pass through a network together, so that batch normalization treats them as one
/// batch. The loader creates the views, with `MultiCrop` of burn-distill-data for example.
///
/// The student is a network with a head of many prototypes, [`DinoNetwork`](crate::DinoNetwork).
/// The teacher is a [`MeanTeacher`](crate::MeanTeacher) of it, [in training
/// mode](crate::MeanTeacher::with_training_mode) in the authors' code, whose decay rises over the
/// training. The objective is a [`DinoObjective`](crate::DinoObjective).
///
/// The authors freeze the prototypes in the first epoch: they have no gradient, and the optimizer
/// skips them. They raise the weight decay by half a cosine, as
/// [`with_weight_decay`](Self::with_weight_decay) does, and do not apply it to biases and other
/// one-dimensional parameters.
///
/// Labels are not used. Metrics are of the first view, without an accuracy. In a validation, whose
/// views are not augmented, only the agreement is shown. It trains on one device.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn_distill_core::{ChangingWeight, Network};
/// use burn_distill_strategy::{
///     DinoDistiller, DinoHeadConfig, DinoNetwork, DinoObjective, DinoObjectiveConfig, MeanTeacher,
/// };
///
/// type Teacher<N> = MeanTeacher<DinoNetwork<N>>;
///
/// fn dino<N: Network>(
///     backbone: N,
///     epochs: usize,
/// ) -> DinoDistiller<DinoNetwork<N>, Teacher<N>, DinoObjective> {
///     let head = DinoHeadConfig::new().with_d_output(4096);
///     let student = head.init_network(backbone, "pool");
///     let cosine = |from, to| ChangingWeight::Cosine { from, to, epochs };
///     let teacher = MeanTeacher::new(&student, cosine(0.996, 1.0))
///         .with_warm_up(false)
///         .with_training_mode(true);
///     let device = student.devices()[0].clone();
///     let objective = DinoObjectiveConfig::new().init(4096, 1.0, &device);
///     DinoDistiller::new(student, teacher, objective).with_weight_decay(cosine(0.04, 0.4))
/// }
/// ```
///
/// # Reference
///
/// M. Caron, H. Touvron, I. Misra, H. Jégou, J. Mairal, P. Bojanowski and A. Joulin, [Emerging
/// Properties in Self-Supervised Vision Transformers](https://arxiv.org/abs/2104.14294), ICCV 2021.
/// Agrees with `main_dino.py` of the authors' dino.
#[doc(alias = "DINO")]
#[derive(Module, Debug)]
pub struct DinoDistiller<S, T, O> {
    /// Network that is trained, with its head.
    pub student: S,
    /// Moving average of the network.
    pub teacher: T,
    /// Objective that compares the views.
    pub objective: O,
    /// Number of views that the teacher processes.
    pub global_views: usize,
    /// Parameters that are frozen at first, and the number of epochs.
    #[module(skip)]
    held: Option<(ParamGroup, usize)>,
    /// Decoupled weight decay of all parameters except one-dimensional ones.
    #[module(skip)]
    weight_decay: Option<WeightSchedule>,
    /// Clock of the last batch, for the step of the optimizer.
    #[module(skip)]
    clock: LastClock,
    /// Requirements of the objective.
    #[module(skip)]
    requirements: Resolved<Requirements>,
}

impl<S, T, O> DinoDistiller<S, T, O>
where
    S: Network,
    T: SelfTeacher<S>,
    O: Objective<Vec<Knowledge>, Vec<Knowledge>>,
{
    /// Creates a distiller from a network with a head, its moving average and the objective. The
    /// last layer of the head is frozen in the first epoch, and the teacher processes two views.
    pub fn new(student: S, teacher: T, objective: O) -> Self {
        let last = ParamGroup::from_predicate("student.head.last");
        Self {
            student,
            teacher,
            objective,
            global_views: 2,
            held: Some((last, 1)),
            weight_decay: None,
            clock: LastClock::default(),
            requirements: Resolved::default(),
        }
    }

    /// Sets the number of views that the teacher processes. Default: 2.
    ///
    /// # Panics
    ///
    /// Panics if it is 0.
    pub fn with_global_views(mut self, global_views: usize) -> Self {
        assert!(
            global_views > 0,
            "The teacher needs at least 1 view, but got 0."
        );
        self.global_views = global_views;
        self
    }

    /// Sets the parameters that are frozen in the first epochs, and the number of epochs. They have
    /// no gradient, so that neither the optimizer nor weight decay changes them. Paths start at the
    /// distiller, as in `student.head.last`. Default: the last layer of the head, for one epoch.
    pub fn with_frozen(mut self, group: ParamGroup, epochs: usize) -> Self {
        self.held = Some((group, epochs));
        self
    }

    /// Sets a decoupled weight decay that changes over time: before each step,
    ///
    /// ```text
    /// parameter ← (1 − rate · weight_decay(time)) · parameter
    /// ```
    ///
    /// for every parameter that has a gradient and more than one dimension, which excludes biases,
    /// the scales of normalizations and frozen parameters. The weight decay of the optimizer must
    /// then be 0. The authors raise it from 0.04 to 0.4 by half a cosine. Default: none.
    ///
    /// # Panics
    ///
    /// Panics if the weight decay is negative or not finite at the start.
    pub fn with_weight_decay(mut self, weight_decay: impl Into<WeightSchedule>) -> Self {
        let weight_decay = weight_decay.into();
        let start = weight_decay.at(&Clock::start());
        assert!(
            start >= 0.0 && start.is_finite(), // This also rejects NaN
            "Weight decay of DINO must be finite and not negative, got {start}."
        );
        self.weight_decay = Some(weight_decay);
        self
    }

    /// Returns the knowledge of a network about each of the first `count` views. Consecutive views
    /// of one size are computed in one pass.
    fn views(
        &self,
        batch: &Batch<S::Input>,
        count: usize,
        forward: impl Fn(Batch<S::Input>) -> Knowledge,
    ) -> Vec<Knowledge> {
        let views = &batch.views[..batch.views.len().min(count)];
        let samples = batch.len();
        let mut all = Vec::with_capacity(views.len());
        for views in views.chunk_by(same_size) {
            let knowledge = forward(Batch {
                views: vec![S::Input::concat(views.to_vec())],
                targets: Targets::Unlabeled,
                ids: batch.ids.repeat(views.len()),
                clock: batch.clock,
            });
            all.extend(match views.len() {
                1 => vec![knowledge],
                count => (0..count)
                    .map(|view| knowledge.of_samples(view * samples..(view + 1) * samples))
                    .collect(),
            });
        }
        all
    }

    /// Returns the gradients without those of parameters that are frozen in an epoch.
    fn without_held(&self, mut gradients: GradientsParams, epoch: usize) -> GradientsParams {
        if let Some((group, epochs)) = &self.held
            && epoch <= *epochs
        {
            self.visit(&mut Hold {
                group,
                gradients: &mut gradients,
                path: Vec::new(),
            });
        }
        gradients
    }

    /// Applies the weight decay of a step.
    fn decayed(self, rate: &ModuleLearningRate, gradients: &GradientsParams, clock: Clock) -> Self {
        let Some(weight_decay) = self.weight_decay.as_ref().map(|decay| decay.at(&clock)) else {
            return self;
        };
        self.map(&mut Decay {
            rate,
            gradients,
            weight_decay,
            path: Vec::new(),
        })
    }
}

/// Returns whether two views have the same size and can pass through a network together.
fn same_size<I: Input>(a: &I, b: &I) -> bool {
    let shape = a.sample_shape();
    shape.is_some() && shape == b.sample_shape()
}

/// A visitor that removes the gradients of the parameters of a group.
struct Hold<'a> {
    group: &'a ParamGroup,
    gradients: &'a mut GradientsParams,
    path: Vec<String>,
}

impl ModuleVisitor for Hold<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if self.group.matches(&param.id, Some(&path)) {
            self.gradients.remove::<D>(param.id);
        }
    }
}

/// A mapper that applies weight decay to the parameters with more than one dimension and a
/// gradient.
struct Decay<'a> {
    rate: &'a ModuleLearningRate,
    gradients: &'a GradientsParams,
    weight_decay: f64,
    path: Vec<String>,
}

impl ModuleMapper for Decay<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D < 2 || self.gradients.get::<D>(param.id).is_none() {
            return param;
        }
        let rate = self
            .rate
            .lr_from_param(param.id, Some(&self.path.join(".")));
        let kept = 1.0 - rate * self.weight_decay;
        param.map(|tensor| {
            let trains = tensor.is_require_grad();
            let shrunk = tensor.detach().mul_scalar(kept);
            shrunk.detach().set_require_grad(trains)
        })
    }
}

impl<S, T, O> Distillation for DinoDistiller<S, T, O>
where
    S: Network,
    T: SelfTeacher<S>,
    O: Objective<Vec<Knowledge>, Vec<Knowledge>>,
{
    type Input = S::Input;

    fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        let Requirements {
            student, teacher, ..
        } = self.requirements.get(|| self.objective.requirements());
        let teacher_views = self.views(batch, self.global_views, |view| {
            let target = self.teacher.teach(&self.student, &view, teacher);
            target.without_autodiff()
        });
        let student = self.views(batch, usize::MAX, |view| {
            let input = view.view().clone();
            self.student.forward_knowledge(input, student)
        });
        let (targets, ids) = (&batch.targets, &batch.ids);
        let context = Context::new(&student, &teacher_views, targets, ids, batch.clock);
        let terms = self.objective.forward(&context);
        let teacher = teacher_views.first().map(|target| &target.response);
        DistillationOutput::new(terms, &student[0].response, teacher, &Targets::Unlabeled)
    }

    fn training_step(&self, batch: Batch<S::Input>) -> TrainOutput<DistillationOutput> {
        let output = self.forward(&batch);
        self.clock.set(batch.clock);
        TrainOutput::new(self, output.loss.backward(), output)
    }

    fn validation_step(&self, batch: Batch<S::Input>) -> DistillationOutput {
        // Views of a validation are not augmented: a loss between equal views, or of a single view,
        // does not compare with that of the training.
        self.forward(&batch).hiding_terms()
    }

    fn optimizer_step(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let clock = self.clock.get();
        let gradients = self.without_held(gradients, clock.epoch);
        let decayed = self.decayed(&rate, &gradients, clock);
        let mut stepped: Self = optimizer.step(rate, decayed, gradients);
        stepped.teacher = stepped.teacher.update(&stepped.student, clock);
        stepped
    }

    fn optimizer_step_multi(
        self,
        _optimizer: &mut ModuleOptimizer,
        _rate: ModuleLearningRate,
        _gradients: MultiGradientsParams,
    ) -> Self {
        panic!("DINO trains on one device: use one device.")
    }
}

learner_model!([S, T, O] DinoDistiller<S, T, O>);
