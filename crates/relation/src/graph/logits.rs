use super::transport::sinkhorn_divergence;
use super::vertex::{assert_teachers, class_logits};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData, assert_shape};
use burn_distill_core::numeric::{as_precise_as, connected_zero, tempered_log_softmax};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, Input, Knowledge, LossEntry, LossTerm, NamedLoss,
    check, one_line_display,
};

/// Below it Sinkhorn's iteration is far from its end after the steps that it takes.
const LEAST_REGULARIZATION: f64 = 0.02;

/// Configuration to create a [logits graph loss](LogitsGraphLoss) using the [init
/// function](LogitsGraphLossConfig::init).
#[derive(Config, Debug)]
pub struct LogitsGraphLossConfig {
    /// What the logits of both sides are divided by. Must be positive and finite. Default: `1`.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Whether it is learned how much each teacher counts. Default: `false`: all count the same.
    #[config(default = false)]
    pub learned: bool,
    /// What it costs to move probability from one class to another: a row for each class. Must be
    /// symmetric, not negative and zero on the diagonal. Default: none, every other class is as far.
    #[config(default = "Vec::new()")]
    pub cost: Vec<Vec<f64>>,
    /// How much the transport under a `cost` is smoothed, as a part of the largest cost. Must be at
    /// least `0.02`, below which 50 steps are too few, and finite. Default: `0.05`.
    #[config(default = 0.05)]
    pub regularization: f64,
}

impl LogitsGraphLossConfig {
    /// Initialize a [logits graph loss](LogitsGraphLoss) for that many teachers.
    ///
    /// # Panics
    ///
    /// Panics if there is no teacher, or if a value is out of its range.
    pub fn init(&self, teachers: usize, device: &Device) -> LogitsGraphLoss {
        assert!(teachers > 0, "There should be a teacher.");
        self.assert_valid();
        let scores = self
            .learned
            .then(|| Param::from_tensor(Tensor::zeros([1, teachers], device)));
        LogitsGraphLoss {
            scores,
            cost: self.cost(device),
            teachers,
            temperature: self.temperature,
            regularization: self.regularization,
        }
    }

    /// The costs as parts of the largest.
    fn cost(&self, device: &Device) -> Option<TransportCost> {
        let rows = &self.cost;
        let classes = rows.len();
        if classes == 0 {
            return None;
        }
        let largest = rows.iter().flatten().copied().fold(0.0, f64::max);
        let relative = rows.iter().flatten().map(|cost| cost / largest);
        let relative = TensorData::new(relative.collect::<Vec<_>>(), [classes, classes]);
        Some(TransportCost {
            relative: Tensor::from_data(relative, device),
            largest,
        })
    }
}

impl Check for LogitsGraphLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::in_range(
            "regularization",
            self.regularization,
            LEAST_REGULARIZATION..=1e6,
        )?;
        check_cost(&self.cost)
    }
}

/// Checks that a matrix is symmetric, not negative and zero on its diagonal alone; empty is none.
fn check_cost(rows: &[Vec<f64>]) -> Result<(), ConfigError> {
    let classes = rows.len();
    for (from, row) in rows.iter().enumerate() {
        check::ensure(
            row.len() == classes,
            format_args!("cost.{from}"),
            format_args!("a row of {classes} numbers, one for each row"),
            format_args!("one of {}", row.len()),
        )?;
    }
    for (from, row) in rows.iter().enumerate() {
        for (to, &cost) in row.iter().enumerate() {
            let fits = match from == to {
                true => cost == 0.0,
                false => cost >= 0.0 && (cost as f32).is_finite() && cost == rows[to][from],
            };
            check::ensure(
                fits,
                format_args!("cost.{from}.{to}"),
                "finite, not negative, zero on the diagonal and equal in both directions",
                cost,
            )?;
        }
    }
    let zero = rows.iter().flatten().all(|&cost| cost == 0.0);
    check::ensure(
        classes == 0 || !zero,
        "cost",
        "above zero between some classes",
        "zero everywhere",
    )
}

/// What it costs to move probability between classes.
#[derive(Module, Debug)]
pub struct TransportCost {
    /// The costs as parts of the largest. Shape: `[num_classes, num_classes]`.
    pub relative: Tensor<2>,
    /// The largest cost.
    pub largest: f64,
}

