use burn::config::Config;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Tensor, assert_shape};
use burn_distill_core::numeric::{at_least_f32, connected_zero, masked_mean, zero_padding};
use burn_distill_core::{
    CatalogEntry, Check, DefaultTaps, Input, LossEntry, LossError, MultiLayerLoss, NamedLoss,
    TRIAL_SAMPLES, Tap, one_line_display,
};

/// Configuration to create a [layer-projection loss](LayerProjectionLoss) using the [init
/// function](LayerProjectionLossConfig::init).
#[derive(Config, Debug)]
pub struct LayerProjectionLossConfig {}

impl LayerProjectionLossConfig {
    /// Creates a [layer-projection loss](LayerProjectionLoss).
    pub fn init(&self) -> LayerProjectionLoss {
        LayerProjectionLoss {}
    }
}

impl Check for LayerProjectionLossConfig {}

/// Attention-based layer projection (ALP-KD): each layer of the student matches a mixture of all
/// layers of the teacher, weighted by their similarity to it.
///
/// For every token, with `hᵢ` its hidden state in layer `i` of the student and `tⱼ` that in layer `j`
/// of the teacher,
///
/// ```text
/// aᵢ = softmax over j of hᵢ · tⱼ
/// cᵢ = Σⱼ aᵢⱼ tⱼ
/// L = mean over samples, tokens, layers and features of (hᵢ − cᵢ)²
/// ```
///
/// No layer of the teacher is skipped, and there is nothing to learn in the mixture. Its weights are
/// computed from the student as well, so gradients flow through them to the student. The hidden
/// states must have the same number of features. The teacher is a constant: no gradient flows to it.
/// Half precision is widened to single.
///
/// # Weights
///
/// Beside the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective) and [soft
/// targets](https://arxiv.org/abs/1503.02531). A public port has 0.1 and 0.7 for these and 0.2 for
/// this loss.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_feature::LayerProjectionLossConfig;
///
/// let device = Device::default();
/// let layer = |value: [f32; 2]| Tensor::<3>::from_data([[value]], &device);
/// let loss = LayerProjectionLossConfig::new().init();
///
/// // Equally similar to both layers of the teacher, whose mean is (1, 1).
/// let value = loss.forward(
///     vec![layer([0.0, 0.0])],
///     vec![layer([2.0, 0.0]), layer([0.0, 2.0])],
///     None,
/// );
/// assert_eq!(value.into_scalar::<f32>(), 1.0);
/// ```
///
/// # Reference
///
/// P. Passban, Y. Wu, M. Rezagholizadeh and Q. Liu, [ALP-KD: Attention-Based Layer Projection for
/// Knowledge Distillation](https://arxiv.org/abs/2012.14022), AAAI 2021. The authors published no
/// code: the mean over everything and the tokens are those of public ports.
#[doc(alias = "ALP-KD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LayerProjectionLoss {}

one_line_display!(LayerProjectionLoss:);

impl LayerProjectionLoss {
    /// Computes the loss of a batch of tokens in several layers.
    ///
    /// # Shapes
    ///
    /// - student, teacher: for each layer `[batch_size, length, features]`
    /// - mask: `[batch_size, length]`, true for the tokens that count; without a mask, all count
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if student or teacher have no layer, or if the shapes differ.
    pub fn forward(
        &self,
        student: Vec<Tensor<3>>,
        teacher: Vec<Tensor<3>>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        assert!(
            !student.is_empty() && !teacher.is_empty(),
            "There should be at least one layer of student and teacher, found {} and {}.",
            student.len(),
            teacher.len()
        );
        let stacked = |layers: Vec<Tensor<3>>| {
            let layers = layers.into_iter();
            let layers = layers.map(|layer| zero_padding(layer, mask.as_ref()));
            Tensor::stack::<4>(layers.collect(), 2)
        };
        let (student, teacher) = (stacked(student), stacked(teacher));
        let [batch_size, length, _, features] = student.dims();
        assert_shape!(teacher, [batch_size, length, _, features]);
        if student.shape().num_elements() == 0 {
            return connected_zero(student);
        }
        let student = at_least_f32(student);
        let teacher = at_least_f32(teacher.without_autodiff()).cast(student.dtype());

        let similarities = student.clone().matmul(teacher.clone().transpose());
        let mixture = softmax(similarities, 3).matmul(teacher);
        let tokens = student.sub(mixture).square().mean_dims(&[2, 3]);
        masked_mean(tokens.reshape([batch_size, length]), mask)
    }
}

