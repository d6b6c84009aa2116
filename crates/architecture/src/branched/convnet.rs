use super::Branching;
use crate::layers::global_average;
use crate::{ConvNet, ConvStage};
use burn::module::Module;
use burn::nn::Linear;
use burn::nn::pool::MaxPool2d;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn_distill_core::batch_norm;

/// The last part of a [`ConvNet`]: its last stage, the pooling in front of it and the classifier.
#[derive(Module, Debug)]
pub struct ConvBranch {
    /// The pooling.
    pub shrink: MaxPool2d,
    /// The stage.
    pub layer: ConvStage,
    /// The classifier.
    pub fc: Linear,
}

impl Branching for ConvNet {
    type Branch = ConvBranch;

    fn trunk(&self) -> String {
        let stages = self.layer.len();
        assert!(
            stages > 1,
            "A convolutional network of one stage has no trunk."
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
