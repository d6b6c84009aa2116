use super::grid::Grid;
use super::scope::{Position, Scope};
use burn::module::{Module, ModuleDisplay, ModuleMapper, ModuleVisitor, Param};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Device, Tensor};
use burn_distill_core::numeric::at_least_f32;
use burn_distill_core::{
    HostBuffer, Input, Network, Response, Tap, TapRecorder, delegate_module, delegate_network,
    display_module,
};
use std::sync::Arc;

/// The purpose of the random numbers, so that other uses of the same seed draw other numbers.
const PURPOSE: u64 = 0x5155_414E; // QUAN

/// A network that computes with quantized weights and is trained in full precision.
///
/// ```text
/// forward: network with Q(w),   backward: ∂loss/∂w = ∂loss/∂Q(w)   (straight-through)
/// ```
///
/// The parameters are the full-precision weights `w`, and their paths are those of the inner
/// network. Each forward pass quantizes them, in training and in validation, and the optimizer
/// steps `w` with the gradient at `Q(w)`: weight decay and momentum use full precision. Running
/// statistics are those of the passes with `Q(w)`. With a learned step or learned levels, the gradients
/// are those of [`LearnedStepGrid`](crate::LearnedStepGrid) and
/// [`LearnedLevelsGrid`](crate::LearnedLevelsGrid), and steps and levels are parameters under `learned`.
///
/// Checkpoints hold the full-precision weights. [`deployed`](Network::deployed) returns the network
/// with the weights `Q(w)`, which is to be evaluated and saved: its tensors are those of the plain
/// network.
///
/// It is a student for any distiller and objective, with the response and the taps of the inner
/// network. Only weights are quantized, not activations. Weights of linear layers are quantized in
/// the layout of PyTorch, so that a bucket holds weights of one output.
///
/// Stochastic rounding depends on the seed and the number of forward passes in training, which is
/// saved too, so that a resumed training equals an uninterrupted one.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::{NetworkConfig, QuantizationConfig};
/// use burn_distill_core::{Network, tensors};
///
/// let device = Device::default();
/// let network = NetworkConfig::by_name("convnet-4-8")?.init([1, 8, 8], 10, &device)?;
///
/// let config = QuantizationConfig::new().with_bits(2);
/// let student = config.init(network.clone());
///
/// assert_eq!(tensors(&student), tensors(&network));
/// assert_ne!(tensors(&student.deployed()), tensors(&network));
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// A. Polino, R. Pascanu and D. Alistarh, [Model compression via distillation and
/// quantization](https://arxiv.org/abs/1802.05668), ICLR 2018. Agrees with `quantized_distillation`
/// of the authors' code.
#[doc(alias = "straight-through")]
#[derive(Clone, Debug)]
pub struct Quantized<N> {
    network: N,
    /// Learned step or levels of each quantized tensor, or none.
    learned: Vec<Param<Tensor<1>>>,
    /// Number of forward passes in training, for stochastic rounding.
    passes: Option<HostBuffer>,
    /// Quantization, until the network is deployed.
    rule: Option<Rule>,
}

/// Quantization of the tensors of a network.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub grid: Grid,
    pub scope: Arc<Scope>,
    /// Whether a pass in training rounds stochastically.
    pub is_stochastic: bool,
    pub seed: u64,
}

impl<N: Network> Quantized<N> {
    pub(super) fn new(network: N, rule: Rule) -> Self {
        let device = network.devices().first().cloned().unwrap_or_default();
        let mut initial = Initial {
            rule: &rule,
            position: Position::default(),
            learned: Vec::new(),
        };
        network.visit(&mut initial);
        Self {
            learned: initial.learned,
            network,
            passes: rule
                .is_stochastic
                .then(|| HostBuffer::new(vec![0], &device)),
            rule: Some(rule),
        }
    }

    /// Returns the inner network with its full-precision weights, or with `Q(w)` once it is
    /// [deployed](Network::deployed).
    pub fn inner(&self) -> &N {
        &self.network
    }

    /// Returns the inner network with quantized weights, through which gradients reach the
    /// full-precision weights, the steps and the levels. Weights are rounded to the nearest level.
    pub fn quantized(&self) -> N {
        self.quantized_by(None)
    }

    /// Returns the learned step or levels of each quantized tensor, in the order of the network.
    /// None on a uniform grid. Shape of each: `[1]` or `[levels]`.
    pub fn learned(&self) -> Vec<Tensor<1>> {
        self.learned.iter().map(Param::val).collect()
    }

