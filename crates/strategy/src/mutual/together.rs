use super::native_ensemble::{BranchGate, weigh};
use super::peers::{class_logits, mean_logits, mean_probabilities};
use burn::module::Module;
use burn::tensor::Device;
use burn_distill_core::{Network, Response, TapRecorder};

/// Networks that have learnt together, as one network that says what they say on average.
///
/// ```text
/// z = log(1/m · Σᵢ softmax(zᵢ))       MeanOf::Probabilities
/// z = 1/m · Σᵢ zᵢ                     MeanOf::Logits
/// ```
///
/// It offers no taps. What it predicts is what the metric `ensemble accuracy` counts.
#[derive(Module, Debug)]
pub struct MeanEnsemble<N> {
    /// The networks.
    pub networks: Vec<N>,
    /// What is averaged.
    #[module(skip)]
    pub of: MeanOf,
}

/// What an ensemble averages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeanOf {
    /// The probabilities: peers, codistillation, generations.
    Probabilities,
    /// The logits: the peers that a leader learns from, the exits of one network.
    Logits,
}

impl<N: Network> MeanEnsemble<N> {
    /// The ensemble of these networks.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    pub fn new(networks: Vec<N>, of: MeanOf) -> Self {
        assert!(
            !networks.is_empty(),
            "An ensemble is of one network at least."
        );
        Self { networks, of }
    }
}

impl<N: Network> Network for MeanEnsemble<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, _taps: &mut TapRecorder) -> Response {
        let responses = self.networks.iter();
        let responses: Vec<_> = responses
            .map(|network| network.forward(input.clone()))
            .collect();
        let logits: Vec<_> = responses.iter().map(class_logits).collect();
        Response::Classes(match self.of {
            // A logarithm has to exist.
            MeanOf::Probabilities => mean_probabilities(logits).clamp_min(1e-30).log(),
            MeanOf::Logits => mean_logits(logits),
        })
    }

    fn example(&self, samples: usize, device: &Device) -> N::Input {
        self.networks[0].example(samples, device)
    }
}

/// All branches of a network, weighed by their gate, as one network: what
/// [`NativeEnsembleDistiller`](crate::NativeEnsembleDistiller) leaves where all of it is deployed
/// (ONE-E).
///
/// ```text
/// z = Σᵢ gate(trunk)ᵢ zᵢ
/// ```
///
/// It offers no taps.
#[derive(Module, Debug)]
pub struct NativeEnsemble<N> {
    /// The network with its branches.
    pub network: N,
    /// What weighs the branches.
    pub gate: BranchGate,
    /// How many branches there are.
    pub branches: usize,
}

impl<N: Network> Network for NativeEnsemble<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, _taps: &mut TapRecorder) -> Response {
        let wanted = BranchGate::wanted(self.branches);
        let all = self.network.forward_knowledge(input, &wanted);
        Response::Classes(weigh(&self.gate, &all.taps, self.branches).1)
    }

    fn example(&self, samples: usize, device: &Device) -> N::Input {
        self.network.example(samples, device)
    }
}
