use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Tap, TapAdapter};

/// Configuration to create a [channel adapter](ChannelAdapter) using the
/// [init function](ChannelAdapterConfig::init).
#[derive(Config, Debug)]
pub struct ChannelAdapterConfig {
    /// Number of input channels.
    pub inputs: usize,
    /// Number of output channels.
    pub outputs: usize,
}

impl ChannelAdapterConfig {
    /// Creates a [channel adapter](ChannelAdapter).
    pub fn init(&self, device: &Device) -> ChannelAdapter {
        let Self { inputs, outputs } = *self;
        let conv = || Conv2dConfig::new([inputs, outputs], [1, 1]).init(device);
        ChannelAdapter {
            conv: (inputs != outputs).then(conv),
        }
    }
}

/// Adapter to another number of channels: a 1×1 convolution, or no layer if the numbers are the
/// same.
///
/// # Shapes
///
/// - input: `[batch_size, inputs, height, width]`
/// - output: `[batch_size, outputs, height, width]`
#[derive(Module, Debug)]
pub struct ChannelAdapter {
    /// Convolution, if the numbers of channels differ.
    pub conv: Option<Conv2d>,
}

impl ChannelAdapter {
    /// Adapts a map.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, inputs, height, width]`
    /// - output: `[batch_size, outputs, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if there is a convolution for another number of channels.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        match &self.conv {
            Some(conv) => conv.forward(map),
            None => map,
        }
    }
}

impl TapAdapter for ChannelAdapter {
    fn adapt(&self, student: Tap) -> Tap {
        Tap::Map(self.forward(student.into_map()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::parameter_count;

    #[test]
    fn the_same_number_of_channels_needs_no_convolution() {
        let device = Device::default();
        let map = Tensor::ones([2, 3, 4, 5], &device);

        let same = ChannelAdapterConfig::new(3, 3).init(&device);
        assert_eq!(parameter_count(&same), 0);
        same.forward(map.clone())
            .into_data()
            .assert_eq(&map.clone().into_data(), true);

        let wider = ChannelAdapterConfig::new(3, 7).init(&device);
        assert_eq!(wider.forward(map).dims(), [2, 7, 4, 5]);
    }
}
