use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_architecture::Paraphraser;
use burn_distill_core::numeric::{at_least_f32, connected_zero};
use burn_distill_core::{Context, Knowledge, Objective, Requirements, TapSelection, Terms};

/// Distance between a reconstruction and the original.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum ReconstructionDistance {
    /// Mean of the squared differences, as in RepDistiller.
    MeanSquare,
    /// Mean of the absolute differences, as in the authors' code.
    MeanAbsolute,
}

/// First stage of factor transfer (FT): trains a paraphraser to reconstruct the teacher's features.
///
/// ```text
/// MeanSquare:   L = mean over samples and elements of (paraphraser(teacher) − teacher)²
/// MeanAbsolute: L = mean over samples and elements of |paraphraser(teacher) − teacher|
/// ```
///
/// It does not use the student, which may be frozen. The teacher is a constant: no gradient flows
/// to it. Half precision is widened to single.
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{NetworkConfig, Paraphraser};
/// use burn_distill_core::{DynNetwork, Frozen};
/// use burn_distill_feature::{FactorTransferLossConfig, ReconstructionObjective};
/// use burn_distill_strategy::OfflineDistiller;
///
/// let device = Device::default().autodiff();
/// let network = |name: &str| NetworkConfig::by_name(name)?.init([1, 8, 8], 10, &device);
/// let (student, teacher) = (network("convnet-4-8")?, network("convnet-8-16")?);
///
/// let config = FactorTransferLossConfig::new();
/// let objective = ReconstructionObjective::new(config.paraphraser(16, &device), "layer2");
/// let first_stage =
///     OfflineDistiller::new(Frozen::new(student), Frozen::new(teacher), objective);
/// // Train it. Then:
/// let paraphraser: Paraphraser = first_stage.objective.paraphraser;
/// let loss = config.init(8, paraphraser, &device);
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// J. Kim, S. Park and N. Kwak, [Paraphrasing Complex Network: Network Compression via Factor
/// Transfer](https://arxiv.org/abs/1802.04977), NeurIPS 2018.
#[derive(Module, Debug)]
pub struct ReconstructionObjective {
    /// Paraphraser to train.
    pub paraphraser: Paraphraser,
    /// Name of the teacher's tap.
    pub teacher: String,
    /// Distance between the reconstruction and the original.
    #[module(skip)]
    pub distance: ReconstructionDistance,
}

impl ReconstructionObjective {
    /// Name of the term.
    pub const TERM: &'static str = "reconstruction";

    /// Creates the objective for a paraphraser and a tap of the teacher, with the mean squared
    /// error.
    pub fn new(paraphraser: Paraphraser, teacher: impl Into<String>) -> Self {
        Self {
            paraphraser,
            teacher: teacher.into(),
            distance: ReconstructionDistance::MeanSquare,
        }
    }

    /// Sets the distance between the reconstruction and the original.
    pub fn with_distance(mut self, distance: ReconstructionDistance) -> Self {
        self.distance = distance;
        self
    }

    /// Computes the distance between a batch of maps and its reconstruction.
    ///
    /// # Shapes
    ///
    /// - teacher: `[batch_size, channels, height, width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the channels are not those of the paraphraser.
    pub fn loss(&self, teacher: Tensor<4>) -> Tensor<1> {
        let teacher = teacher.without_autodiff();
        let reconstruction = at_least_f32(self.paraphraser.forward(teacher.clone()));
        if teacher.dims()[0] == 0 {
            return connected_zero(reconstruction);
        }
        let difference = reconstruction.sub(at_least_f32(teacher));
        match self.distance {
            ReconstructionDistance::MeanSquare => difference.square().mean(),
            ReconstructionDistance::MeanAbsolute => difference.abs().mean(),
        }
    }
}

impl Objective for ReconstructionObjective {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::None,
            teacher: TapSelection::named([&self.teacher]),
            ..Requirements::default()
        }
    }

    fn forward(&self, context: &Context<'_, Knowledge, Knowledge>) -> Terms {
        let teacher = context.teacher.taps.expect(&self.teacher).into_map();
        Terms::one(Self::TERM, self.loss(teacher), 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FactorTransferLossConfig;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn the_loss_is_the_distance_to_the_original() {
        let device = Device::default();
        let paraphraser = FactorTransferLossConfig::new().paraphraser(4, &device);
        let map = Tensor::random([2, 4, 3, 5], Distribution::Normal(0.0, 1.0), &device);
        let difference = paraphraser.forward(map.clone()).sub(map.clone());
        let difference: Vec<f32> = difference.into_data().try_to_vec().unwrap();
        let mean = |of: fn(f32) -> f32| {
            difference.iter().map(|&d| of(d)).sum::<f32>() / difference.len() as f32
        };

        let objective = ReconstructionObjective::new(paraphraser, "layer3");
        let square = objective.loss(map.clone()).into_scalar::<f32>();
        let objective = objective.with_distance(ReconstructionDistance::MeanAbsolute);
        let absolute = objective.loss(map).into_scalar::<f32>();

        assert!((square - mean(|d| d * d)).abs() < 1e-5, "{square}");
        assert!((absolute - mean(f32::abs)).abs() < 1e-5, "{absolute}");
    }
}