impl NamedLoss for LayerProjectionLoss {
    fn name(&self) -> &'static str {
        "layer-projection"
    }
}

impl MultiLayerLoss for LayerProjectionLoss {
    /// Computes the loss of the tokens of sequences, or of vectors, each of which is one token.
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|layers| {
            let layers = layers.into_iter();
            layers.map(tokens).collect::<Vec<_>>()
        });
        // A mask of tokens does not apply to vectors.
        let [_, length, _] = student[0].dims();
        let mask = mask.filter(|mask| mask.dims()[1] == length);
        self.forward(student, teacher, mask)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        if student.is_empty() || teacher.is_empty() {
            return Err(LossError::new(
                "there should be at least one layer of student and teacher to compare",
            ));
        }
        let first = size(&student[0])?;
        for tap in student.iter().chain(teacher) {
            let other = size(tap)?;
            if first != other {
                return Err(LossError::new(format_args!(
                    "hidden states should have the same number of tokens and features in all layers, but \
                     the student has {} tokens of {} features and another layer {} of {}: use networks \
                     of one width, or a loss with a projection, such as `hidden-states`",
                    first[0], first[1], other[0], other[1]
                )));
            }
        }
        Ok(())
    }
}

/// Returns the tokens of a sequence, or a vector as a single token.
fn tokens(tap: Tap) -> Tensor<3> {
    match tap {
        Tap::Sequence(sequence) => sequence,
        other => other.into_vectors().unsqueeze_dim(1),
    }
}

/// Returns the numbers of tokens and features of a tap.
fn size(tap: &Tap) -> Result<[usize; 2], LossError> {
    match tap {
        Tap::Sequence(sequence) => {
            let [_, length, features] = sequence.dims();
            Ok([length, features])
        }
        other => Ok([1, other.vector_size()?]),
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "layer-projection",
        abbreviation: "ALP-KD",
        about: "matches mixtures of all teacher layers, by similarity",
        kind: "feature",
        aliases: &["alp-kd", "alp"],
        reference: "Passban et al., ALP-KD: Attention-Based Layer Projection for Knowledge \
            Distillation, AAAI 2021",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let layers = builder.layers(DefaultTaps::EveryOf("hidden"))?;
        let loss = builder.configure(LayerProjectionLossConfig::new())?.init();
        builder.layers_of(layers, TRIAL_SAMPLES, loss)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    #[should_panic(expected = "There should be at least one layer of student and teacher")]
    fn a_teacher_without_layers_is_refused() {
        let layer = Tensor::zeros([1, 2, 3], &Device::default());
        LayerProjectionLossConfig::new()
            .init()
            .forward(vec![layer], Vec::new(), None);
    }

    #[test]
    fn other_widths_are_refused_with_a_remedy() {
        let device = Device::default();
        let tap = |features| Tap::Sequence(Tensor::zeros([2, 3, features], &device));
        let loss = LayerProjectionLossConfig::new().init();

        let error = loss.check_layers(&[tap(4)], &[tap(4), tap(6)]).unwrap_err();
        assert!(
            error.to_string().contains("such as `hidden-states`"),
            "{error}"
        );
        loss.check_layers(&[tap(4)], &[tap(4), tap(4)]).unwrap();
    }
}
