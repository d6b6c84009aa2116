use crate::architecture::{AdapterKind, FeatureAdapter, FeatureAdapterConfig};
use crate::core::{CrossEntropyObjective, Network, TapObjective, TapPair, initialize, known_taps};
use crate::feature::{ExitDistance, ExitFeatureLoss, ExitFeatureLossConfig};
use crate::response::{ResponseObjective, SoftCrossEntropyLoss, SoftCrossEntropyLossConfig};
use crate::strategy::MultiExitDistiller;

/// What a shallow exit is trained on in be your own teacher: the targets, the response of the deepest
/// exit and, for all or some exits, its features.
pub type ByotObjective = (
    CrossEntropyObjective,
    ResponseObjective<SoftCrossEntropyLoss>,
    Vec<TapObjective<ExitFeatureLoss, FeatureAdapter>>,
);

/// Be your own teacher (BYOT), put together: an [`MultiExitDistiller`] and its losses.
///
/// ```text
/// loss = deepest · CE(z_n, y) + Σᵢ hard · CE(zᵢ, y) + soft · softCE(z_n, zᵢ) + feature · distance(fᵢ, f_n)
/// ```
///
/// over the exits `i` but the deepest `n`, whose logits `z_n` and features `f_n` are constants where
/// they teach. The soft cross-entropy is multiplied by the square of the temperature if `scale_t2`
/// says so. The [norm](ExitDistance::Norm) is that of `W fᵢ − f_n`, with a linear layer `W` for each
/// exit, and left out for the second deepest exit.
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
/// pytorch-self-distillation-final, where a comment says that the shallowest exit has no feature
/// term, but it is the second deepest that has none.
#[derive(Clone, Debug, PartialEq)]
pub struct ByotConfig {
    /// The weight of the cross-entropy of the deepest exit with the targets.
    pub deepest: f64,
    /// The weight of the cross-entropy of each other exit with the targets.
    pub hard: f64,
    /// The weight of the soft cross-entropy of each exit with the deepest.
    pub soft: f64,
    /// What the logits are divided by in it.
    pub temperature: f64,
    /// Whether it is multiplied by the square of the temperature.
    pub scale_t2: bool,
    /// The weight of the distance between features.
    pub feature: f64,
    /// How far features are from each other.
    pub distance: ExitDistance,
}

impl ByotConfig {
    /// The values of the paper: with α = 0.1, cross-entropies 1 − α, that of the deepest exit too;
    /// soft cross-entropies α · 3² at temperature 3; squared differences of active features 1e-6.
    pub fn paper() -> Self {
        Self {
            deepest: 0.9,
            hard: 0.9,
            soft: 0.1,
            temperature: 3.0,
            scale_t2: true,
            feature: 1e-6,
            distance: ExitDistance::ActiveSquares,
        }
    }

    /// The values of the authors' later code: the cross-entropy of the deepest exit 1, those of the
    /// others 0.7; soft cross-entropies 0.3 at temperature 3; norms 0.03.
    pub fn later() -> Self {
        Self {
            deepest: 1.0,
            hard: 0.7,
            soft: 0.3,
            temperature: 3.0,
            scale_t2: false,
            feature: 0.03,
            distance: ExitDistance::Norm,
        }
    }

    /// The distiller of a network that offers exits, such as a
    /// [`MultiExitNetwork`](crate::architecture::MultiExitNetwork). What it has to learn besides the
    /// network is drawn at once.
    ///
    /// # Panics
    ///
    /// Panics if the network offers fewer than two exits, or no features of theirs, if those differ in
    /// size, or if the temperature is not positive and finite.
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
                CrossEntropyObjective::new(self.hard),
                ResponseObjective::new(soft.init(), self.soft),
                of_features.into_iter().collect(),
            )
        };
        let objectives: Vec<_> = (1..deepest).map(objective).collect();
        MultiExitDistiller::new(network, initialize(objectives)).with_hard(self.deepest)
    }
}
