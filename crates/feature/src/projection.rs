use burn::config::Config;
use burn::module::Module;
use burn::nn::{Initializer, Linear};
use burn::tensor::{Bool, Device, Tensor};
use burn_distill_core::numeric::zero_padding;
use burn_distill_core::{Check, ConfigError, LayersLoss, NamedLoss, Tap, check};

/// Configuration to create a [loss behind a projection](ProjectedSequences) using the
/// [init function](ProjectionConfig::init).
#[derive(Config, Debug)]
pub struct ProjectionConfig {
    /// The number of features of the student's tokens.
    pub student_features: usize,
    /// The number of features of the teacher's tokens.
    pub teacher_features: usize,
    /// The number of projections: one for all layers, two for the first layer, which is the embedding,
    /// and for the others, or as many as there are layers. Default: `1`.
    #[config(default = 1)]
    pub projections: usize,
}

impl ProjectionConfig {
    /// Initialize a [loss behind a projection](ProjectedSequences).
    ///
    /// Weights are drawn from N(0, 0.02²) and biases are zero, as in the authors' code.
    ///
    /// # Panics
    ///
    /// Panics if a number of features is zero, or if there is no projection.
    pub fn init<L: LayersLoss>(&self, loss: L, device: &Device) -> ProjectedSequences<L> {
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

/// A loss between hidden states of unlike sizes: the student's go through a learned projection first.
///
/// ```text
/// L = loss(student W + b, teacher)
/// ```
///
/// One projection serves all layers, or there is one for the embedding, which is the first layer, and one
/// for the others, or each layer has its own. They train with the student.
///
/// # Reference
///
/// X. Jiao et al., [TinyBERT](https://arxiv.org/abs/1909.10351), Findings of EMNLP 2020. One for all
/// layers is `fit_dense` of the authors' code; two are `W_e` and `W_h` of the paper.
#[derive(Module, Debug)]
pub struct ProjectedSequences<L> {
    /// The projections: one for all layers, one for the first and one for the others, or one for each.
    pub projections: Vec<Linear>,
    /// What compares the projected layers.
    pub loss: L,
}

impl<L: NamedLoss> NamedLoss for ProjectedSequences<L> {
    fn name(&self) -> &'static str {
        self.loss.name()
    }
}

impl<L: LayersLoss> LayersLoss for ProjectedSequences<L> {
    fn forward_layers(
        &self,
        student: Vec<Tap>,
        teacher: Vec<Tap>,
        mask: Option<Tensor<2, Bool>>,
    ) -> Tensor<1> {
        let (layers, projections) = (student.len(), self.projections.len());
        assert!(
            projections <= 2.min(layers) || projections == layers,
            "{projections} projections are not for {layers} layers."
        );
        // The last one serves all the layers that are left.
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
