use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_normalize, masked_mean};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, Context, DefaultTaps, Input, Knowledge, LossEntry, LossTerm,
    NamedLoss, Requirements, Tap, TapLoss, TapSelection, check, one_line_display,
};

/// Configuration to create a [probabilistic transfer loss](ProbabilisticTransferLoss) using the
/// [init function](ProbabilisticTransferLossConfig::init).
#[derive(Config, Debug)]
pub struct ProbabilisticTransferLossConfig {
    /// Added to probabilities before their logarithm. Above 0. Default: `1e-7`, as in the authors'
    /// code.
    #[config(default = 1e-7)]
    pub eps: f64,
}

impl ProbabilisticTransferLossConfig {
    /// Creates a [probabilistic transfer loss](ProbabilisticTransferLoss).
    ///
    /// # Panics
    ///
    /// Panics if `eps` is not above zero.
    pub fn init(&self) -> ProbabilisticTransferLoss {
        self.assert_valid();
        ProbabilisticTransferLoss { eps: self.eps }
    }
}

impl Check for ProbabilisticTransferLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::positive("eps", self.eps)
    }
}

/// Probabilistic knowledge transfer (PKT): matches the probabilities with which each sample chooses
/// the other samples as its neighbors.
///
/// ```text
/// sᵢⱼ = (1 + cosine of xᵢ and xⱼ) / 2
/// pᵢⱼ = sᵢⱼ / Σₖ sᵢₖ,    itself included
/// L   = mean over i, j of p(teacher) log((p(teacher) + eps) / (p(student) + eps))
/// ```
///
/// The loss does not change if each sample is scaled by a factor, nor if the features are rotated.
/// A sample of zeros is equally similar to all others, and passes no gradient. The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// RepDistiller uses a weight of 30000, Knowledge-Distillation-Zoo 10000 with an `eps` of `1e-6`,
/// beside the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective). The
/// weights are large because the mean is over all pairs: if the batch size doubles, the weight
/// should double.
///
/// The authors also use the labels in place of the teacher, in a [supervised
/// variant](LabelSimilarityTerm), by itself or beside this loss.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::ProbabilisticTransferLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 2.0]], &device);
/// let teacher = Tensor::<2>::from_data([[0.0, 3.0, 0.0], [4.0, 0.0, 0.0]], &device);
///
/// let loss = ProbabilisticTransferLossConfig::new().init().forward(student, teacher);
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.0); // both at right angles
/// ```
///
/// # Reference
///
/// N. Passalis and A. Tefas, [Learning Deep Representations with Probabilistic Knowledge
/// Transfer](https://arxiv.org/abs/1803.10837), ECCV 2018. Agrees with `cosine_similarity_loss` of
/// the authors' code and with RepDistiller, except for the `1e-7` that both add to the norm of a
/// sample; for a sample of zeros their gradient is NaN.
#[doc(alias = "PKT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ProbabilisticTransferLoss {
    /// Added to probabilities before their logarithm.
    pub eps: f64,
}

one_line_display!(ProbabilisticTransferLoss: eps);