    /// Returns the inner network with quantized weights, with stochastic rounding for this pass if
    /// there is one.
    fn quantized_by(&self, pass: Option<u64>) -> N {
        let Some(rule) = &self.rule else {
            return self.network.clone();
        };
        self.network.clone().map(&mut Quantize {
            rule,
            learned: &self.learned,
            pass,
            position: Position::default(),
        })
    }

    /// Returns the inner network for a pass. A pass in training draws other random numbers than the
    /// one before.
    fn for_pass(&self, input: &N::Input) -> N {
        let passes = self.passes.as_ref().filter(|_| input.is_autodiff());
        if let Some(passes) = passes {
            passes.set(vec![passes.get()[0] + 1]);
        }
        self.quantized_by(self.last_pass())
    }

    /// Returns the number of the last pass, if the network is in training with stochastic rounding.
    fn last_pass(&self) -> Option<u64> {
        let passes = self.passes.as_ref()?;
        let is_training = self.network.devices().iter().any(Device::is_autodiff);
        is_training.then(|| passes.get()[0] as u64)
    }
}

impl<N: Network> Network for Quantized<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        self.for_pass(&input).forward_tapped(input, taps)
    }

    fn forward_to(&self, input: N::Input, tap: &str) -> Tap {
        self.for_pass(&input).forward_to(input, tap)
    }

    fn classifier(&self) -> Option<Linear> {
        self.quantized_by(self.last_pass()).classifier()
    }

    fn normalization(&self, tap: &str) -> Option<BatchNorm> {
        self.quantized_by(self.last_pass()).normalization(tap)
    }

    fn deployed(self) -> Self {
        // A copy in validation mode has separate running statistics.
        let quantized = self.valid().quantized_by(None);
        Self {
            network: quantized.deployed(),
            learned: Vec::new(),
            passes: None,
            rule: None,
        }
    }

    delegate_network!(network: example);
}

delegate_module!([N: Module] Quantized<N>: network, parts: [learned, passes], kept: [rule]);
display_module!([N: ModuleDisplay] Quantized<N>: quantized = network);

/// Replaces the quantized tensors of a network by their values on the grid.
struct Quantize<'a> {
    rule: &'a Rule,
    learned: &'a [Param<Tensor<1>>],
    pass: Option<u64>,
    position: Position,
}

impl ModuleMapper for Quantize<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.position.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.position.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(number) = self.rule.scope.number(&self.position.path()) else {
            return param;
        };
        let transposed = self.position.is_linear_weight();
        let in_layout = |weights: Tensor<D>| match transposed {
            true => weights.transpose(),
            false => weights,
        };
        param.map(|master| {
            // In half precision, neighboring levels could be one number.
            let weights = in_layout(at_least_f32(master.clone()));
            let quantized = match self.rule.grid {
                Grid::Uniform(grid) => {
                    let fixed = weights.clone().without_autodiff();
                    let value = match self.pass {
                        None => grid.quantize(fixed.clone()),
                        Some(pass) => {
                            let key = [self.rule.seed, PURPOSE, pass, number as u64];
                            grid.quantize_stochastically(fixed.clone(), key)
                        }
                    };
                    // The difference is zero, so that the value is on the grid exactly; it carries
                    // the gradient.
                    weights.sub(fixed).add(value)
                }
                Grid::LearnedStep(grid) => {
                    let step = self.learned[number].val().cast(weights.dtype());
                    grid.quantize(weights, step)
                }
                Grid::LearnedLevels(grid) => {
                    let levels = self.learned[number].val().cast(weights.dtype());
                    grid.quantize(weights, levels)
                }
            };
            in_layout(quantized).cast(master.dtype())
        })
    }
}

/// Computes the initial step or levels of each quantized tensor.
struct Initial<'a> {
    rule: &'a Rule,
    position: Position,
    learned: Vec<Param<Tensor<1>>>,
}

impl ModuleVisitor for Initial<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.position.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.position.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.rule.scope.number(&self.position.path()).is_none() {
            return;
        }
        let weights = at_least_f32(param.val());
        let fixed = weights.clone().without_autodiff();
        let initial = match self.rule.grid {
            Grid::Uniform(_) => return,
            Grid::LearnedStep(grid) => grid.initial_step(fixed),
            Grid::LearnedLevels(grid) => {
                let levels = grid.initial_levels(&fixed.device());
                levels.cast(fixed.dtype())
            }
        };
        // On the device of the network, with autodiff or without.
        let initial = match weights.is_autodiff() {
            true => initial.autodiff(),
            false => initial,
        };
        self.learned.push(Param::from_tensor(initial));
    }
}
