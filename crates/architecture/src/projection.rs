use burn::config::Config;
use burn::module::Module;
use burn::nn::{Initializer, Linear};
use burn::tensor::{Bool, Device, Tensor};
use burn_distill_core::numeric::zero_padding;
use burn_distill_core::{
    BuiltLoss, Check, ConfigError, Input, LossBuilder, LossError, MultiLayerLoss, NamedLoss,
    TRIAL_SAMPLES, Tap, check, check_same, initialize,
};

/// Configuration to create a [loss with a projection](ProjectedSequences) using the [init
/// function](ProjectionConfig::init).
#[derive(Config, Debug)]
pub struct ProjectionConfig {
    /// Number of features of the student's tokens.
    pub student_features: usize,
    /// Number of features of the teacher's tokens.
    pub teacher_features: usize,
    /// Number of projections: one for all layers; two, of which the first is for the first layer,
    /// the embedding, and the second for the others; or one for each layer. Default: `1`.
    #[config(default = 1)]
    pub projections: usize,
}

impl ProjectionConfig {
    /// Creates a [loss with a projection](ProjectedSequences) from a loss.
    ///
    /// Weights are drawn from N(0, 0.02²) and biases are zero, as in the authors' code.
    ///
    /// # Panics
    ///
    /// Panics if a number of features or the number of projections is zero.
    pub fn init<L: MultiLayerLoss>(&self, loss: L, device: &Device) -> ProjectedSequences<L> {
        self.assert_valid();
        let weights = Initializer::Normal {
            mean: 0.0,
            std: 0.02,
        };
        let [inputs, outputs] = [self.student_features, self.teacher_features];
        let projections = (0..self.projections)
            .map(|_| Linear {
                weight: weights.init([inputs, outputs], device),
                bias: Some(Initializer::Zeros.init([outputs], device)),
            })
            .collect();
        ProjectedSequences { projections, loss }
    }
}

impl Check for ProjectionConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("student_features", self.student_features, 1)?;
        check::at_least("teacher_features", self.teacher_features, 1)?;
        check::at_least("projections", self.projections, 1)
    }
}

/// Loss between hidden states of different sizes, with a learned projection of the student's
/// states.
///
/// ```text
/// L = loss(student W + b, teacher)
/// ```
///
/// There is one projection for all layers; or one for the first layer, the embedding, and one for
/// the others; or one for each layer. The projections are trained with the student.
///
/// # Reference
///
/// X. Jiao et al., [TinyBERT](https://arxiv.org/abs/1909.10351), Findings of EMNLP 2020. A single
/// projection is `fit_dense` of the authors' code; two are `W_e` and `W_h` of the paper.
#[derive(Module, Debug)]
pub struct ProjectedSequences<L> {
    /// Projections: one for all layers, one for the first and one for the others, or one for each.
    pub projections: Vec<Linear>,
    /// Loss between the projected layers.
    pub loss: L,
}

impl<L> ProjectedSequences<L> {
    /// Checks that the number of projections fits the number of layers.
    fn check_projections(&self, layers: usize) -> Result<(), LossError> {
        let projections = self.projections.len();
        match projections <= 2.min(layers) || projections == layers {
            true => Ok(()),
            false => Err(LossError::new(format_args!(
                "The number of projections should be 1, 2 or the number of layers, and at most the \
                 number of layers, which is {layers}, but is {projections}."
            ))),
        }
    }
}

