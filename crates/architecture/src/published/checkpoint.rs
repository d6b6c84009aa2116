use crate::{LayerKind, Plan};

/// Tensor of a network, with its name in a checkpoint of the original network and its path in ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointTensor {
    /// Key in the state dict of the original network in PyTorch.
    pub original: String,
    /// Path in the module tree.
    pub path: String,
    /// Shape in the state dict. The shape in burn is the same, or reversed if the tensor is
    /// [`transposed`](Self::transposed).
    pub shape: Vec<usize>,
    /// Whether the tensor is the transpose of that in the state dict: the weights of a linear layer
    /// are `[outputs, inputs]` in PyTorch, and `[inputs, outputs]` in burn.
    pub transposed: bool,
}

/// Returns the tensors of the layers of a plan. `original_layer` returns the name of a layer in the
/// original network.
pub(crate) fn checkpoint_of(
    plan: &Plan,
    original_layer: impl Fn(&str) -> String,
) -> Vec<CheckpointTensor> {
    let mut all = Vec::new();
    for layer in &plan.layers {
        let original = original_layer(&layer.name);
        let mut add = |theirs: &str, ours: &str, shape: &[usize]| {
            all.push(CheckpointTensor {
                original: format!("{original}{theirs}"),
                path: format!("{}{ours}", layer.name),
                shape: shape.to_vec(),
                transposed: matches!(layer.kind, LayerKind::Linear { .. }) && shape.len() == 2,
            });
        };
        match layer.kind {
            LayerKind::Convolution {
                channels: [inputs, outputs],
                kernel,
                groups,
                bias,
            } => {
                let shape = [outputs, inputs / groups, kernel, kernel];
                add(".weight", ".weight", &shape);
                if bias {
                    add(".bias", ".bias", &[outputs]);
                }
            }
            LayerKind::Norm { channels } => {
                add(".weight", ".gamma", &[channels]);
                add(".bias", ".beta", &[channels]);
                add(".running_mean", ".running_mean", &[channels]);
                add(".running_var", ".running_var", &[channels]);
            }
            LayerKind::LayerNorm { features } => {
                add(".weight", ".gamma", &[features]);
                add(".bias", ".beta", &[features]);
            }
            LayerKind::Linear {
                features: [inputs, outputs],
            } => {
                add(".weight", ".weight", &[outputs, inputs]);
                add(".bias", ".bias", &[outputs]);
            }
            // The layer is the tensor.
            LayerKind::Embeddings => add("", "", &layer.output),
            LayerKind::Attention { .. } => {}
        }
    }
    all
}
