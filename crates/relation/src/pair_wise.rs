use burn::config::Config;
use burn::module::Module;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, l2_norm, match_size};
use burn_distill_core::{
    CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry, LossError, NamedLoss, Tap,
    TapLoss, check, check_positions, one_line_display,
};

/// Configuration to create a [pair-wise loss](PairWiseLoss) using the
/// [init function](PairWiseLossConfig::init).
#[derive(Config, Debug)]
pub struct PairWiseLossConfig {
    /// Height and width of a patch as a fraction of those of the map. Above 0 and below 1. Default:
    /// `0.5`, as in the authors' code.
    #[config(default = 0.5)]
    pub scale: f64,
}

impl PairWiseLossConfig {
    /// Creates a [pair-wise loss](PairWiseLoss).
    ///
    /// # Panics
    ///
    /// Panics if the scale is not above 0 and below 1.
    pub fn init(&self) -> PairWiseLoss {
        self.assert_valid();
        PairWiseLoss { scale: self.scale }
    }
}

impl Check for PairWiseLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::strictly_between("scale", self.scale, 0.0, 1.0)
    }
}

/// Pair-wise distillation, of structured distillation (SKD): matches the similarities between the
/// patches of a map.
///
/// ```text
/// F = the largest value of each channel in each patch
/// A = cosine similarities between the patches,    of one sample
/// L = mean over samples and pairs of patches of (A(student) − A(teacher))²
/// ```
///
/// A patch has `⌊scale · height⌋ × ⌊scale · width⌋` positions, at least one of each; the last patches
/// are smaller where the map cannot be divided. As in the authors' code, the norms of the student's
/// patches are constants in the backward pass, so its gradient is not that of the cosine. A patch of
/// zeros is similar to none, and passes no gradient.
///
/// Similarities have the shape of the patches, so the numbers of channels may differ. The larger map
/// is pooled to the size of the smaller. The teacher is a constant: no gradient flows to it. Half
/// precision is widened to single.
///
/// # Weights
///
/// The authors use a weight of 1 beside 10 of the [pixel-wise loss](
/// https://arxiv.org/abs/1903.04197) and the cross-entropy with the labels.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::PairWiseLossConfig;
///
/// let device = Device::default();
/// // Two channels at two positions: of the same direction, and at a right angle.
/// let student = Tensor::<4>::from_data([[[[1.0, 2.0]], [[1.0, 2.0]]]], &device);
/// let teacher = Tensor::<4>::from_data([[[[1.0, 0.0]], [[0.0, 1.0]]]], &device);
///
/// let loss = PairWiseLossConfig::new().init().forward(student, teacher);
///
/// assert!((loss.into_scalar::<f32>() - 0.5).abs() < 1e-6); // two of four pairs differ by 1
/// ```
///
/// # Reference
///
/// Y. Liu et al., [Structured Knowledge Distillation for Semantic
/// Segmentation](https://arxiv.org/abs/1903.04197), CVPR 2019. Agrees with
/// `CriterionPairWiseforWholeFeatAfterPool` of the authors' structure_knowledge_distillation.
#[doc(alias = "SKD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct PairWiseLoss {
    /// Height and width of a patch as a fraction of those of the map.
    pub scale: f64,
}

one_line_display!(PairWiseLoss: scale);

impl PairWiseLoss {
    /// Computes the loss of a batch of maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - teacher: `[batch_size, teacher_channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let batch_size = student.dims()[0];
        assert_shape!(teacher, [batch_size, _, _, _]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let teacher = at_least_f32(teacher.without_autodiff());
        let (student, teacher) = match_size(at_least_f32(student), teacher);
        let difference = self.similarities(student).sub(self.similarities(teacher));
        difference.square().mean()
    }

    /// Returns the cosine similarities between the patches of each sample. Shape:
    /// `[batch_size, patches, patches]`.
    fn similarities(&self, map: Tensor<4>) -> Tensor<3> {
        let [.., height, width] = map.dims();
        let patch = [height, width].map(|size| ((size as f64 * self.scale) as usize).max(1));
        let options = MaxPoolOptions::<2>::new(patch)
            .with_stride(patch)
            .with_ceil_mode(true);
        let patches = max_pool2d(map, options).flatten::<3>(2, 3);
        let norm = l2_norm(patches.clone(), 1).detach();
        let zero = norm.clone().equal_scalar(0.0);
        let unit = patches
            .clone()
            .div(norm.mask_fill(zero.clone(), 1.0))
            .mask_fill(zero.expand(patches.shape()), 0.0);
        unit.clone().transpose().matmul(unit)
    }
}

impl NamedLoss for PairWiseLoss {
    fn name(&self) -> &'static str {
        "pair-wise"
    }
}

impl TapLoss for PairWiseLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }

    fn check_taps(&self, student: &Tap, teacher: &Tap) -> Result<(), LossError> {
        check_positions(student, teacher)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "pair-wise",
        abbreviation: "SKD",
        about: "matches the similarities between the patches of a map",
        kind: "relation",
        aliases: &["skd-pair"],
        reference: "Liu et al., Structured Knowledge Distillation for Semantic Segmentation, CVPR \
            2019",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        builder.pairs_of(
            DefaultTaps::LastStage,
            PairWiseLossConfig::new(),
            |config| config.init(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn patches_of_zeros_pass_no_gradient() {
        let device = Device::default().autodiff();
        let student = Tensor::<4>::from_data([[[[0.0, 1.0, 3.0]], [[0.0, 1.0, -1.0]]]], &device);
        let teacher = Tensor::<4>::from_data([[[[1.0, 2.0, 0.0]], [[5.0, 1.0, 0.0]]]], &device);
        let student = student.require_grad();

        let loss = PairWiseLossConfig::new()
            .init()
            .forward(student.clone(), teacher);
        let grads = loss.backward();

        let gradient = student.grad(&grads).unwrap().into_data();
        let gradient: Vec<_> = gradient.iter::<f32>().collect();
        assert_eq!([gradient[0], gradient[3]], [0.0, 0.0]);
        assert!(gradient.iter().all(|value| value.is_finite()));
        assert!(gradient[1] != 0.0);
    }

    #[test]
    #[should_panic(expected = "`scale` should be above 0 and below 1, but is 1")]
    fn a_map_has_more_than_one_patch() {
        PairWiseLossConfig::new().with_scale(1.0).init();
    }

    #[test]
    fn display() {
        let loss = PairWiseLossConfig::new().init();

        assert_eq!(format!("{loss}"), "PairWiseLoss {scale: 0.5}");
    }
}
