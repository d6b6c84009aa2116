use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_architecture::ReusedClassifierConfig;
use burn_distill_core::numeric::{at_least_f32, connected_zero, match_size};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, DynNetwork, Input, LossBuilder, LossEntry, LossError,
    NamedLoss, Tap, TapLoss, TapPair, TapPairs, Taps, initialize, one_line_display,
};

/// Configuration to create a [SimKD loss](SimKdLoss) using the [init
/// function](SimKdLossConfig::init).
#[derive(Config, Debug)]
pub struct SimKdLossConfig {
    /// Whether a ReLU is applied to the teacher's map, as to the projected one. Default: `true`.
    #[config(default = true)]
    pub relu: bool,
}

impl SimKdLossConfig {
    /// Creates a [SimKD loss](SimKdLoss).
    pub fn init(&self) -> SimKdLoss {
        SimKdLoss { relu: self.relu }
    }
}

impl Check for SimKdLossConfig {}

/// SimKD: the student's projected features should equal the input of the teacher's classifier.
///
/// ```text
/// L = mean over samples and elements of (student − relu(teacher))²
/// ```
///
/// It is for a student that reuses its teacher's classifier, a
/// [`ReusedClassifier`](burn_distill_architecture::ReusedClassifier), whose tap `projected` is
/// compared. The ReLU does not change features after an activation, and makes features before an
/// activation reachable for the projector; for features that may be negative, disable it both here
/// and in the projector. The larger map is pooled to the size of the smaller. The teacher is a
/// constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// The authors use this as the only loss, with a weight of 1: no cross-entropy with the labels and
/// no soft targets.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::SimKdLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<4>::from_data([[[[1.0, 0.0]]]], &device);
/// let teacher = Tensor::<4>::from_data([[[[3.0, -5.0]]]], &device);
///
/// let loss = SimKdLossConfig::new().init().forward(student, teacher);
///
/// assert_eq!(loss.into_scalar::<f32>(), 2.0); // (1 − 3)² and 0
/// ```
///
/// # Reference
///
/// D. Chen, J.-P. Mei, H. Zhang, C. Wang, Y. Feng and C. Chen, [Knowledge Distillation with the
/// Reused Teacher Classifier](https://arxiv.org/abs/2203.14001), CVPR 2022. Agrees with the
/// authors' SimKD, whose loss is the mean squared error.
#[doc(alias = "SimKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct SimKdLoss {
    /// Whether a ReLU is applied to the teacher's map.
    pub relu: bool,
}

one_line_display!(SimKdLoss: relu);

impl SimKdLoss {
    /// Computes the loss of a batch of maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`, the projected features
    /// - teacher: `[batch_size, channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes or the numbers of channels differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, channels, ..] = student.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let teacher = match self.relu {
            true => relu(teacher),
            false => teacher,
        };
        let (student, teacher) = match_size(at_least_f32(student), teacher);
        student.sub(teacher).square().mean()
    }
}

impl NamedLoss for SimKdLoss {
    fn name(&self) -> &'static str {
        "sim-kd"
    }
}

impl TapLoss for SimKdLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "sim-kd",
        abbreviation: "SimKD",
        about: "matches the last map and reuses the classifier",
        kind: "feature",
        aliases: &["simkd", "reused-classifier"],
        reference: "Chen et al., Knowledge Distillation with the Reused Teacher Classifier, \
            CVPR 2022",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let context = builder.context();
        let student = builder.one("student", &context.student_taps, DefaultTaps::LastStage)?;
        let teacher = classified(&mut builder, &context.teacher_taps)?;
        let config = builder.configure(ReusedClassifierConfig::new())?;
        let network = config.try_init(
            (context.student.clone(), &student),
            (&context.teacher, &teacher),
        )?;
        let loss = SimKdLossConfig::new().with_relu(config.relu).init();
        let pair = TapPair::new(ReusedClassifierConfig::TAP, teacher, loss);
        let mut built = builder.term(TapPairs::from([pair]))?;
        built.student = Some(DynNetwork::new(initialize(network)));
        Ok(built)
    })
}

/// Takes the teacher's tap that its classifier averages.
///
/// With the ReLU, the last features before an activation serve as well, whether or not the network
/// also exposes the activated features.
fn classified<I: Input>(
    builder: &mut LossBuilder<'_, I>,
    taps: &Taps,
) -> Result<String, LossError> {
    if builder.has("teacher") {
        return builder.one("teacher", taps, DefaultTaps::LastStage);
    }
    let default = match builder.get("relu").and_then(|relu| relu.as_bool()) {
        Some(false) => DefaultTaps::LastStage,
        _ => DefaultTaps::BeforeActivation,
    };
    let mut names = builder.names("teacher", taps, default)?;
    Ok(names.swap_remove(names.len() - 1))
}