/// Logits graph: the earth mover's distance of the student's distribution from that of each
/// teacher.
///
/// ```text
/// p  = softmax(student / temperature),  qᵐ = softmax(teacherᵐ / temperature)
/// a  = 1 / number of teachers, or learned: softmax(scores)
/// L  = mean over samples of Σₘ aᵐ EMD(p, qᵐ)
/// ```
///
/// Where every class is as far from every other, the distance is `½ Σ |p − q|`. Under a `cost` it is
/// computed by 50 steps of Sinkhorn's iteration in the logarithm, less what the smoothing adds, so
/// that it is zero where the two agree; the smoothing makes it slightly smaller than the exact
/// distance.
///
/// No gradient flows to the teachers; the scores train with the student, and move to the teachers
/// that are the easiest to follow. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::LogitsGraphLossConfig;
///
/// let device = Device::default();
/// let loss = LogitsGraphLossConfig::new().init(2, &device);
///
/// let logits = Tensor::<2>::ones([4, 3], &device);
/// let value = loss.forward(logits.clone(), vec![logits.clone(), logits]);
/// assert_eq!(value.into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// C. Zhang and Y. Peng, [Better and Faster: Knowledge Transfer from Multiple Self-supervised
/// Learning Tasks via Graph Distillation for Video
/// Classification](https://arxiv.org/abs/1804.10069), IJCAI 2018. There is no public code: this is
/// our interpretation. The paper has a graph on logits, matched by the earth mover's distance; the
/// distance between classes, the weights and the temperature are our choices.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LogitsGraphLoss {
    /// How much each teacher counts, before a softmax, if it is learned. Shape: `[1, teachers]`.
    pub scores: Option<Param<Tensor<2>>>,
    /// What it costs to move probability between classes, if not the same everywhere.
    pub cost: Option<TransportCost>,
    /// The number of teachers.
    pub teachers: usize,
    /// What the logits are divided by.
    pub temperature: f64,
    /// How much the transport under a cost is smoothed.
    pub regularization: f64,
}

one_line_display!(
    LogitsGraphLoss: teachers,
    learned = |loss| Some(&loss.scores.is_some()),
    temperature,
    regularization = |loss| loss.cost.as_ref().map(|_| &loss.regularization)
);

impl LogitsGraphLoss {
    /// The loss of a batch.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, num_classes]`
    /// - each teacher: `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is another one.
    pub fn forward(&self, student: Tensor<2>, teachers: Vec<Tensor<2>>) -> Tensor<1> {
        let [batch_size, num_classes] = student.dims();
        assert_teachers(batch_size, self.teachers, teachers.iter().cloned());
        if batch_size == 0 {
            return connected_zero(student);
        }
        let p = tempered_log_softmax(student, self.temperature).exp();
        let distances = teachers.into_iter().map(|teacher| {
            assert_shape!(teacher, [batch_size, num_classes]);
            let q = tempered_log_softmax(teacher.without_autodiff(), self.temperature).exp();
            self.distance(p.clone(), q).mean_dim(0)
        });
        let distances = Tensor::cat(distances.collect(), 1);
        match &self.scores {
            None => distances.mean(),
            Some(scores) => {
                let scores = as_precise_as(scores.val(), &distances);
                distances.mul(softmax(scores, 1)).sum()
            }
        }
    }

    /// The earth mover's distance of every row. Shape: `[batch_size, 1]`.
    fn distance(&self, p: Tensor<2>, q: Tensor<2>) -> Tensor<2> {
        let Some(cost) = &self.cost else {
            return p.sub(q).abs().sum_dim(1).div_scalar(2.0);
        };
        let [_, num_classes] = p.dims();
        let relative = as_precise_as(cost.relative.clone(), &p);
        assert_shape!(relative, [num_classes, num_classes]);
        sinkhorn_divergence(p, q, relative, self.regularization).mul_scalar(cost.largest)
    }
}

impl NamedLoss for LogitsGraphLoss {
    fn name(&self) -> &'static str {
        "logits-graph"
    }
}

impl LossTerm<Knowledge, Vec<Knowledge>> for LogitsGraphLoss {
    fn value(&self, context: &Context<'_, Knowledge, Vec<Knowledge>>) -> Tensor<1> {
        let student = class_logits(&context.student.response);
        let teachers = context.teacher.iter();
        let teachers = teachers.map(|teacher| class_logits(&teacher.response));
        self.forward(student, teachers.collect())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "logits-graph",
        abbreviation: "",
        about: "matches distributions of several teachers by a graph",
        kind: "relation",
        aliases: &[],
        reference: "Zhang and Peng, Better and Faster: Graph Distillation, IJCAI 2018 (our \
            interpretation)",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let contexts = builder.contexts();
        let config = builder.configure(LogitsGraphLossConfig::new())?;
        let (given, classes) = (config.cost.len(), contexts[0].classes()?);
        check::ensure(
            given == 0 || given == classes,
            "cost",
            format_args!("a matrix of the {classes} classes"),
            format_args!("one of {given}"),
        )?;
        let loss = config.init(contexts.len(), &contexts[0].device);
        builder.joint_term(loss)
    })
    .of_all_teachers()
}
