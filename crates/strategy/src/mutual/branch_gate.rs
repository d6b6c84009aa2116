use super::peers::pooled;
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{TapSelection, Taps, batch_norm, initialize};

/// The tap of a branched network at which its branches start.
pub(super) const TRUNK: &str = "trunk";

/// Returns the tap of the logits of a branch, counted from 0.
pub(super) fn branch(index: usize) -> String {
    format!("branch{}", index + 1)
}

/// A gate that computes the weights of the branches of a network for each sample, from the features
/// of the trunk.
///
/// ```text
/// weights = softmax(relu(bn(fc(mean over pixels of trunk))))
/// ```
///
/// If all values are negative, the ReLU makes them zero, and the weights are equal. A batch of one
/// sample has no variance, so its weights do not depend on the sample.
#[derive(Module, Debug)]
pub struct BranchGate {
    /// Linear layer from channels to branches.
    pub fc: Linear,
    /// Batch normalization of its output.
    pub bn: BatchNorm,
}

impl BranchGate {
    /// Creates a gate from a number of channels to a number of branches. Its weights are
    /// initialized immediately.
    pub fn new(channels: usize, branches: usize, device: &Device) -> Self {
        initialize(Self {
            fc: LinearConfig::new(channels, branches).init(device),
            bn: BatchNormConfig::new(branches).init(device),
        })
    }

    /// Computes the weights of the branches.
    ///
    /// # Shapes
    ///
    /// - trunk: `[batch_size, channels]`
    /// - output: `[batch_size, branches]`, each row a distribution
    pub fn forward(&self, trunk: Tensor<2>) -> Tensor<2> {
        softmax(relu(batch_norm(&self.bn, self.fc.forward(trunk))), 1)
    }

    /// Returns the taps from which the ensemble of a number of branches is computed.
    pub(super) fn requirements(branches: usize) -> TapSelection {
        TapSelection::named((0..branches).map(branch).chain([TRUNK.to_string()]))
    }
}

/// Returns the logits of each branch, and their sum weighted by the gate.
pub(super) fn gated_logits(
    gate: &BranchGate,
    taps: &Taps,
    branches: usize,
) -> (Vec<Tensor<2>>, Tensor<2>) {
    let logits: Vec<_> = (0..branches)
        .map(|index| taps.expect(&branch(index)).into_vectors())
        .collect();
    let weights = gate.forward(pooled(taps.expect(TRUNK)));
    let stacked: Tensor<3> = Tensor::stack(logits.clone(), 1);
    let ensemble = stacked.mul(weights.unsqueeze_dim(2)).sum_dim(1);
    (logits, ensemble.squeeze_dim(1))
}
