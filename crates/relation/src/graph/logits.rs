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

/// Minimum regularization; with less, Sinkhorn's iteration does not converge in the steps it takes.
const MIN_REGULARIZATION: f64 = 0.02;

/// Configuration to create a [logits graph loss](LogitsGraphLoss) using the [init
/// function](LogitsGraphLossConfig::init).
#[derive(Config, Debug)]
pub struct LogitsGraphLossConfig {
    /// Softmax temperature of student and teachers. Must be positive and finite. Default: `1`.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Whether the weights of the teachers are learned. Default: `false`, equal weights.
    #[config(default = false)]
    pub learned: bool,
    /// Cost of moving probability from one class to another, one row per class. Must be symmetric,
    /// not negative and zero on the diagonal. Default: empty, the same cost between all classes.
    #[config(default = "Vec::new()")]
    pub cost: Vec<Vec<f64>>,
    /// Entropic regularization of the transport under a `cost`, as a share of the largest cost.
    /// Must be finite and at least `0.02`, below which 50 steps are too few. Default: `0.05`.
    #[config(default = 0.05)]
    pub regularization: f64,
}

impl LogitsGraphLossConfig {
    /// Creates a [logits graph loss](LogitsGraphLoss) for a number of teachers.
    ///
    /// # Panics
    ///
    /// Panics if `teachers` is zero, or if a value is out of its range.
    pub fn init(&self, teachers: usize, device: &Device) -> LogitsGraphLoss {
        assert!(
            teachers > 0,
            "The number of teachers must be at least 1, found 0."
        );
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

    /// Returns the costs divided by the largest, if there are any.
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
            MIN_REGULARIZATION..=1e6,
        )?;
        check_cost(&self.cost)
    }
}

/// Checks that a matrix is symmetric, not negative and zero only on its diagonal. An empty matrix
/// is valid.
fn check_cost(rows: &[Vec<f64>]) -> Result<(), ConfigError> {
    let classes = rows.len();
    for (from, row) in rows.iter().enumerate() {
        check::ensure(
            row.len() == classes,
            format_args!("cost.{from}"),
            format_args!("a row of {classes} numbers, one for each class"),
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

/// Cost of moving probability between classes.
#[derive(Module, Debug)]
pub struct TransportCost {
    /// Costs divided by the largest. Shape: `[num_classes, num_classes]`.
    pub relative: Tensor<2>,
    /// Largest cost.
    pub largest: f64,
}

/// Logits graph: the earth mover's distance between the student's distribution and that of each
/// teacher.
///
/// ```text
/// p  = softmax(student / temperature),  qᵐ = softmax(teacherᵐ / temperature)
/// a  = 1 / number of teachers, or learned: softmax(scores)
/// L  = mean over samples of Σₘ aᵐ EMD(p, qᵐ)
/// ```
///
/// If all classes are at the same distance from each other, the earth mover's distance is
/// `½ Σ |p − q|`. Under a `cost` it is computed by 50 steps of Sinkhorn's iteration in the log
/// domain, debiased (Sinkhorn divergence) so that it is zero where the distributions agree; the
/// regularization makes it slightly smaller than the exact distance.
///
/// No gradient flows to the teachers; the scores are trained with the student, and come to favor
/// the teachers that are easiest to match. Half precision is widened to single.
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
/// Classification](https://arxiv.org/abs/1804.10069), IJCAI 2018. The authors published no code.
/// This is our interpretation of the paper, which has a graph of logits, matched by the earth
/// mover's distance; the distance between classes, the weights and the temperature are our choices.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LogitsGraphLoss {
    /// Scores whose softmax gives the weights of the teachers; `None` for equal weights. Shape:
    /// `[1, teachers]`.
    pub scores: Option<Param<Tensor<2>>>,
    /// Cost of moving probability between classes, if it is not the same everywhere.
    pub cost: Option<TransportCost>,
    /// Number of teachers.
    pub teachers: usize,
    /// Softmax temperature.
    pub temperature: f64,
    /// Entropic regularization of the transport under a cost, as a share of the largest cost.
    pub regularization: f64,
}

one_line_display!(
    LogitsGraphLoss: teachers,
    learned = |loss| Some(&loss.scores.is_some()),
    temperature,
    regularization = |loss| loss.cost.as_ref().map(|_| &loss.regularization)
);

impl LogitsGraphLoss {
    /// Computes the loss of a batch.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, num_classes]`
    /// - each teacher: `[batch_size, num_classes]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of teachers or a shape is not the expected one.
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

    /// Returns the earth mover's distance of every row. Shape: `[batch_size, 1]`.
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
            format_args!("a matrix with a row for each of the {classes} classes"),
            format_args!("a matrix of {given} rows"),
        )?;
        let loss = config.init(contexts.len(), &contexts[0].device);
        builder.joint_term(loss)
    })
    .for_all_teachers()
}
