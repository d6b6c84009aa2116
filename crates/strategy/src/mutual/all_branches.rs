use super::branch_gate::{BranchGate, gated_logits};
use burn::module::Module;
use burn_distill_core::{Network, Response, TapRecorder, delegate_network};

/// The ensemble of all branches of a network, weighted by their gate, as one network to deploy
/// (ONE-E): see [`NativeEnsembleDistiller`](crate::NativeEnsembleDistiller).
///
/// ```text
/// z = Σᵢ gate(trunk)ᵢ zᵢ
/// ```
///
/// It has no taps.
#[derive(Module, Debug)]
pub struct NativeEnsemble<N> {
    /// The network with its branches.
    pub network: N,
    /// The gate that weights the branches.
    pub gate: BranchGate,
    /// Number of branches.
    pub branches: usize,
}

impl<N: Network> Network for NativeEnsemble<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, _taps: &mut TapRecorder) -> Response {
        let requirements = BranchGate::requirements(self.branches);
        let all = self.network.forward_knowledge(input, &requirements);
        Response::Classes(gated_logits(&self.gate, &all.taps, self.branches).1)
    }

    delegate_network!(network: example, deployed);
}
