use crate::layers::check_two_layers;
use crate::layers::{prepared, two_layers};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{connected_zero, masked_mean, token_pairs};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss,
    TRIAL_SAMPLES, Tap, check_sequences, one_line_display,
};

/// Configuration to create a [token similarity loss](TokenSimilarityLoss) using the [init
/// function](TokenSimilarityLossConfig::init).
#[derive(Config, Debug)]
pub struct TokenSimilarityLossConfig {}

impl TokenSimilarityLossConfig {
    /// Creates a [token similarity loss](TokenSimilarityLoss).
    pub fn init(&self) -> TokenSimilarityLoss {
        TokenSimilarityLoss {}
    }
}

impl Check for TokenSimilarityLossConfig {}

/// Token similarity (MMD in TextBrewer): matches the similarities between the tokens of two layers,
/// or of one layer.
///
/// ```text
/// similarity(H, H') = H H'ᵀ / features
/// L = mean over pairs of tokens of (similarity(student) − similarity(teacher))²
/// ```
///
/// Student and teacher may have different numbers of features. Pairs with a padding token do not
/// count, and all other pairs of the batch have the same weight; if there are none, the loss is
/// zero, still connected to the autodiff graph. The teacher is a constant: no gradient flows to it.
/// Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::TokenSimilarityLossConfig;
///
/// let device = Device::default();
/// let layer = |features| Tensor::<3>::ones([1, 5, features], &device);
/// let loss = TokenSimilarityLossConfig::new().init();
///
/// let value = loss.forward([layer(4), layer(4)], [layer(16), layer(16)], None);
///
/// assert_eq!(value.into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// `mmd_loss` of Z. Yang et al., [TextBrewer](https://arxiv.org/abs/2002.12620), ACL 2020, where it
/// is a variant of N. Wang and Z. Huang's [neuron selectivity
/// transfer](https://arxiv.org/abs/1707.01219). Agrees with recordings of its code, gradients
/// included. Before commit `3496f3e` that code divided by the padded length if there was a mask;
/// since then it divides by the number of features, as this loss does.
#[doc(alias = "mmd_loss")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct TokenSimilarityLoss {}

one_line_display!(TokenSimilarityLoss);

impl TokenSimilarityLoss {
    /// Computes the loss of two layers of tokens.
    ///
    /// # Shapes
    ///
    /// - student: two layers `[batch_size, length, features]`
    /// - teacher: two layers `[batch_size, length, teacher_features]`
    /// - mask: `[batch_size, length]`, true for the tokens that count; without a mask, all count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if batch sizes or lengths differ, or the numbers of features of the two layers of a
    /// network.
    pub fn forward(
        &self,
        student: [Tensor<3>; 2],
        teacher: [Tensor<3>; 2],
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [batch_size, length, features] = student[0].dims();
        let [_, _, teacher_features] = teacher[0].dims();
        for (student, teacher) in student.iter().zip(&teacher) {
            assert_shape!(student, [batch_size, length, features]);
            assert_shape!(teacher, [batch_size, length, teacher_features]);
        }
        if batch_size * length == 0 {
            return connected_zero(student[0].clone());
        }
        let teacher = teacher.map(Tensor::without_autodiff);
        let [student, teacher] = [student, teacher].map(|layers| prepared(layers, mask.as_ref()));
        let similarity = |[layer, other]: [Tensor<3>; 2]| {
            let [.., features] = layer.dims();
            // Both factors are divided by the root before the product, to avoid overflow.
            let root = (features as f64).sqrt();
            let other = other.div_scalar(root).swap_dims(1, 2);
            layer.div_scalar(root).matmul(other)
        };
        let difference = similarity(student).sub(similarity(teacher));
        let pairs = mask.map(|mask| token_pairs(mask, 1).squeeze_dim(1));
        masked_mean(difference.square(), pairs)
    }
}

impl NamedLoss for TokenSimilarityLoss {
    fn name(&self) -> &'static str {
        "token-similarity"
    }
}

impl MultiLayerLoss for TokenSimilarityLoss {
    /// Computes the loss of two layers, or of one layer with itself.
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(two_layers);
        self.forward(student, teacher, mask)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        check_two_layers(student, teacher)?;
        check_sequences(student, teacher, false)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "token-similarity",
        abbreviation: "MMD",
        about: "matches products of tokens of two layers",
        kind: "relation",
        aliases: &["sequence-mmd"],
        reference: "Yang et al., TextBrewer, ACL 2020: mmd_loss",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let names = builder
            .pairs(DefaultTaps::LastOf(&["hidden"]))?
            .into_iter()
            .unzip();
        let loss = builder.configure(TokenSimilarityLossConfig::new())?.init();
        builder.layers_of(names, TRIAL_SAMPLES, loss)
    })
}
