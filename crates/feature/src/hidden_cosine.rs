use crate::pair_layers;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_architecture::{projected_if_needed, take_separate};
use burn_distill_core::numeric::{
    at_least_f32, connected_zero, l2_normalize, masked_mean, zero_padding,
};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss, Tap,
    check_sequences, one_line_display,
};

/// Configuration to create a [hidden cosine loss](HiddenCosineLoss) using the
/// [init function](HiddenCosineLossConfig::init).
#[derive(Config, Debug)]
pub struct HiddenCosineLossConfig {}

impl HiddenCosineLossConfig {
    /// Creates a [hidden cosine loss](HiddenCosineLoss).
    pub fn init(&self) -> HiddenCosineLoss {
        HiddenCosineLoss {}
    }
}

impl Check for HiddenCosineLossConfig {}

/// DistilBERT: matches the directions of the tokens' hidden states by their cosine similarity.
///
/// ```text
/// L = mean over tokens of 1 − cos(student, teacher)
/// ```
///
/// For several layers the loss is the mean. The cosine of a token of zeros is zero, with a zero
/// gradient. If no token counts, the loss is zero, still connected to the autodiff graph. The
/// teacher is a constant: no gradient flows to it. Half precision is widened to single. If the
/// hidden sizes of the networks differ, add a [projection](crate::ProjectedSequences).
///
/// # Weights
///
/// For pre-training, the authors use weights of 1 for this loss of the last layer, 5 for soft
/// targets at temperature 2 and 2 for the cross-entropy with the masked words; for question
/// answering, 0.5 for soft targets and 0.5 for the labels.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::HiddenCosineLossConfig;
///
/// let device = Device::default();
/// let student = Tensor::<3>::from_data([[[1.0, 0.0], [0.0, 2.0]]], &device);
/// let teacher = Tensor::<3>::from_data([[[1.0, 0.0], [3.0, 0.0]]], &device);
///
/// let loss = HiddenCosineLossConfig::new().init().forward(student, teacher, None);
///
/// assert_eq!(loss.into_scalar::<f32>(), 0.5);
/// ```
///
/// # Reference
///
/// V. Sanh, L. Debut, J. Chaumond and T. Wolf, [DistilBERT](https://arxiv.org/abs/1910.01108),
/// NeurIPS EMC² Workshop 2019. Agrees with `distiller.py` of the authors' code and with `cos_loss`
/// of TextBrewer; the mean over layers with `hs_cosine` of DistillKit.
#[doc(alias = "DistilBERT")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct HiddenCosineLoss {}

one_line_display!(HiddenCosineLoss);

impl HiddenCosineLoss {
    /// Computes the loss of one layer.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, length, features]`
    /// - mask: `[batch_size, length]`, true for the tokens that count; without a mask, all count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes differ.
    pub fn forward(
        &self,
        student: Tensor<3>,
        teacher: Tensor<3>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [batch_size, length, features] = student.dims();
        assert_shape!(teacher, [batch_size, length, features]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let direction =
            |sequence| l2_normalize(zero_padding(at_least_f32(sequence), mask.as_ref()), 2);
        let cosine = direction(student)
            .mul(direction(teacher.without_autodiff()))
            .sum_dim(2)
            .squeeze_dim::<2>(2);
        masked_mean(cosine.neg().add_scalar(1.0), mask)
    }
}

impl NamedLoss for HiddenCosineLoss {
    fn name(&self) -> &'static str {
        "hidden-cosine"
    }
}

impl MultiLayerLoss for HiddenCosineLoss {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let layers = student.len();
        pair_layers(student, teacher)
            .map(|(student, teacher)| {
                let (student, teacher) = (student.into_sequence(), teacher.into_sequence());
                self.forward(student, teacher, mask.clone())
            })
            .reduce(Tensor::add)
            .expect("There is a layer.")
            .div_scalar(layers as f64)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        check_sequences(student, teacher, true)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "hidden-cosine",
        abbreviation: "DistilBERT",
        about: "matches the directions of hidden states",
        kind: "feature",
        aliases: &["distilbert"],
        reference: "Sanh et al., DistilBERT, NeurIPS EMC2 Workshop 2019",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let names = builder
            .pairs(DefaultTaps::LastOf(&["hidden"]))?
            .into_iter()
            .unzip();
        builder.token_features(&names)?;
        let separate = take_separate(&mut builder)?;
        let config = builder.configure(HiddenCosineLossConfig::new())?;
        projected_if_needed(builder, names, config.init(), separate)
    })
}
