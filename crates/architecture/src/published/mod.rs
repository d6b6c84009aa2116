//! Networks of a fixed size, as their authors or a package built them.

mod checkpoint;
mod conv;
#[cfg(test)]
mod tests;
mod vgg;

pub use checkpoint::*;
pub use conv::ConvNorm;
pub(crate) use conv::ConvShape;
pub use vgg::*;

use crate::{NetworkError, Plan};
use burn::tensor::{Device, Tensor};
use burn_distill_core::DynNetwork;

/// A network of a fixed size, as a publication or a package has it, so that its weights fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishedNetwork {
    /// [`Vgg`] of 8 layers.
    Vgg8,
    /// [`Vgg`] of 11 layers.
    Vgg11,
    /// [`Vgg`] of 13 layers.
    Vgg13,
    /// [`Vgg`] of 16 layers.
    Vgg16,
    /// [`Vgg`] of 19 layers.
    Vgg19,
}

use PublishedNetwork::*;

impl PublishedNetwork {
    /// All of them.
    pub const ALL: &[Self] = &[Vgg8, Vgg11, Vgg13, Vgg16, Vgg19];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Vgg8 => "vgg8",
            Vgg11 => "vgg11",
            Vgg13 => "vgg13",
            Vgg16 => "vgg16",
            Vgg19 => "vgg19",
        }
    }

    /// Returns the network of a name in lower case, with `-` for `_`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|network| network.name() == name)
    }

    /// Initializes the network for images of a shape: channels, height, width.
    ///
    /// # Panics
    ///
    /// Panics with the error of [`plan`](Self::plan).
    pub fn init(self, input: [usize; 3], classes: usize, device: &Device) -> DynNetwork<Tensor<4>> {
        match self.family(input, classes) {
            Family::Vgg(config) => DynNetwork::new(config.init(device)),
        }
    }

    /// Returns the layers, known without building them.
    ///
    /// # Errors
    ///
    /// Returns an error if the image is too small for the network, or if a size is zero or enormous.
    pub fn plan(self, input: [usize; 3], classes: usize) -> Result<Plan, NetworkError> {
        match self.family(input, classes) {
            Family::Vgg(config) => config.plan(),
        }
    }

    /// Returns the tensors of the network under both names: that in the state dict of the original
    /// network in PyTorch, and the path in ours; in the order of the state dict.
    ///
    /// The counters `num_batches_tracked` of the state dict have no counterpart.
    ///
    /// ```
    /// use burn_distill_architecture::PublishedNetwork;
    ///
    /// let tensors = PublishedNetwork::Vgg11.checkpoint([3, 32, 32], 100)?;
    ///
    /// assert_eq!(tensors[2].original, "block0.1.weight");
    /// assert_eq!(tensors[2].path, "block0.0.norm.gamma");
    /// assert_eq!(tensors[2].shape, [64]);
    /// # Ok::<(), burn_distill_architecture::NetworkError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`plan`](Self::plan).
    pub fn checkpoint(
        self,
        input: [usize; 3],
        classes: usize,
    ) -> Result<Vec<CheckpointTensor>, NetworkError> {
        let plan = self.plan(input, classes)?;
        Ok(checkpoint_of(&plan, |layer| self.original_layer(layer)))
    }

    /// The name in the original network of a layer of ours.
    fn original_layer(self, layer: &str) -> String {
        match self {
            Vgg8 | Vgg11 | Vgg13 | Vgg16 | Vgg19 => vgg::original_layer(layer),
        }
    }

    fn family(self, input: [usize; 3], classes: usize) -> Family {
        let vgg = |depth| Family::Vgg(VggConfig::new(depth, input, classes));
        match self {
            Vgg8 => vgg(8),
            Vgg11 => vgg(11),
            Vgg13 => vgg(13),
            Vgg16 => vgg(16),
            Vgg19 => vgg(19),
        }
    }
}

/// A network with the images and classes that it is for.
enum Family {
    Vgg(VggConfig),
}

/// The number of the stage of a tap such as `layer2.pre`.
fn stage_before_activation(tap: &str) -> Option<usize> {
    let number = tap.strip_prefix("layer")?.strip_suffix(".pre")?;
    number.parse().ok()
}
