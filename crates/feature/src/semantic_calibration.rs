use crate::entry::between;
use crate::several_layers::checked;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use burn_distill_architecture::{
    ExpansionAdapter, ExpansionAdapterConfig, SemanticAttention, SemanticAttentionConfig,
};
use burn_distill_core::numeric::{connected_zero, match_size};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, LossError, MultiLayerLoss,
    NamedLoss, Tap, check, check_all_features, zero_padded_maps,
};

/// Configuration to create a [semantic calibration loss](SemanticCalibrationLoss) using the
/// [init function](SemanticCalibrationLossConfig::init).
#[derive(Config, Debug)]
pub struct SemanticCalibrationLossConfig {
    /// Temperature that the products of queries and keys are divided by. Must be positive and
    /// finite. Default: `1.0`.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl SemanticCalibrationLossConfig {
    /// Creates a [semantic calibration loss](SemanticCalibrationLoss) for maps with these numbers
    /// of channels, in batches of `batch_size` samples.
    ///
    /// # Panics
    ///
    /// Panics if the temperature is not positive and finite, if there is no map of the student or
    /// of the teacher, if a number of channels is zero, or if `batch_size` is zero.
    pub fn init(
        &self,
        student: &[usize],
        teacher: &[usize],
        batch_size: usize,
        device: &Device,
    ) -> SemanticCalibrationLoss {
        self.assert_valid();
        let attention = SemanticAttentionConfig::new(student.len(), teacher.len(), batch_size)
            .with_temperature(self.temperature)
            .init(device);
        let adapters = student.iter().map(|&inputs| {
            let adapters = teacher.iter().map(|&outputs| {
                let config = ExpansionAdapterConfig::new(inputs, outputs);
                config.init(device)
            });
            adapters.collect()
        });
        SemanticCalibrationLoss {
            attention,
            adapters: adapters.collect(),
        }
    }
}

impl Check for SemanticCalibrationLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)
    }
}

/// Semantic calibration (SemCKD): compares each layer of the student with all layers of the
/// teacher, weighted by learned attention.
///
/// ```text
/// attention = SemanticAttention(student, teacher)
/// L = mean over samples and layers i of the student of
///     Σⱼ attentionᵢⱼ · mean((adapterᵢⱼ(studentᵢ) − teacherⱼ)²)
/// ```
///
/// The attention is high between two layers in which the samples of the batch are similar to each
/// other in the same way; [`SemanticAttention`] learns to measure this. An [`ExpansionAdapter`] for
/// every pair of layers projects the student's map to the channels of the teacher's, after the
/// larger of the two has been pooled to the size of the smaller. Attention and adapters are trained
/// with the student. The teacher is a constant: no gradient flows to it. Half precision is widened
/// to single.
///
/// The attention is created for one batch size. A batch of another size, such as the last of an
/// epoch, is ignored: its loss is zero, with a zero gradient.
///
/// # Weights
///
/// On CIFAR-100 the authors use a weight of 400, beside 1 for the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective) and 1 for soft targets at a temperature of 4;
/// on ImageNet 50.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::SemanticCalibrationLossConfig;
///
/// let device = Device::default();
/// // Two layers of the student, one of the teacher, batches of four.
/// let loss = SemanticCalibrationLossConfig::new().init(&[8, 16], &[32], 4, &device);
///
/// let student = vec![
///     Tensor::<4>::ones([4, 8, 8, 8], &device),
///     Tensor::ones([4, 16, 4, 4], &device),
/// ];
/// let teacher = vec![Tensor::zeros([4, 32, 4, 4], &device)];
///
/// assert_eq!(loss.forward(student, teacher).dims(), [1]);
/// ```
///
/// # Reference
///
/// D. Chen, J.-P. Mei, Y. Zhang, C. Wang, Z. Wang, Y. Feng and C. Chen, [Cross-Layer Distillation
/// with Semantic Calibration](https://arxiv.org/abs/2012.03236), AAAI 2021. Agrees with recordings
/// of `SemCKDLoss` and `SelfA` of the authors' SemCKD, gradients of all parameters included.
#[doc(alias = "SemCKD")]
#[derive(Module, Debug)]
pub struct SemanticCalibrationLoss {
    /// Attention of each layer of the student to the layers of the teacher.
    pub attention: SemanticAttention,
    /// Adapters that project the maps of the student to the channels of the teacher's: for each
    /// layer of the student, one for each layer of the teacher.
    pub adapters: Vec<Vec<ExpansionAdapter>>,
}

