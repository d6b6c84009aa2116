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
    /// Number of channels of the student.
    pub student: usize,
    /// Number of channels of the teacher.
    pub teacher: usize,
}

impl ChannelEmbeddingConfig {
    /// Creates a [channel embedding](ChannelEmbedding).
    pub fn init(&self, device: &Device) -> ChannelEmbedding {
        ChannelEmbedding {
            conv: Conv2dConfig::new([self.student, self.teacher], [1, 1])
                .with_bias(false)
                .init(device),
            norm: BatchNormConfig::new(self.teacher).init(device),
        }
    }
}

/// A 1×1 convolution without bias, followed by batch normalization, that maps a student's map to
/// the number of channels of the teacher's map.
///
/// It is trained with the student and not deployed.
///
/// # Shapes
///
/// - input: `[batch_size, student, height, width]`; vectors are maps of one pixel
/// - output: `[batch_size, teacher, height, width]`
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ChannelEmbedding {
    /// Convolution.
    pub conv: Conv2d,
    /// Batch normalization of the convolution's output.
    pub norm: BatchNorm,
}

one_line_display!(
    ChannelEmbedding: student = |layer| Some(&layer.conv.weight.dims()[1]),
    teacher = |layer| Some(&layer.conv.weight.dims()[0])
);

impl ChannelEmbedding {
    /// Returns the embedding of a batch of maps.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<4> {
        batch_norm(&self.norm, self.conv.forward(map))
    }
}

impl TapAdapter for ChannelEmbedding {
    fn adapt(&self, student: Tap) -> Tap {
        Tap::Map(self.forward(student.into_map()))
    }
}
