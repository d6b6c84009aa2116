use super::branch_gate::{BranchGate, weigh};
use burn::module::Module;
use burn_distill_core::{Network, Response, TapRecorder, delegate_network};

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
        let requirements = BranchGate::requirements(self.branches);
        let all = self.network.forward_knowledge(input, &requirements);
        Response::Classes(weigh(&self.gate, &all.taps, self.branches).1)
    }

    delegate_network!(network: example);
}
