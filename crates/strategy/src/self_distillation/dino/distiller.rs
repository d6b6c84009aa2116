use crate::DistillationOutput;
use crate::last_clock::LastClock;
use crate::self_distillation::SelfTeacher;
use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::{GradientsParams, ModuleOptimizer, MultiGradientsParams};
use burn::tensor::Tensor;
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use burn_distill_core::{Batch, Context, Knowledge, Network, Objective, Targets, Wanted};

/// Self-distillation between views, without labels (DINO): a network learns to say of every view of
/// a sample what a moving average of itself says of its other views.
///
/// ```text
/// loss = objective([student(x₁), …, student(x_V)], [teacher(x₁), …, teacher(x_G)])
/// ```
///
/// The teacher sees the first `globals` views, two at first, and the student sees all. The views may
/// be of different sizes: the first ones large crops, the others small ones. Each goes through the
/// networks on its own. The loader has to make them.
///
/// The student is a network with a head of many prototypes, [`DinoNetwork`](crate::DinoNetwork), and
/// the teacher a [`MeanTeacher`](crate::MeanTeacher) of it, whose decay the authors raise over the
/// training. They hold the prototypes still in the first epoch: no gradient reaches them then. Their
/// objective is a [`DinoObjective`](crate::DinoObjective).
///
/// Labels are not looked at. Figures are of the first view; there is no accuracy. In a validation there
/// is the agreement alone: views there are alike. It learns on one device.
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
///     let decay = ChangingWeight::Cosine { from: 0.996, to: 1.0, epochs };
///     let teacher = MeanTeacher::new(&student, decay).with_warm_up(false);
///     let device = student.devices()[0].clone();
///     let objective = DinoObjectiveConfig::new().init(4096, 1.0, &device);
///     DinoDistiller::new(student, teacher, objective)
/// }
/// ```
///
/// # Reference
///
/// M. Caron, H. Touvron, I. Misra, H. Jégou, J. Mairal, P. Bojanowski and A. Joulin, [Emerging
/// Properties in Self-Supervised Vision Transformers](https://arxiv.org/abs/2104.14294), ICCV 2021.
/// Agrees with `main_dino.py` of the authors' dino, except that views of one size go through the
/// network one after the other, which only batch normalization can tell.
#[doc(alias = "DINO")]
#[derive(Module, Debug)]
pub struct DinoDistiller<S, T, O> {
    /// The network that learns, head included.
    pub student: S,
    /// Its moving average.
    pub teacher: T,
    /// What compares the views.
    pub objective: O,
    /// How many views the teacher sees.
    pub globals: usize,
    /// Which parameters do not train before which epoch has passed.
    #[module(skip)]
    held: Option<(ParamGroup, usize)>,
    /// When the last step was: an optimizer is not told.
    #[module(skip)]
    clock: LastClock,
}

impl<S, T, O> DinoDistiller<S, T, O>
where
    S: Network,
    T: SelfTeacher<S>,
    O: Objective<Vec<Knowledge>, Vec<Knowledge>>,
{
    /// A network with a head, its average and what compares their views. The last layer of the head
    /// is held in the first epoch, and two views are for the teacher.
    pub fn new(student: S, teacher: T, objective: O) -> Self {
        let last = ParamGroup::from_predicate("student.head.last");
        Self {
            student,
            teacher,
            objective,
            globals: 2,
            held: Some((last, 1)),
            clock: LastClock::default(),
        }
    }

    /// Show the teacher so many views.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    pub fn with_globals(mut self, globals: usize) -> Self {
        assert!(globals > 0, "The teacher sees one view at least.");
        self.globals = globals;
        self
    }

    /// Hold these parameters for so many epochs: they have no gradient there, so that nothing moves
    /// them, weight decay included. Paths start at the distiller, as `student.head.last`.
    pub fn with_held(mut self, group: ParamGroup, epochs: usize) -> Self {
        self.held = Some((group, epochs));
        self
    }

    /// The loss of a batch, term by term, and the figures that metrics are made of.
    pub fn forward(&self, batch: &Batch<S::Input>) -> DistillationOutput {
        let Wanted {
            student, teacher, ..
        } = self.objective.wanted();
        let taught = self.views(batch, self.globals, |view| {
            let taught = self.teacher.teach(&self.student, &view, &teacher);
            taught.without_autodiff()
        });
        let student = self.views(batch, usize::MAX, |view| {
            let input = view.view().clone();
            self.student.forward_knowledge(input, &student)
        });
        let (targets, ids) = (&batch.targets, &batch.ids);
        let context = Context::new(&student, &taught, targets, ids, batch.clock);
        let terms = self.objective.forward(&context);
        let said = taught.first().map(|taught| &taught.response);
        DistillationOutput::new(terms, &student[0].response, said, &Targets::Unlabelled)
    }

    /// What is said of each of the first views.
    fn views(
        &self,
        batch: &Batch<S::Input>,
        count: usize,
        says: impl Fn(Batch<S::Input>) -> Knowledge,
    ) -> Vec<Knowledge> {
        let views = 0..batch.views.len().min(count);
        views.map(|view| says(batch.of_view(view))).collect()
    }

    /// The gradients without those of parameters that are held in that epoch.
    fn released(&self, mut gradients: GradientsParams, epoch: usize) -> GradientsParams {
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
}

impl<S, T, O> TrainStep for DinoDistiller<S, T, O>
where
    S: Network,
    T: SelfTeacher<S>,
    O: Objective<Vec<Knowledge>, Vec<Knowledge>>,
{
    type Input = Batch<S::Input>;
    type Output = DistillationOutput;

    fn step(&self, batch: Self::Input) -> TrainOutput<Self::Output> {
        let output = self.forward(&batch);
        self.clock.set(batch.clock);
        TrainOutput::new(self, output.loss.backward(), output)
    }

    fn optimize(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        let clock = self.clock.get();
        let gradients = self.released(gradients, clock.epoch);
        let mut stepped: Self = optimizer.step(rate, self, gradients);
        stepped.teacher = stepped.teacher.follow(&stepped.student, clock);
        stepped
    }

    fn optimize_multi(
        self,
        _optimizer: &mut ModuleOptimizer,
        _rate: ModuleLearningRate,
        _gradients: MultiGradientsParams,
    ) -> Self {
        panic!("A network that its own mean teaches learns on one device.")
    }
}

impl<S, T, O> InferenceStep for DinoDistiller<S, T, O>
where
    S: Network,
    T: SelfTeacher<S>,
    O: Objective<Vec<Knowledge>, Vec<Knowledge>>,
{
    type Input = Batch<S::Input>;
    type Output = DistillationOutput;

    fn step(&self, batch: Self::Input) -> Self::Output {
        // Views of a validation are not augmented: a loss between views that are alike, or of one view
        // alone, is not that of the training.
        self.forward(&batch).hiding_terms()
    }
}
