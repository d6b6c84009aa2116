use burn::config::Config;
use burn::module::Module;
use burn::tensor::Tensor;
use burn_distill_architecture::Paraphraser;
use burn_distill_core::numeric::{at_least_f32, connected_zero};
use burn_distill_core::{Context, Knowledge, Objective, Requirements, TapSelection, Terms};

/// How a reconstruction is compared with the original.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum ReconstructionDistance {
    /// The mean of the squared differences, as in RepDistiller.
    MeanSquare,
    /// The mean of the absolute differences, as in the authors' code.
    MeanAbsolute,
}

/// The first stage of factor transfer: a paraphraser learns to reconstruct the teacher's features.
///
/// ```text
/// MeanSquare:   L = mean over samples and elements of (paraphraser(teacher) − teacher)²
/// MeanAbsolute: L = mean over samples and elements of |paraphraser(teacher) − teacher|
/// ```
///
/// It does not look at the student, so a frozen one serves. The teacher is a constant: no gradient
/// flows to it. Half precision is widened to single.
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
    /// What is trained.
    pub paraphraser: Paraphraser,
    /// The name of the teacher's tap.
    pub teacher: String,
    /// How the reconstruction is compared with it.
    #[module(skip)]
    pub distance: ReconstructionDistance,
}

impl ReconstructionObjective {
    /// The name of its term.
    pub const TERM: &'static str = "reconstruction";

    /// That paraphraser for that tap of the teacher, by the mean squared error.
    pub fn new(paraphraser: Paraphraser, teacher: impl Into<String>) -> Self {
        Self {
            paraphraser,
            teacher: teacher.into(),
            distance: ReconstructionDistance::MeanSquare,
        }
    }

    /// The same by another distance.
    pub fn with_distance(mut self, distance: ReconstructionDistance) -> Self {
        self.distance = distance;
        self
    }

    /// How far a batch of maps is from its reconstruction.
    ///
    /// # Shapes
    ///
    /// - teacher: `[batch_size, channels, height, width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the channels are others than those of the paraphraser.
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
    fn it_is_how_far_the_reconstruction_is_from_the_original() {
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
