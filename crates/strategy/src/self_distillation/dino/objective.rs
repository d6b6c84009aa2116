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
    /// Softmax temperature of the student. Must be positive and finite. Default: `0.1`.
    #[config(default = 0.1)]
    pub student_temperature: f64,
    /// Softmax temperature of the teacher in the first epoch. Must be positive and finite. Default:
    /// `0.04`.
    #[config(default = 0.04)]
    pub first_temperature: f64,
    /// Softmax temperature of the teacher from the epoch `warm_up` on. Must be positive and finite.
    /// Default: `0.07`.
    #[config(default = 0.07)]
    pub teacher_temperature: f64,
    /// Number of epochs over which the temperature of the teacher rises, including the first and
    /// the last. Default: `30`.
    #[config(default = 30)]
    pub warm_up: usize,
    /// Momentum of the center per step. From 0 to 1. Default: `0.9`.
    #[config(default = 0.9)]
    pub momentum: f64,
}

impl DinoObjectiveConfig {
    /// Creates a [DINO objective](DinoObjective) for a number of prototypes.
    ///
    /// # Panics
    ///
    /// Panics if a temperature is not positive and finite, or if the momentum is not between 0 and
    /// 1.
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

/// The objective of DINO: the cross-entropy between the prototype distributions of student and
/// teacher for different views of a sample.
///
/// With `g` the logits of a network, `i` the views of the teacher and `j` those of the student,
///
/// ```text
/// qᵢ = softmax((g_T(i) − c) / τ_T)
/// L = mean over pairs i ≠ j of mean over samples of −Σₖ qᵢₖ log softmax(g_S(j) / τ_S)ₖ
/// c ← momentum · c + (1 − momentum) · mean over views and samples of g_T      after the loss
/// ```
///
/// Centering prevents one prototype from dominating, and the low temperature prevents a uniform
/// distribution: together they prevent a collapse. `τ_T` rises linearly over the first epochs. Half
/// precision is widened to single precision, also for sums over many prototypes. Without a pair of
/// views the loss is a connected zero. Without samples, the center does not change.
///
/// The knowledge of either side is a list with one entry per view, which
/// [`DinoDistiller`](crate::DinoDistiller) provides. The teacher is a constant: no gradient flows
/// to it. The center is part of the record. Every call updates it; a copy for validation has a
/// separate center.
///
/// # Reference
///
/// M. Caron, H. Touvron, I. Misra, H. Jégou, J. Mairal, P. Bojanowski and A. Joulin, [Emerging
/// Properties in Self-Supervised Vision Transformers](https://arxiv.org/abs/2104.14294), ICCV 2021.
/// Agrees with `DINOLoss` of the authors' dino, on one device.
#[doc(alias = "DINO")]
#[derive(Module, Debug)]
pub struct DinoObjective {
    /// Center that is subtracted from the logits of the teacher. Shape: `[1, prototypes]`.
    pub center: Buffer<Tensor<2>>,
    /// Softmax temperature of the student.
    pub student_temperature: f64,
    /// Softmax temperature of the teacher in the first epoch.
    pub first_temperature: f64,
    /// Softmax temperature of the teacher from the epoch `warm_up` on.
    pub teacher_temperature: f64,
    /// Number of epochs over which the temperature of the teacher rises.
    pub warm_up: usize,
    /// Momentum of the center per step.
    pub momentum: f64,
    /// Weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
}

impl DinoObjective {
    /// Name of the term.
    pub const TERM: &'static str = "dino";

    /// Returns the temperature of the teacher at a time.
    pub fn temperature(&self, clock: &Clock) -> f64 {
        if clock.epoch > self.warm_up {
            return self.teacher_temperature;
        }
        // The first epoch has the first temperature, and the epoch `warm_up` the last.
        let passed = (clock.epoch - 1) as f64 / (self.warm_up - 1).max(1) as f64;
        self.first_temperature + (self.teacher_temperature - self.first_temperature) * passed
    }

    /// Computes the loss of the views of a batch, and then updates the center.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, prototypes]` for each view, where the views of the teacher
    ///   are the first of those of the student
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
        let first = log_predictions
            .first()
            .expect("the student has at least one view");
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
        self.update_center(center, Tensor::cat(teacher, 0));
        match pairs.len() {
            0 => zero,
            _ => Tensor::cat(pairs, 0).mean(),
        }
    }

    /// Updates the center with the logits of the teacher for all views.
    fn update_center(&self, center: Tensor<2>, logits: Tensor<2>) {
        let now = as_precise_as(logits.mean_dim(0), &center);
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
        Terms::scheduled(Self::TERM, loss, &self.weight, &context.clock)
    }
}