impl<L: NamedLoss> NamedLoss for ProjectedSequences<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: MultiLayerLoss> MultiLayerLoss for ProjectedSequences<L> {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let (layers, projections) = (student.len(), self.projections.len());
        if let Err(error) = self.check_projections(layers) {
            panic!("{error}");
        }
        // The last projection is also for the remaining layers.
        let projection = |layer: usize| &self.projections[layer.min(projections - 1)];
        let student = student
            .into_iter()
            .enumerate()
            .map(|(layer, tap)| {
                // Padding of NaN would give the weights gradients of NaN.
                let sequence = zero_padding(tap.into_sequence(), mask.as_ref());
                Tap::Sequence(projection(layer).forward(sequence))
            })
            .collect();
        self.loss.forward_layers(student, teacher, mask)
    }

    fn check_layers(&self, student: &[Tap], teacher: &[Tap]) -> Result<(), LossError> {
        self.check_projections(student.len())?;
        let projected = student.iter().map(|tap| {
            let [length, features] = tap.sequence_size()?;
            let weight = &self.projections[0].weight;
            let [inputs, outputs] = weight.dims();
            check_same("features", features, inputs)?;
            let shape = [tap.shape()[0], length, outputs];
            Ok(Tap::Sequence(Tensor::zeros(shape, &weight.device())))
        });
        let projected: Vec<_> = projected.collect::<Result<_, LossError>>()?;
        self.loss.check_layers(&projected, teacher)
    }
}

/// Removes the key `separate` from the table: whether all layers, none, or only the embedding,
/// which is the first, have a separate projection. Returns `None` without the key.
///
/// # Errors
///
/// Returns an error if the value is not `true`, `false` or `"embedding"`.
pub fn take_separate<I: Input>(
    builder: &mut LossBuilder<'_, I>,
) -> Result<Option<SeparateProjections>, LossError> {
    let Some(taken) = builder.take("separate") else {
        return Ok(None);
    };
    let separate = match taken.value.as_str() {
        Some("embedding") => Some(SeparateProjections::Embedding),
        _ => taken.value.as_bool().map(|each| match each {
            true => SeparateProjections::Each,
            false => SeparateProjections::None,
        }),
    };
    separate
        .map(Some)
        .ok_or_else(|| taken.refused("true, false or \"embedding\""))
}

/// Layers with a separate projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeparateProjections {
    /// No layer: one projection for all layers.
    None,
    /// The embedding, which is the first layer: a second projection for all others.
    Embedding,
    /// Every layer.
    Each,
}

/// Builds a loss between hidden states, with projections from the student's features to the
/// teacher's.
///
/// # Errors
///
/// Returns an error if the loss cannot compare the layers.
pub fn projected<I: Input, L: MultiLayerLoss>(
    builder: LossBuilder<'_, I>,
    names: (Vec<String>, Vec<String>),
    loss: L,
    separate: Option<SeparateProjections>,
) -> Result<BuiltLoss<I>, LossError> {
    let [inputs, outputs] = builder.token_features(&names)?;
    let projections = match separate {
        Some(SeparateProjections::Each) => names.0.len(),
        Some(SeparateProjections::Embedding) => 2,
        Some(SeparateProjections::None) | None => 1,
    };
    let loss = ProjectionConfig::new(inputs, outputs)
        .with_projections(projections)
        .init(loss, &builder.context().device);
    builder.layers_of(names, TRIAL_SAMPLES, initialize(loss))
}

/// Builds a loss between hidden states, with projections if the numbers of features differ or if
/// the table has the key `separate`.
///
/// # Errors
///
/// Returns an error if the loss cannot compare the layers.
pub fn projected_if_needed<I: Input, L: MultiLayerLoss>(
    builder: LossBuilder<'_, I>,
    names: (Vec<String>, Vec<String>),
    loss: L,
    separate: Option<SeparateProjections>,
) -> Result<BuiltLoss<I>, LossError> {
    let [inputs, outputs] = builder.token_features(&names)?;
    match inputs == outputs && separate.is_none() {
        true => builder.layers_of(names, TRIAL_SAMPLES, loss),
        false => projected(builder, names, loss, separate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_at_least_one() {
        assert!(ProjectionConfig::new(1, 1).check().is_ok());
        for (config, key) in [
            (ProjectionConfig::new(0, 1), "student_features"),
            (ProjectionConfig::new(1, 0), "teacher_features"),
            (
                ProjectionConfig::new(1, 1).with_projections(0),
                "projections",
            ),
        ] {
            assert_eq!(config.check().unwrap_err().key, key);
        }
    }
}
