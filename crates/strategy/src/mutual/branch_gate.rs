use super::peers::pooled;
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{TapSelection, Taps, batch_norm, initialize};

/// The tap of a branched network that its branches begin at.
pub(super) const TRUNK: &str = "trunk";

/// The tap of the logits of a branch, counted from 0.
pub(super) fn branch(index: usize) -> String {
    format!("branch{}", index + 1)
}

/// A gate that weighs the branches of a network, sample by sample, from the features of the trunk.
///
/// ```text
/// weights = softmax(relu(bn(fc(mean over pixels of trunk))))
/// ```
///
/// Where all are below zero, so that the rectifier leaves none, the weights are equal. A batch of
/// one has no variance: there they do not depend on the sample.
#[derive(Module, Debug)]
pub struct BranchGate {
    /// From channels to branches.
    pub fc: Linear,
    /// Its normalization.
    pub bn: BatchNorm,
}

impl BranchGate {
    /// From that many channels to that many branches. It is drawn at once.
    pub fn new(channels: usize, branches: usize, device: &Device) -> Self {
        initialize(Self {
            fc: LinearConfig::new(channels, branches).init(device),
            bn: BatchNormConfig::new(branches).init(device),
        })
    }

    /// The weights of the branches.
    ///
    /// # Shapes
    ///
    /// - trunk: `[batch_size, channels]`
    /// - output: `[batch_size, branches]`, each row a distribution
    pub fn forward(&self, trunk: Tensor<2>) -> Tensor<2> {
        softmax(relu(batch_norm(&self.bn, self.fc.forward(trunk))), 1)
    }

    /// The taps of a network with so many branches that the ensemble is made of.
    pub(super) fn requirements(branches: usize) -> TapSelection {
        TapSelection::named((0..branches).map(branch).chain([TRUNK.to_string()]))
    }
}

/// The logits of each branch, and those of all as the gate weighs them.
pub(super) fn weigh(
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
