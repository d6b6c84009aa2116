use super::Branching;
use crate::layers::global_average;
use crate::{ConvNet, ConvStage};
use burn::module::Module;
use burn::nn::Linear;
use burn::nn::pool::MaxPool2d;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn_distill_core::batch_norm;

/// Branch of a [`ConvNet`]: the pooling before its last stage, the last stage and the classifier.
#[derive(Module, Debug)]
pub struct ConvBranch {
    /// Pooling.
    pub shrink: MaxPool2d,
    /// Last stage.
    pub layer: ConvStage,
    /// Classifier.
    pub fc: Linear,
}

impl Branching for ConvNet {
    type Branch = ConvBranch;

    fn trunk(&self) -> String {
        let stages = self.layer.len();
        assert!(
            stages > 1,
            "A convolutional network needs at least two stages for branches, but has {stages}."
        );
        format!("layer{}", stages - 1)
    }

    fn branch(&self) -> ConvBranch {
        ConvBranch {
            shrink: self.shrink.clone(),
            layer: self.layer[self.layer.len() - 1].clone(),
            fc: self.fc.clone(),
        }
    }

    fn forward_branch(branch: &ConvBranch, trunk: Tensor<4>) -> Tensor<2> {
        let ConvBranch { shrink, layer, fc } = branch;
        let map = relu(batch_norm(
            &layer.bn,
            layer.conv.forward(shrink.forward(trunk)),
        ));
        fc.forward(global_average(map))
    }
}
