use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use burn_distill_core::numeric::{
    as_precise_as, at_least_f32, connected_zero, cross_entropy_rows, tempered_log_softmax,
};
use burn_distill_core::{
    Buffer, Check, Clock, ConfigError, Context, Knowledge, Objective, Requirements, Terms,
    WeightSchedule, check,
};

/// Configuration to create a [DINO objective](DinoObjective) using the
/// [init function](DinoObjectiveConfig::init).
#[derive(Config, Debug)]
pub struct DinoObjectiveConfig {
    /// What the logits of the student are divided by. Must be positive and finite. Default: `0.1`.
    #[config(default = 0.1)]
    pub student_temperature: f64,
    /// What the centered logits of the teacher are divided by in the first epoch. Must be positive and
    /// finite. Default: `0.04`.
    #[config(default = 0.04)]
    pub first_temperature: f64,
    /// The same from the epoch `warm_up` on. Must be positive and finite. Default: `0.07`.
    #[config(default = 0.07)]
    pub teacher_temperature: f64,
    /// The epochs over which the temperature of the teacher rises, the first and the last included.
    /// Default: `30`.
    #[config(default = 30)]
    pub warm_up: usize,
    /// How much of the center stays at each step. Between 0 and 1. Default: `0.9`.
    #[config(default = 0.9)]
    pub momentum: f64,
}

impl DinoObjectiveConfig {
    /// Initialize a [DINO objective](DinoObjective) of logits for so many prototypes.
    ///
    /// # Panics
    ///
    /// Panics if a temperature is not positive and finite, or if the momentum is not between 0 and 1.
    pub fn init(
        &self,
        prototypes: usize,
        weight: impl Into<WeightSchedule>,
        device: &Device,
    ) -> DinoObjective {
        self.assert_valid();
        let device = device.clone().without_autodiff();
        DinoObjective {
            center: Buffer::new(Tensor::zeros([1, prototypes], &device)),
            student_temperature: self.student_temperature,
            first_temperature: self.first_temperature,
            teacher_temperature: self.teacher_temperature,
            warm_up: self.warm_up,
            momentum: self.momentum,
            weight: weight.into(),
        }
    }
}

impl Check for DinoObjectiveConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("student_temperature", self.student_temperature)?;
        check::temperature("first_temperature", self.first_temperature)?;
        check::temperature("teacher_temperature", self.teacher_temperature)?;
        check::in_range("momentum", self.momentum, 0.0..=1.0)
    }
}

/// The objective of DINO: the student's view of a sample should be near to the prototypes that the
/// teacher's other view of it is near to.
///
/// With `g` the logits of a network, `i` the views of the teacher and `j` those of the student,
///
/// ```text
/// qᵢ = softmax((g_T(i) − c) / τ_T)
/// L = mean over pairs i ≠ j of mean over samples of −Σₖ qᵢₖ log softmax(g_S(j) / τ_S)ₖ
/// c ← momentum · c + (1 − momentum) · mean over views and samples of g_T      after the loss
/// ```
///
/// Centering keeps one prototype from taking all, and the low temperature keeps all from being alike:
/// together they prevent a collapse. `τ_T` rises in a straight line over the first epochs. Half
/// precision is widened to single, sums over many prototypes included. Without a pair of views the loss
/// is a connected zero; without a sample the center stays, too.
///
/// What either side says is a list, view by view: [`DinoDistiller`](crate::DinoDistiller) asks for
/// it. The teacher is a constant: no gradient flows to it. The center is part of the record; it moves
/// with every call, but that of a copy for validation moves on its own.
///
/// # Reference
///
/// M. Caron, H. Touvron, I. Misra, H. Jégou, J. Mairal, P. Bojanowski and A. Joulin, [Emerging
/// Properties in Self-Supervised Vision Transformers](https://arxiv.org/abs/2104.14294), ICCV 2021.
/// Agrees with `DINOLoss` of the authors' dino, on one device.
#[doc(alias = "DINO")]
#[derive(Module, Debug)]
pub struct DinoObjective {
    /// What the logits of the teacher are centered by. Shape: `[1, prototypes]`.
    pub center: Buffer<Tensor<2>>,
    /// What the logits of the student are divided by.
    pub student_temperature: f64,
    /// What those of the teacher are divided by in the first epoch.
    pub first_temperature: f64,
    /// The same from the epoch `warm_up` on.
    pub teacher_temperature: f64,
    /// The epochs over which it rises.
    pub warm_up: usize,
    /// How much of the center stays at each step.
    pub momentum: f64,
    /// The weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl DinoObjective {
    /// The name of its term.
    pub const TERM: &'static str = "dino";