impl SemanticCalibrationLoss {
    /// Computes the loss of a batch of maps.
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
        let counts = [self.adapters.len(), self.adapters[0].len()];
        let (student, teacher) = checked(student, teacher, counts);
        if student[0].dims()[0] != self.attention.batch_size {
            // A student that is not trained has no autodiff graph to connect to.
            return match student[0].is_autodiff() {
                true => connected_zero(student[0].clone()),
                false => connected_zero(self.adapters[0][0].conv1.weight.val()),
            };
        }
        let attention = self.attention.forward(&student, &teacher);
        let pairs = student
            .iter()
            .zip(&self.adapters)
            .flat_map(|(map, adapters)| {
                teacher.iter().zip(adapters).map(move |(target, adapter)| {
                    let (map, target) = match_size(map.clone(), target.clone());
                    (adapter.forward(map), target)
                })
            });
        Self::forward_pairs(attention, pairs)
    }

    /// Computes the loss for a given attention and pairs of an adapted map of the student and a map
    /// of the teacher. The pairs are ordered by the layer of the student, then by the layer of the
    /// teacher.
    ///
    /// # Shapes
    ///
    /// - attention: `[batch_size, student_layers, teacher_layers]`
    /// - pairs: two maps `[batch_size, teacher_channels, height, width]` each
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes of a pair differ, or if the number of pairs does not match the
    /// attention.
    pub fn forward_pairs(
        attention: Tensor<3>,
        pairs: impl IntoIterator<Item = (Tensor<4>, Tensor<4>)>,
    ) -> Tensor<1> {
        let [batch_size, student_layers, teacher_layers] = attention.dims();
        let distances = pairs.into_iter().map(|(student, teacher)| {
            let [_, channels, height, width] = student.dims();
            assert_shape!(student, [batch_size, channels, height, width]);
            assert_shape!(teacher, [batch_size, channels, height, width]);
            // Flattened first: after a convolution to one channel, burn 0.22.1 fuses the difference
            // with a mean over the flattened map into a kernel that reads wrong pixels on a GPU.
            let [student, teacher] = [student, teacher].map(|map| map.flatten::<2>(1, 3));
            let difference = student.sub(teacher.without_autodiff());
            difference.square().mean_dim(1)
        });
        let distances = Tensor::cat(distances.collect(), 1);
        assert_shape!(distances, [batch_size, student_layers * teacher_layers]);
        attention
            .flatten::<2>(1, 2)
            .mul(distances)
            .sum()
            .div_scalar((batch_size * student_layers) as f64)
    }
}

impl NamedLoss for SemanticCalibrationLoss {
    fn name(&self) -> &'static str {
        "semantic-calibration"
    }
}

impl MultiLayerLoss for SemanticCalibrationLoss {
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
        name: "semantic-calibration",
        abbreviation: "SemCKD",
        about: "pairs all layers by learned attention weights",
        kind: "feature",
        aliases: &["semckd"],
        reference: "Chen et al., Cross-Layer Distillation with Semantic Calibration, AAAI \
            2021",
    };
    LossEntry::new(catalog, 400.0, |mut builder| {
        let layers = builder.layers(DefaultTaps::Stages)?;
        let context = builder.context();
        let (batch_size, samples) = (context.batch_size, context.samples.len());
        if samples < batch_size {
            return Err(LossError::new(format_args!(
                "whole batches are compared, but there are {samples} samples for a batch of \
                 {batch_size}: reduce the batch size"
            )));
        }
        let config = builder.configure(SemanticCalibrationLossConfig::new())?;
        between(builder, layers, |student, teacher, context| {
            config.init(student, teacher, batch_size, &context.device)
        })
    })
}
