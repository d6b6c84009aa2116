use super::Branching;
use crate::layers::global_average;
use crate::{BasicBlock, ResNet};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

/// Branch of a [`ResNet`]: its last stage and the classifier.
///
/// # Reference
///
/// The branches of `ONE_ResNet` in the authors' ONE_NeurIPS2018.
#[derive(Module, Debug)]
pub struct ResNetBranch {
    /// Last stage.
    pub layer3: Vec<BasicBlock>,
    /// Classifier.
    pub fc: Linear,
}

impl Branching for ResNet {
    type Branch = ResNetBranch;

    fn trunk(&self) -> String {
        "layer2".into()
    }

    fn branch(&self) -> ResNetBranch {
        ResNetBranch {
            layer3: self.layer3.clone(),
            fc: self.fc.clone(),
        }
    }

    fn forward_branch(branch: &ResNetBranch, trunk: Tensor<4>) -> Tensor<2> {
        let blocks = branch.layer3.iter();
        let map = blocks.fold(trunk, |map, block| relu(block.forward_pre(map)));
        branch.fc.forward(global_average(map))
    }
}
