use crate::entry::between;
use crate::hierarchical_context_loss;
use crate::several_layers::checked;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use burn_distill_architecture::{ReviewPath, ReviewPathConfig};
use burn_distill_core::numeric::connected_zero;
use burn_distill_core::{
    CatalogEntry, ChangingWeight, Check, ConfigError, DefaultTaps, Input, LossEntry, LossError,
    MultiLayerLoss, NamedLoss, Tap, check, check_all_features, trained_bytes, zero_padded_maps,
};

/// Configuration to create a [review loss](ReviewLoss) using the
/// [init function](ReviewLossConfig::init).
#[derive(Config, Debug)]
pub struct ReviewLossConfig {
    /// Maximum number of channels of the fusion modules; at most the number of channels of the
    /// student's deepest map. Default: `512`.
    #[config(default = 512)]
    pub channels: usize,
}

impl ReviewLossConfig {
    /// Creates a [review loss](ReviewLoss) for maps with these numbers of channels, from shallow to
    /// deep.
    ///
    /// # Panics
    ///
    /// Panics if there are no maps, if the numbers of maps differ, or if a number of channels is
    /// zero.
    pub fn init(&self, student: &[usize], teacher: &[usize], device: &Device) -> ReviewLoss {
        self.assert_valid();
        let path = ReviewPathConfig::new(student.to_vec(), teacher.to_vec());
        ReviewLoss {
            path: path.with_channels(self.channels).init(device),
        }
    }
}

impl Check for ReviewLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("channels", self.channels, 1..=65_536)
    }
}

/// Knowledge review (ReviewKD): each map of the student, fused with the deeper maps, should equal
/// the teacher's map.
///
/// ```text
/// output, residual = fusion(map of the student, residual of the next deeper map)   deep to shallow
/// L = Σ over maps of hierarchical context(output, map of the teacher)
/// ```
///
/// [`ReviewPath`] holds the fusions, which are trained with the student, and
/// [`hierarchical_context_loss`] compares the maps. The maps are the stages and the pooled
/// features, as a map of one pixel. The authors take the teacher's stages before their last
/// activation. The teacher is a constant: no gradient flows to it. Half precision is widened to
/// single.
///
/// A channel with a single value per batch, such as the pooled features of one sample, is
/// normalized to zero in training: the fused map is then the same for any student, and no gradient
/// flows back from there.
///
/// # Weights
///
/// On CIFAR-100 the authors use a weight of 5 for pairs such as resnet32x4 and resnet8x4, 8 for
/// ShuffleNetV2, 0.6 for resnet56 and resnet20, 1 for resnet110 and resnet32, each increased
/// linearly over the first 20 epochs, beside 1 for the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::ReviewLossConfig;
///
/// let device = Device::default();
/// let loss = ReviewLossConfig::new().init(&[8, 16], &[16, 32], &device);
///
/// let student = vec![
///     Tensor::<4>::ones([2, 8, 4, 4], &device),
///     Tensor::ones([2, 16, 1, 1], &device),
/// ];
/// let teacher = vec![
///     Tensor::zeros([2, 16, 8, 8], &device),
///     Tensor::zeros([2, 32, 1, 1], &device),
/// ];
///
/// assert_eq!(loss.forward(student, teacher).dims(), [1]);
/// ```
///
/// # Reference
///
/// P. Chen, S. Liu, H. Zhao and J. Jia, [Distilling Knowledge via Knowledge Review](
/// https://arxiv.org/abs/2104.09044), CVPR 2021. Agrees with the authors' ReviewKD.
#[doc(alias = "ReviewKD")]
#[derive(Module, Debug)]
pub struct ReviewLoss {
    /// Fusion modules for the maps of the student.
    pub path: ReviewPath,
}

impl ReviewLoss {
    /// Computes the loss of a batch of maps, from shallow to deep.
    ///
    /// # Shapes
    ///
    /// - student: each `[batch_size, channels, height, width]`
    /// - teacher: each `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of maps is not the expected one, or if the batch sizes differ.
    pub fn forward(&self, student: Vec<Tensor<4>>, teacher: Vec<Tensor<4>>) -> Tensor<1> {
        let count = self.path.fusions.len();
        let (student, teacher) = checked(student, teacher, [count, count]);
        if student[0].dims()[0] == 0 {
            return connected_zero(student[0].clone());
        }
        let sizes: Vec<_> = teacher.iter().map(size).collect();
        self.path
            .forward(student, &sizes)
            .into_iter()
            .zip(teacher)
            .map(|(student, teacher)| hierarchical_context_loss(student, teacher))
            .reduce(Tensor::add)
            .expect("There is a map.")
    }
}

fn size(map: &Tensor<4>) -> [usize; 2] {
    let [.., height, width] = map.dims();
    [height, width]
}

impl NamedLoss for ReviewLoss {
    fn name(&self) -> &'static str {
        "review"
    }
}

impl MultiLayerLoss for ReviewLoss {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [student, teacher] =
            [student, teacher].map(|taps| zero_padded_maps(taps, mask.as_ref()));
        self.forward(student, teacher)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        check_all_features(student, teacher)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "review",
        abbreviation: "ReviewKD",
        about: "matches fused features of several levels",
        kind: "feature",
        aliases: &["reviewkd"],
        reference: "Chen et al., Distilling Knowledge via Knowledge Review, CVPR 2021",
    };
    let warm_up = ChangingWeight::Linear {
        from: 0.0,
        to: 5.0,
        epochs: 20,
    };
    LossEntry::new(catalog, warm_up, |mut builder| {
        let context = builder.context();
        let (student_taps, teacher_taps) = (&context.student_taps, &context.teacher_taps);
        let student = builder.names("student", student_taps, DefaultTaps::StagesAndPool)?;
        let teacher = DefaultTaps::BeforeActivationAndPool;
        let teacher = builder.names("teacher", teacher_taps, teacher)?;
        if student.len() != teacher.len() {
            return Err(LossError::new(format_args!(
                "maps are compared one by one, but the student has {} ({}) and the teacher {} \
                 ({}): name the same number with the keys `student` and `teacher`",
                student.len(),
                student.join(", "),
                teacher.len(),
                teacher.join(", ")
            )));
        }
        let config = builder.configure(ReviewLossConfig::new())?;
        let width = |channels: Vec<usize>| channels.into_iter().sum::<usize>() as f64;
        let inputs = width(builder.channels(student_taps, &student)?);
        let outputs = width(builder.channels(teacher_taps, &teacher)?);
        // 1×1 convolutions from the student's channels, 3×3 convolutions to the teacher's channels.
        let parameters = config.channels as f64 * (inputs + 9.0 * outputs);
        context.fits("channels", config.channels, trained_bytes(parameters))?;
        between(builder, (student, teacher), |student, teacher, context| {
            config.init(student, teacher, &context.device)
        })
    })
}