impl ProbabilisticTransferLoss {
    /// Computes the loss of a batch of features.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, features]`
    /// - teacher: `[batch_size, teacher_features]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(teacher, [batch_size, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = probabilities(at_least_f32(teacher.without_autodiff()), None);
        let student = probabilities(at_least_f32(student), None);
        self.divergence(teacher, student).mean()
    }

    /// Computes the supervised variant: each sample should choose the samples of its class with
    /// equal probabilities. See [`LabelSimilarityTerm`].
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, features]`
    /// - classes: `[batch_size]`
    /// - labeled: `[batch_size]`, true for the samples whose class is known; `None` if all are
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ.
    pub fn forward_supervised(
        &self,
        student: Tensor<2>,
        classes: Tensor<1, Int>,
        labeled: Option<Tensor<1, Bool>>,
    ) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(classes, [batch_size]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let known = labeled.map(|labeled| {
            assert_shape!(labeled, [batch_size]);
            let rows = labeled.clone().unsqueeze_dim::<2>(1);
            let known = rows.expand([batch_size, batch_size]);
            known.clone().bool_and(known.transpose())
        });
        let student = probabilities(at_least_f32(student), known.as_ref());
        let rows = classes.clone().unsqueeze_dim::<2>(1);
        let rows = rows.expand([batch_size, batch_size]);
        let alike = rows.clone().equal(rows.transpose());
        let alike = alike.float().cast(student.dtype());
        let target = choices(alike, known.as_ref());
        masked_mean(self.divergence(target, student), known)
    }

    /// Returns the divergence for every pair. Shape: `[batch_size, batch_size]`.
    fn divergence(&self, target: Tensor<2>, student: Tensor<2>) -> Tensor<2> {
        let ratio = target
            .clone()
            .add_scalar(self.eps)
            .div(student.add_scalar(self.eps));
        target.mul(ratio.log())
    }
}

/// Returns the probability with which each sample chooses each sample. Shape:
/// `[batch_size, batch_size]`.
fn probabilities(features: Tensor<2>, known: Option<&Tensor<2, Bool>>) -> Tensor<2> {
    let unit = l2_normalize(features, 1);
    // Rounding errors may take the cosine of opposite samples below −1.
    let similarity = unit
        .clone()
        .matmul(unit.transpose())
        .add_scalar(1.0)
        .mul_scalar(0.5)
        .clamp_min(0.0);
    choices(similarity, known)
}

/// Returns the similarities of known pairs, divided by the sum of their row.
fn choices(similarity: Tensor<2>, known: Option<&Tensor<2, Bool>>) -> Tensor<2> {
    let similarity = match known {
        Some(known) => similarity.mask_fill(known.clone().bool_not(), 0.0),
        None => similarity,
    };
    // The similarity of a sample to itself is 1, or a half if it is zero. Rows of unknown samples
    // are unused.
    let sum = similarity.clone().sum_dim(1).clamp_min(0.25);
    similarity.div(sum)
}

impl NamedLoss for ProbabilisticTransferLoss {
    fn name(&self) -> &'static str {
        "probabilistic-transfer"
    }
}

impl TapLoss for ProbabilisticTransferLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

/// Supervised probabilistic knowledge transfer (S-PKT): each sample of the student should choose
/// the samples of its class as its neighbors. No teacher is needed.
///
/// ```text
/// tᵢⱼ = 1 / number of samples of i's class if j is of that class, itself included, else 0
/// L   = mean over labeled i, j of t log((t + eps) / (p(student) + eps))
/// ```
///
/// Samples without a label are ignored as choosers and as neighbors; for a mixed target, the class
/// with the highest probability is used. If no sample is labeled, the term is zero, still connected
/// to the autodiff graph.
///
/// The mean is over all pairs: with the batch size as its weight, it is the mean divergence per
/// sample. The authors' code calls it `supervised_loss`.
#[derive(Module, Debug)]
pub struct LabelSimilarityTerm {
    /// Loss that compares the probabilities.
    pub loss: ProbabilisticTransferLoss,
    /// Name of the student's tap.
    pub student: String,
}

impl LabelSimilarityTerm {
    /// Creates the term of a loss for this tap.
    pub fn new(loss: ProbabilisticTransferLoss, student: impl Into<String>) -> Self {
        Self {
            loss,
            student: student.into(),
        }
    }
}

impl NamedLoss for LabelSimilarityTerm {
    fn name(&self) -> &'static str {
        "label-similarity"
    }
}

impl<T> LossTerm<Knowledge, T> for LabelSimilarityTerm {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named([&self.student]),
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_, Knowledge, T>) -> Tensor<1> {
        let student = context.student.taps.expect(&self.student).into_vectors();
        match context.targets.class_labels() {
            Some((classes, labeled)) => self.loss.forward_supervised(student, classes, labeled),
            None => connected_zero(student),
        }
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "probabilistic-transfer",
        abbreviation: "PKT",
        about: "matches probabilities that samples are neighbors",
        kind: "relation",
        aliases: &["pkt"],
        reference: "Passalis and Tefas, Learning Deep Representations with Probabilistic \
            Knowledge Transfer, ECCV 2018",
    };
    LossEntry::new(catalog, 30000.0, |builder| {
        builder.pairs_of(
            DefaultTaps::Pooled,
            ProbabilisticTransferLossConfig::new(),
            |config| config.init(),
        )
    })
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn label_similarity_entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "label-similarity",
        abbreviation: "S-PKT",
        about: "matches neighbor probabilities with the classes",
        kind: "relation",
        aliases: &["supervised-pkt"],
        reference: "Passalis and Tefas, Learning Deep Representations with Probabilistic \
            Knowledge Transfer, ECCV 2018: the supervised variant",
    };
    // With batches of 64, this weight gives the mean divergence per sample.
    LossEntry::new(catalog, 64.0, |mut builder| {
        let context = builder.context();
        let student = builder.one("student", &context.student_taps, DefaultTaps::Pooled)?;
        context.student_taps.get(&student)?.vector_size()?;
        let loss = builder
            .configure(ProbabilisticTransferLossConfig::new())?
            .init();
        builder.term(LabelSimilarityTerm::new(loss, student))
    })
}
