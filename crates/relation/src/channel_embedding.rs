use burn::config::Config;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Tap, TapAdapter, batch_norm, one_line_display};

/// Configuration to create a [channel embedding](ChannelEmbedding) using the
/// [init function](ChannelEmbeddingConfig::init).
#[derive(Config, Debug)]
pub struct ChannelEmbeddingConfig {
    /// How many channels the student has.
    pub student: usize,
    /// How many channels the teacher has.
    pub teacher: usize,
}

impl ChannelEmbeddingConfig {
    /// Initialize a [channel embedding](ChannelEmbedding).
    pub fn init(&self, device: &Device) -> ChannelEmbedding {
        ChannelEmbedding {
            conv: Conv2dConfig::new([self.student, self.teacher], [1, 1])
                .with_bias(false)
                .init(device),
            norm: BatchNormConfig::new(self.teacher).init(device),
        }
    }
}

/// A 1×1 convolution without bias and a batch normalization: a student's map with as many channels as
/// the teacher's.
///
/// It trains with the student and is no part of what is deployed.
///
/// # Shapes
///
/// - input: `[batch_size, student, height, width]`; vectors are maps of one pixel
/// - output: `[batch_size, teacher, height, width]`
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ChannelEmbedding {
    /// The convolution.
    pub conv: Conv2d,
    /// Its normalization.
    pub norm: BatchNorm,
}

one_line_display!(
    ChannelEmbedding: student = |layer| Some(&layer.conv.weight.dims()[1]),
    teacher = |layer| Some(&layer.conv.weight.dims()[0])
);

impl ChannelEmbedding {
    /// The embedding of a batch of maps.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        batch_norm(&self.norm, self.conv.forward(map))
    }
}

impl TapAdapter for ChannelEmbedding {
    fn adapt(&self, student: Tap) -> Tap {
        Tap::Map(self.forward(student.into_map()))
    }
}