    /// The temperature of the teacher at that time.
    pub fn temperature(&self, clock: &Clock) -> f64 {
        if clock.epoch > self.warm_up {
            return self.teacher_temperature;
        }
        // Both ends are epochs of their own.
        let passed = (clock.epoch - 1) as f64 / (self.warm_up - 1).max(1) as f64;
        self.first_temperature + (self.teacher_temperature - self.first_temperature) * passed
    }

    /// The loss of the views of a batch, after which the center moves.
    ///
    /// # Shapes
    ///
    /// - student, teacher: one `[batch_size, prototypes]` for each view, that of the teacher at its
    ///   place among those of the student
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the student has no view.
    pub fn loss(
        &self,
        student: Vec<Tensor<2>>,
        teacher: Vec<Tensor<2>>,
        temperature: f64,
    ) -> Tensor<1> {
        let log_predictions: Vec<_> = student
            .into_iter()
            .map(|logits| tempered_log_softmax(logits, self.student_temperature))
            .collect();
        let teacher: Vec<_> = teacher
            .into_iter()
            .map(|logits| at_least_f32(logits.without_autodiff()))
            .collect();
        let first = log_predictions.first().expect("a student has a view");
        let [batch_size, _] = first.dims();
        let zero = connected_zero(first.clone());
        if batch_size == 0 || teacher.is_empty() {
            return zero;
        }

        let center = self.center.get();
        let mut pairs = Vec::new();
        for (view, logits) in teacher.iter().enumerate() {
            let centered = logits.clone().sub(center.clone().cast(logits.dtype()));
            let target = softmax(centered.div_scalar(temperature), 1);
            for (other, log_prediction) in log_predictions.iter().enumerate() {
                if other != view {
                    let rows = cross_entropy_rows(target.clone(), log_prediction.clone());
                    pairs.push(rows.mean());
                }
            }
        }
        self.follow(center, Tensor::cat(teacher, 0));
        match pairs.len() {
            0 => zero,
            _ => Tensor::cat(pairs, 0).mean(),
        }
    }

    /// Move the center by what the teacher said of all its views.
    fn follow(&self, center: Tensor<2>, said: Tensor<2>) {
        let now = as_precise_as(said.mean_dim(0), &center);
        let center = as_precise_as(center, &now)
            .mul_scalar(self.momentum)
            .add(now.mul_scalar(1.0 - self.momentum));
        self.center.set(center);
    }
}

impl Objective<Vec<Knowledge>, Vec<Knowledge>> for DinoObjective {
    fn requirements(&self) -> Requirements {
        Requirements::responses()
    }

    fn forward(&self, context: &Context<'_, Vec<Knowledge>, Vec<Knowledge>>) -> Terms {
        let logits = |views: &[Knowledge]| {
            let logits = views.iter().map(|view| view.response.rows().logits);
            logits.collect::<Vec<_>>()
        };
        let (student, teacher) = (logits(context.student), logits(context.teacher));
        let loss = self.loss(student, teacher, self.temperature(&context.clock));
        Terms::one(Self::TERM, loss, self.weight.at(&context.clock))
    }
}
