use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_normalize, pool_to};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, LossError, NamedLoss, Tap,
    TapLoss, check, check_same, one_line_display,
};

/// Configuration to create a [class attention loss](ClassAttentionLoss) using the
/// [init function](ClassAttentionLossConfig::init).
#[derive(Config, Debug)]
pub struct ClassAttentionLossConfig {
    /// Height and width that maps are pooled to. At least 1. Default: `2`, as in the authors' code.
    #[config(default = 2)]
    pub size: usize,
    /// Whether each pooled map is divided by its L2 norm. Default: `false`, which the authors call
    /// CAT-KD; with `true` and no other loss, they call it CAT.
    #[config(default = false)]
    pub normalize: bool,
}

impl ClassAttentionLossConfig {
    /// Creates a [class attention loss](ClassAttentionLoss).
    ///
    /// # Panics
    ///
    /// Panics if `size` is zero.
    pub fn init(&self) -> ClassAttentionLoss {
        self.assert_valid();
        ClassAttentionLoss {
            size: self.size,
            normalize: self.normalize,
        }
    }
}

impl Check for ClassAttentionLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("size", self.size, 1..=1024)
    }
}

/// Class attention transfer (CAT-KD): matches the pooled class activation maps, which show where in
/// the image each class is found.
///
/// ```text
/// A = pool(class maps) to [size, size],    each divided by its L2 norm if normalize
/// L = mean over samples, classes and pixels of (A(student) − A(teacher))²
/// ```
///
/// Class maps are the result of applying the [classifier at every
/// pixel](burn_distill_architecture::class_maps) of the last map; networks that classify the mean
/// of each channel expose them as the tap `class-maps`. A map of zeros stays zero, and passes no
/// gradient through its norm. The teacher is a constant: no gradient flows to it. Half precision is
/// widened to single.
///
/// # Weights
///
/// Beside the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective) the authors
/// use a weight of 15 for resnet32x4 and resnet8x4, 12 for wrn-40-2 and wrn-16-2, 4.5 for vgg13 and
/// vgg8, 0.7 for resnet56 and resnet20; with `normalize` and no other loss they use 400.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::ClassAttentionLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<4>::from_data([[[[1.0, 0.0]], [[0.0, 0.0]]]], &device); // two classes
/// let teacher = Tensor::<4>::from_data([[[[3.0, 0.0]], [[0.0, 0.0]]]], &device);
///
/// let loss = ClassAttentionLossConfig::new().with_normalize(true).init();
/// let loss = loss.forward(student, teacher);
///
/// assert!(loss.into_scalar::<f32>() < 1e-6); // both find the first class on the left
/// ```
///
/// # Reference
///
/// Z. Guo, H. Yan, H. Li and X. Lin, [Class Attention Transfer Based Knowledge Distillation](
/// https://arxiv.org/abs/2304.12777), CVPR 2023. Agrees with `CAT_loss` of the authors' code.
#[doc(alias = "CAT-KD")]
#[doc(alias = "CAT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ClassAttentionLoss {
    /// Height and width that maps are pooled to.
    pub size: usize,
    /// Whether each pooled map is divided by its L2 norm.
    pub normalize: bool,
}

one_line_display!(ClassAttentionLoss: size, normalize);

impl ClassAttentionLoss {
    /// Computes the loss of a batch of class maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, num_classes, height, width]`
    /// - teacher: `[batch_size, num_classes, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes or the numbers of classes differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, num_classes, ..] = student.dims();
        assert_shape!(teacher, [batch_size, num_classes, _, _]);
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = self.attention(at_least_f32(teacher.without_autodiff()));
        let student = self.attention(at_least_f32(student));
        student.sub(teacher).square().mean()
    }

    /// Returns the pooled maps. Shape: `[batch_size, num_classes, size²]`.
    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        let pooled = pool_to(maps, [self.size, self.size]).flatten(2, 3);
        match self.normalize {
            true => l2_normalize(pooled, 2),
            false => pooled,
        }
    }
}

impl NamedLoss for ClassAttentionLoss {
    fn name(&self) -> &'static str {
        "class-attention"
    }
}

impl TapLoss for ClassAttentionLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }

    fn check_taps(&self, student: &Tap, teacher: &Tap) -> Result<(), LossError> {
        check_same("classes", student.channels()?, teacher.channels()?)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "class-attention",
        abbreviation: "CAT-KD",
        about: "matches the class activation maps",
        kind: "relation",
        aliases: &["cat-kd"],
        reference: "Guo et al., Class Attention Transfer Based Knowledge Distillation, CVPR \
            2023",
    };
    LossEntry::new(catalog, 15.0, |builder| {
        let context = builder.context();
        for (side, taps) in [
            ("student", &context.student_taps),
            ("teacher", &context.teacher_taps),
        ] {
            if !builder.has(side) && taps.get("class-maps").is_err() {
                return Err(LossError::new(format_args!(
                    "the {side} exposes no tap `class-maps`, which networks that classify the \
                     mean of each channel of a map have: choose such a network or name the taps"
                )));
            }
        }
        let default = ClassAttentionLossConfig::new();
        builder.pairs_of(DefaultTaps::ClassMaps, default, |config| config.init())
    })
}
