use crate::layers::check_two_layers;
use crate::layers::{prepared, two_layers};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_architecture::{projected_if_needed, take_separate};
use burn_distill_core::numeric::{connected_zero, masked_mean};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss, Tap,
    Taps, check_sequences, one_line_display,
};

/// Configuration to create a [token flow loss](TokenFlowLoss) using the [init
/// function](TokenFlowLossConfig::init).
#[derive(Config, Debug)]
pub struct TokenFlowLossConfig {}

impl TokenFlowLossConfig {
    /// Creates a [token flow loss](TokenFlowLoss).
    pub fn init(&self) -> TokenFlowLoss {
        TokenFlowLoss {}
    }
}

impl Check for TokenFlowLossConfig {}

/// Flow of solution procedure (FSP) for tokens: matches the inner products between the features of
/// two layers. See [`FlowOfSolutionLoss`](crate::FlowOfSolutionLoss) for maps.
///
/// ```text
/// flow(H, H') = Hᵀ H' / number of tokens that count
/// L = mean over sequences, features and features' of (flow(student) − flow(teacher))²
/// ```
///
/// Both networks need the same number of features in each layer; for a student with other numbers,
/// use the `ProjectionConfig` of burn-distill-feature. Padding does not count: the products of each
/// sequence are divided by its own length, and a sequence without a token is left out. If there are
/// no tokens, the loss is zero, still connected to the autodiff graph. The teacher is a constant:
/// no gradient flows to it. Half precision is widened to single.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::TokenFlowLossConfig;
///
/// let device = Device::default();
/// let layer = |value| Tensor::<3>::full([1, 5, 4], value, &device);
/// let loss = TokenFlowLossConfig::new().init();
///
/// let value = loss.forward([layer(1.0), layer(2.0)], [layer(2.0), layer(1.0)], None);
///
/// assert_eq!(value.into_scalar::<f32>(), 0.0);
/// ```
///
/// # Reference
///
/// `fsp_loss` of Z. Yang et al., [TextBrewer](https://arxiv.org/abs/2002.12620), ACL 2020, after J.
/// Yim et al., CVPR 2017. Agrees with recordings of its code, gradients included, except that
/// TextBrewer divides by zero for a sequence without a token.
#[doc(alias = "fsp_loss")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct TokenFlowLoss {}

one_line_display!(TokenFlowLoss);

impl TokenFlowLoss {
    /// Computes the loss of two layers of tokens.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, length, features]` and `[batch_size, length, features']`
    /// - teacher: the same shapes
    /// - mask: `[batch_size, length]`, true for the tokens that count; without a mask, all count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes of the networks differ, or the batch sizes or lengths of the two
    /// layers.
    pub fn forward(
        &self,
        student: [Tensor<3>; 2],
        teacher: [Tensor<3>; 2],
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [first, second] = [student[0].dims(), student[1].dims()];
        for (teacher, [batch_size, length, features]) in teacher.iter().zip([first, second]) {
            assert_shape!(teacher, [batch_size, length, features]);
        }
        let [batch_size, length, _] = first;
        if batch_size * length == 0 {
            return connected_zero(student[0].clone());
        }
        let teacher = teacher.map(Tensor::without_autodiff);
        let [student, teacher] = [student, teacher].map(|layers| prepared(layers, mask.as_ref()));
        let flow = |[layer, next]: [Tensor<3>; 2]| layer.swap_dims(1, 2).matmul(next);
        let difference = flow(student).sub(flow(teacher));
        let (difference, counts) = match mask {
            None => (difference.div_scalar(length as f64), None),
            Some(mask) => {
                let lengths = mask.clone().float().cast(difference.dtype()).sum_dim(1);
                let lengths = lengths.clamp_min(1.0).unsqueeze_dim(2);
                (
                    difference.div(lengths),
                    Some(mask.any_dim(1).squeeze_dim(1)),
                )
            }
        };
        let squares: Tensor<2> = difference.square().flatten(1, 2);
        masked_mean(squares.mean_dim(1).squeeze_dim::<1>(1), counts)
    }
}

impl NamedLoss for TokenFlowLoss {
    fn name(&self) -> &'static str {
        "token-flow"
    }
}

impl MultiLayerLoss for TokenFlowLoss {
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
        check_sequences(student, teacher, true)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "token-flow",
        abbreviation: "FSP",
        about: "matches products of features of two token layers",
        kind: "relation",
        aliases: &["sequence-fsp"],
        reference: "Yang et al., TextBrewer, ACL 2020: fsp_loss",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let names = match builder.has_tap_names() {
            true => builder
                .pairs(DefaultTaps::EveryOf("hidden"))?
                .into_iter()
                .unzip(),
            false => {
                let context = builder.context();
                let first_and_last = |taps: &Taps, side: &str| {
                    let depth = DefaultTaps::depth_of(taps, "hidden")
                        .map_err(|error| error.context(format_args!("`{side}`")))?;
                    Ok::<Vec<_>, LossError>(
                        [0, depth].map(|layer| format!("hidden.{layer}")).into(),
                    )
                };
                (
                    first_and_last(&context.student_taps, "student")?,
                    first_and_last(&context.teacher_taps, "teacher")?,
                )
            }
        };
        builder.token_features(&names)?;
        let separate = take_separate(&mut builder)?;
        let loss = builder.configure(TokenFlowLossConfig::new())?.init();
        projected_if_needed(builder, names, loss, separate)
    })
}
