use crate::architecture::{AdapterKind, FeatureAdapter, FeatureAdapterConfig};
use crate::core::{CrossEntropyObjective, Network, TapObjective, TapPair, initialize, known_taps};
use crate::feature::{ExitDistance, ExitFeatureLoss, ExitFeatureLossConfig};
use crate::response::{ResponseObjective, SoftCrossEntropyLoss, SoftCrossEntropyLossConfig};
use crate::strategy::MultiExitDistiller;

/// The training objective of a shallow exit in be your own teacher (BYOT): the targets, the
/// response of the deepest exit and, for all or some exits, its features.
pub type ByotObjective = (
    CrossEntropyObjective,
    ResponseObjective<SoftCrossEntropyLoss>,
    Vec<TapObjective<ExitFeatureLoss, FeatureAdapter>>,
);

/// Configuration of be your own teacher (BYOT): a [`MultiExitDistiller`] with its losses.
///
/// ```text
/// loss = deepest · CE(z_n, y)
///        + Σᵢ [cross_entropy · CE(zᵢ, y) + soft · softCE(z_n, zᵢ) + feature · distance(fᵢ, f_n)]
/// ```
///
/// where the sum is over the exits `i` except the deepest `n`, whose logits `z_n` and features
/// `f_n` are constants as targets. The soft cross-entropy is multiplied by the square of the
/// temperature if `scale_t2` is set. The [norm](ExitDistance::Norm) is that of `W fᵢ − f_n`, with a
/// linear layer `W` for each exit, and is left out for the second deepest exit.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill::ByotConfig;
/// use burn_distill::architecture::{MultiExitConfig, NetworkConfig};
///
/// let device = Device::default().autodiff();
/// let network = NetworkConfig::by_name("resnet8")?.init([1, 8, 8], 10, &device)?;
/// let network = MultiExitConfig::new().init(network);
///
/// let distiller = ByotConfig::paper().init(network);
///
/// assert_eq!(distiller.objectives.len(), 2);
/// # Ok::<(), burn_distill::architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// L. Zhang, J. Song, A. Gao, J. Chen, C. Bao and K. Ma, [Be Your Own
/// Teacher](https://arxiv.org/abs/1905.08094), ICCV 2019. [`paper`](Self::paper) agrees with
/// pytorch-be-your-own-teacher, [`later`](Self::later) with the authors'
/// pytorch-self-distillation-final. A comment in that code states that the shallowest exit has no
/// feature term, but the code omits the term of the second deepest exit.
#[derive(Clone, Debug, PartialEq)]
pub struct ByotConfig {
    /// Weight of the cross-entropy of the deepest exit with the targets.
    pub deepest: f64,
    /// Weight of the cross-entropy of each other exit with the targets.
    pub cross_entropy: f64,
    /// Weight of the soft cross-entropy of each other exit with the deepest.
    pub soft: f64,
    /// Softmax temperature of the soft cross-entropy.
    pub temperature: f64,
    /// Whether the soft cross-entropy is multiplied by the square of the temperature.
    pub scale_t2: bool,
    /// Weight of the distance between features.
    pub feature: f64,
    /// Distance between features.
    pub distance: ExitDistance,
}

impl ByotConfig {
    /// Returns the weights of the paper. With α = 0.1: 1 − α for the cross-entropies, including the
    /// deepest exit; α · 3² for the soft cross-entropies at temperature 3; 1e-6 for the squared
    /// differences of active features.
    pub fn paper() -> Self {
        Self {
            deepest: 0.9,
            cross_entropy: 0.9,
            soft: 0.1,
            temperature: 3.0,
            scale_t2: true,
            feature: 1e-6,
            distance: ExitDistance::ActiveSquares,
        }
    }

    /// Returns the weights of the authors' later code: 1 for the cross-entropy of the deepest exit,
    /// 0.7 for those of the others; 0.3 for the soft cross-entropies at temperature 3; 0.03 for the
    /// norms.
    pub fn later() -> Self {
        Self {
            deepest: 1.0,
            cross_entropy: 0.7,
            soft: 0.3,
            temperature: 3.0,
            scale_t2: false,
            feature: 0.03,
            distance: ExitDistance::Norm,
        }
    }

    /// Creates the distiller of a network with exits, such as a
    /// [`MultiExitNetwork`](crate::architecture::MultiExitNetwork). The weights of its adapters are
    /// initialized immediately.
    ///
    /// # Panics
    ///
    /// Panics if the network has fewer than two exits, or an exit without features, if the features
    /// of exits differ in size where they are compared, or if the temperature is not positive and
    /// finite.
    pub fn init<N: Network>(&self, network: N) -> MultiExitDistiller<N, ByotObjective> {
        let taps = known_taps(&network);
        let device = network.devices().first().cloned().unwrap_or_default();
        let exits = (1..).take_while(|number| taps.get(&format!("exit{number}")).is_ok());
        let deepest = exits.count();
        let feature = |exit: usize| taps.expect(&format!("exit{exit}.feature"));

        let objective = |exit: usize| -> ByotObjective {
            let soft = SoftCrossEntropyLossConfig::new()
                .with_temperature(self.temperature)
                .with_scale_t2(self.scale_t2);
            let adapter = match self.distance {
                ExitDistance::ActiveSquares => Some(AdapterKind::None),
                ExitDistance::Norm if exit + 1 == deepest => None,
                ExitDistance::Norm => Some(AdapterKind::Linear),
            };
            let of_features = adapter.map(|kind| {
                let adapter = FeatureAdapterConfig::new(kind)
                    .init(&feature(exit), &feature(deepest), &device)
                    .unwrap_or_else(|error| panic!("{error}"));
                let loss = ExitFeatureLossConfig::new().with_distance(self.distance);
                let tap = MultiExitDistiller::<N, ByotObjective>::FEATURE;
                let pair = TapPair::new(tap, tap, loss.init()).with_adapter(adapter);
                TapObjective::new([pair], self.feature)
            });
            (
                CrossEntropyObjective::new(self.cross_entropy),
                ResponseObjective::new(soft.init(), self.soft),
                of_features.into_iter().collect(),
            )
        };
        let objectives: Vec<_> = (1..deepest).map(objective).collect();
        MultiExitDistiller::new(network, initialize(objectives)).with_cross_entropy(self.deepest)
    }
}
