use crate::HintNormalization;
use crate::entry::{Adapted, adapted, features};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_architecture::{AdapterKind, FeatureAdapterConfig, Resize};
use burn_distill_core::numeric::{Interpolation, at_least_f32, connected_zero, resize_to};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, NamedLoss, Tap, TapLoss,
};

/// Configuration to create a [Pearson loss](PearsonLoss) using the
/// [init function](PearsonLossConfig::init).
#[derive(Config, Debug)]
pub struct PearsonLossConfig {}

impl PearsonLossConfig {
    /// Creates a [Pearson loss](PearsonLoss).
    pub fn init(&self) -> PearsonLoss {
        PearsonLoss {}
    }
}

impl Check for PearsonLossConfig {}

/// Pearson correlation of features (PKD for detectors): matches every channel up to its scale and
/// offset.
///
/// ```text
/// standardize(F) = (F − mean) / (deviation + 1e-6),   per channel over samples and pixels
/// L = ½ mean of (standardize(student) − standardize(teacher))²
/// ```
///
/// which is about `1 − r`, with `r` the mean correlation of the channels. A student's map of
/// another size is resized to the teacher's by bilinear interpolation. A constant channel becomes
/// zero, with a zero gradient, where the authors' code passes a gradient a million times the usual
/// size. The teacher is a constant: no gradient flows to it. Half precision is widened to single.
///
/// # Weights
///
/// The loss is used for detectors, on every level of a feature pyramid; mmrazor's default weight is
/// 1.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::PearsonLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<4>::from_data([[[[0.0, 1.0], [4.0, 2.0]]]], &device);
/// let teacher = student.clone().mul_scalar(50.0).sub_scalar(7.0);
///
/// let loss = PearsonLossConfig::new().init().forward(student, teacher);
///
/// assert!(loss.into_scalar::<f32>() < 1e-6);
/// ```
///
/// # Reference
///
/// W. Cao et al., [PKD: General Distillation Framework for Object Detectors via Pearson Correlation
/// Coefficient](https://arxiv.org/abs/2207.02039), NeurIPS 2022. Agrees with `PKDLoss` of mmrazor.
/// Patient knowledge distillation, [`PatientLoss`](crate::PatientLoss), is also called PKD.
#[doc(alias = "PKD")]
#[derive(Module, Debug)]
pub struct PearsonLoss {}

impl PearsonLoss {
    /// Computes the loss of a batch of maps.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, channels, height, width]`
    /// - teacher: `[batch_size, channels, teacher_height, teacher_width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes or the numbers of channels differ.
    pub fn forward(&self, student: Tensor<4>, teacher: Tensor<4>) -> Tensor<1> {
        let [batch_size, channels, _, _] = student.dims();
        assert_shape!(teacher, [batch_size, channels, _, _]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let [.., teacher_height, teacher_width] = teacher.dims();
        let teacher = at_least_f32(teacher.without_autodiff());
        let student = resize_to(
            at_least_f32(student),
            [teacher_height, teacher_width],
            Interpolation::Bilinear,
        );
        let standardize = |map| HintNormalization::BatchPearson.forward(map);
        standardize(student)
            .sub(standardize(teacher))
            .square()
            .mean()
            .div_scalar(2.0)
    }
}

impl NamedLoss for PearsonLoss {
    fn name(&self) -> &'static str {
        "pearson"
    }
}

impl TapLoss for PearsonLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_map(), teacher.into_map())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "pearson",
        abbreviation: "PKD",
        about: "matches features up to scale and shift",
        kind: "feature",
        aliases: &[],
        reference: "Cao et al., PKD: General Distillation Framework for Object Detectors via \
            Pearson Correlation Coefficient, NeurIPS 2022",
    };
    LossEntry::new(catalog, 1.0, |builder| {
        let defaults = Adapted {
            taps: DefaultTaps::Stages,
            check: |_, _| Ok(()),
            adapter: |student, teacher| {
                let kind = match features(student) == features(teacher) {
                    true => AdapterKind::None,
                    false => AdapterKind::Conv1x1,
                };
                FeatureAdapterConfig::new(kind).with_resize(Resize::Bilinear)
            },
            weights: |pairs| vec![1.0; pairs],
            config: PearsonLossConfig::new(),
        };
        adapted(builder, defaults, |config, _| config.init())
    })
}
