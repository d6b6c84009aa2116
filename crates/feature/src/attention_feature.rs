use crate::entry::between;
use crate::several_layers::checked;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor, assert_shape};
use burn_distill_architecture::{LinkAttention, LinkAttentionConfig};
use burn_distill_core::numeric::{connected_zero, l2_normalize, pool_to};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, LossError, MultiLayerLoss,
    NamedLoss, Tap, check, check_all_features, zero_padded_maps,
};

/// Configuration to create an [attention feature loss](AttentionFeatureLoss) using the
/// [init function](AttentionFeatureLossConfig::init).
#[derive(Config, Debug)]
pub struct AttentionFeatureLossConfig {
    /// Number of features of queries and keys. At least 1. Default: `128`.
    #[config(default = 128)]
    pub features: usize,
}

impl AttentionFeatureLossConfig {
    /// Creates an [attention feature loss](AttentionFeatureLoss) for maps with these numbers of
    /// channels.
    ///
    /// # Panics
    ///
    /// Panics if `features` is zero, if there is no map of the student or of the teacher, or if a
    /// number of channels is zero.
    pub fn init(
        &self,
        student: &[usize],
        teacher: &[usize],
        device: &Device,
    ) -> AttentionFeatureLoss {
        self.assert_valid();
        let attention = LinkAttentionConfig::new(student.to_vec(), teacher.to_vec());
        AttentionFeatureLoss {
            attention: attention.with_features(self.features).init(device),
        }
    }
}

impl Check for AttentionFeatureLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::count_in("features", self.features, 1..=65_536)
    }
}

/// Attention-based feature distillation (AFD): compares each layer of the teacher with all layers
/// of the student, weighted by learned attention.
///
/// ```text
/// attention = LinkAttention(student, teacher)
/// active(F) = normalize(flatten(mean over channels of F²))
/// L = Σ over layers j of the teacher of mean over samples of
///     Σᵢ attentionⱼᵢ · mean over pixels of (active(studentᵢ) − active(teacherⱼ))²
/// ```
///
/// The squared channels of the student are pooled to the size of the teacher's map before they are
/// normalized. A map of zeros stays zero, with a zero gradient. [`LinkAttention`] is trained with
/// the student, including its layers for the teacher. The teacher is a constant: no gradient flows
/// to it. Half precision is widened to single.
///
/// In training the attention normalizes over the batch. The queries and keys of a single sample are
/// normalized to zero; its attention then depends only on the learned position embeddings of the
/// layers.
///
/// # Weights
///
/// The authors use a weight of 200, beside 1 for the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective) and 0.9 for soft targets at a temperature of
/// 4.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::AttentionFeatureLossConfig;
///
/// let device = Device::default();
/// let loss = AttentionFeatureLossConfig::new().init(&[8, 16], &[32], &device);
///
/// let student = vec![
///     Tensor::<4>::ones([4, 8, 8, 8], &device),
///     Tensor::ones([4, 16, 4, 4], &device),
/// ];
/// let teacher = vec![Tensor::ones([4, 32, 4, 4], &device)];
///
/// // All maps are uniform.
/// assert!(loss.forward(student, teacher).into_scalar::<f32>() < 1e-6);
/// ```
///
/// # Reference
///
/// M. Ji, B. Heo and S. Park, [Show, Attend and Distill: Knowledge Distillation via Attention-based
/// Feature Matching](https://arxiv.org/abs/2102.02973), AAAI 2021. Agrees with `AFD` of the
/// authors' attention-feature-distillation.
#[doc(alias = "AFD")]
#[derive(Module, Debug)]
pub struct AttentionFeatureLoss {
    /// Attention of each layer of the teacher to the layers of the student.
    pub attention: LinkAttention,
}

impl AttentionFeatureLoss {
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
        let counts = [self.attention.keys.len(), self.attention.queries.len()];
        let (student, teacher) = checked(student, teacher, counts);
        if student[0].dims()[0] == 0 {
            return connected_zero(student[0].clone());
        }
        let attention = self.attention.forward(&student, &teacher);
        Self::forward_linked(attention, student, teacher)
    }

    /// Computes the loss for a given attention.
    ///
    /// # Shapes
    ///
    /// - attention: `[batch_size, teacher_layers, student_layers]`
    /// - student, teacher: as in [`forward`](Self::forward)
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of maps does not match the attention, or if the batch sizes differ.
    pub fn forward_linked(
        attention: Tensor<3>,
        student: Vec<Tensor<4>>,
        teacher: Vec<Tensor<4>>,
    ) -> Tensor<1> {
        let [batch_size, teacher_layers, student_layers] = attention.dims();
        let (student, teacher) = checked(student, teacher, [student_layers, teacher_layers]);
        let student: Vec<_> = student.into_iter().map(energy).collect();
        let distances = teacher.into_iter().map(energy).flat_map(|teacher| {
            let [.., height, width] = teacher.dims();
            let target = active(teacher);
            student.iter().map(move |student| {
                let student = active(pool_to(student.clone(), [height, width]));
                student.sub(target.clone()).square().mean_dim(1)
            })
        });
        let distances = Tensor::cat(distances.collect(), 1);
        assert_shape!(distances, [batch_size, teacher_layers * student_layers]);
        attention
            .flatten::<2>(1, 2)
            .mul(distances)
            .sum()
            .div_scalar(batch_size as f64)
    }
}

/// Returns the mean square over the channels. Shape: `[batch_size, 1, height, width]`.
fn energy(map: Tensor<4>) -> Tensor<4> {
    map.square().mean_dim(1)
}

/// Returns the attention map of each sample, the normalized energy, as a unit vector. Shape:
/// `[batch_size, height · width]`.
fn active(energy: Tensor<4>) -> Tensor<2> {
    l2_normalize(energy.flatten(1, 3), 1)
}

impl NamedLoss for AttentionFeatureLoss {
    fn name(&self) -> &'static str {
        "attention-feature"
    }
}

impl MultiLayerLoss for AttentionFeatureLoss {
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
        name: "attention-feature",
        abbreviation: "AFD",
        about: "pairs all layers by learned attention",
        kind: "feature",
        aliases: &["afd"],
        reference: "Ji, Heo and Park, Show, Attend and Distill, AAAI 2021",
    };
    LossEntry::new(catalog, 200.0, |mut builder| {
        let layers = builder.layers(DefaultTaps::Stages)?;
        let config = builder.configure(AttentionFeatureLossConfig::new())?;
        between(builder, layers, |student, teacher, context| {
            config.init(student, teacher, &context.device)
        })
    })
}
