use crate::layers::{global_average, norm};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{BatchNorm, Initializer, Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor};
use burn_distill_core::{Check, ConfigError, batch_norm, check};

/// Configuration to create a [link attention](LinkAttention) using the
/// [init function](LinkAttentionConfig::init).
#[derive(Config, Debug)]
pub struct LinkAttentionConfig {
    /// Numbers of channels of the student's maps.
    pub student: Vec<usize>,
    /// Numbers of channels of the teacher's maps.
    pub teacher: Vec<usize>,
    /// Length of queries and keys. At least 1. Default: `128`.
    #[config(default = 128)]
    pub features: usize,
}

impl LinkAttentionConfig {
    /// Creates a [link attention](LinkAttention).
    ///
    /// # Panics
    ///
    /// Panics if `features` is zero, if there is no map of the student or of the teacher, or if a
    /// number of channels is zero.
    pub fn init(&self, device: &Device) -> LinkAttention {
        self.assert_valid();
        let features = self.features;
        let layers = |channels: &[usize]| -> Vec<_> {
            let layers = channels.iter();
            layers
                .map(|&channels| NormalizedLinear::new([channels, features], device))
                .collect()
        };
        let places = |count: usize| {
            let xavier = Initializer::XavierNormal { gain: 1.0 };
            xavier.init_with([count, features], Some(features), Some(count), device)
        };
        LinkAttention {
            teacher_places: places(self.teacher.len()),
            student_places: places(self.student.len()),
            keys: layers(&self.student),
            bilinear: NormalizedLinear::new([features, features * self.teacher.len()], device),
            queries: layers(&self.teacher),
        }
    }
}

impl Check for LinkAttentionConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("features", self.features, 1)?;
        for (key, channels) in [("student", &self.student), ("teacher", &self.teacher)] {
            check::ensure(
                !channels.is_empty() && channels.iter().all(|&channels| channels > 0),
                key,
                "the channels of at least one map, each at least 1",
                format_args!("{channels:?}"),
            )?;
        }
        Ok(())
    }
}

/// Attention weights of the student's layers for each layer of the teacher, sample by sample.
///
/// ```text
/// queryⱼ = BN(Linear(mean over pixels of teacherⱼ))
/// keyᵢ = relu(BN(Linear(mean over pixels of studentᵢ)))
/// keyᵢⱼ = BN(Linear(keyᵢ))                         one part for each layer of the teacher
/// attentionⱼᵢ = softmax over i of (keyᵢⱼ · queryⱼ + teacher placeⱼ · student placeᵢ) / √features
/// ```
///
/// The last normalization is over the samples and the layers of the student together. Gradients
/// also flow to the student through its keys. The maps of the teacher are constants, but the layers
/// of the queries are trained.
///
/// # Reference
///
/// `Attention` of the authors' code of M. Ji, B. Heo and S. Park, [Show, Attend and Distill](
/// https://arxiv.org/abs/2102.02973), AAAI 2021.
#[derive(Module, Debug)]
pub struct LinkAttention {
    /// Learned position embedding of each layer of the teacher. Shape: `[layers, features]`.
    pub teacher_places: Param<Tensor<2>>,
    /// Learned position embedding of each layer of the student. Shape: `[layers, features]`.
    pub student_places: Param<Tensor<2>>,
    /// Key layer of each layer of the student.
    pub keys: Vec<NormalizedLinear>,
    /// Layer from a key to one key for each layer of the teacher.
    pub bilinear: NormalizedLinear,
    /// Query layer of each layer of the teacher.
    pub queries: Vec<NormalizedLinear>,
}

impl LinkAttention {
    /// Computes the attention weights of one batch.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, channels, height, width]` each
    /// - output: `[batch_size, teacher_layers, student_layers]`
    pub fn forward(&self, student: &[Tensor<4>], teacher: &[Tensor<4>]) -> Tensor<3> {
        let [student_layers, features] = self.student_places.dims();
        let teacher_layers = self.queries.len();
        let embed = |layers: &[NormalizedLinear], maps: &[Tensor<4>]| -> Tensor<3> {
            let vectors = layers.iter().zip(maps).map(|(layer, map)| {
                let pooled = global_average(map.clone());
                layer.forward(pooled)
            });
            Tensor::stack(vectors.collect(), 1)
        };
        let queries = embed(&self.queries, teacher);
        let keys = relu(embed(&self.keys, student));

        let rows = keys.flatten::<2>(0, 1);
        let keys = self.bilinear.forward(rows).reshape([
            -1,
            student_layers as i32,
            teacher_layers as i32,
            features as i32,
        ]);
        let products: Tensor<3> = keys.mul(queries.unsqueeze_dim(1)).sum_dim(3).squeeze_dim(3);
        let places = self
            .teacher_places
            .val()
            .matmul(self.student_places.val().transpose());
        let scores = products.swap_dims(1, 2).add(places.unsqueeze());
        softmax(scores.div_scalar((features as f64).sqrt()), 2)
    }
}

/// A linear layer followed by batch normalization.
#[derive(Module, Debug)]
pub struct NormalizedLinear {
    /// Linear layer.
    pub linear: Linear,
    /// Normalization of its output.
    pub norm: BatchNorm,
}

impl NormalizedLinear {
    fn new([inputs, outputs]: [usize; 2], device: &Device) -> Self {
        Self {
            linear: LinearConfig::new(inputs, outputs).init(device),
            norm: norm(outputs, device),
        }
    }

    fn forward(&self, rows: Tensor<2>) -> Tensor<2> {
        batch_norm(&self.norm, self.linear.forward(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_refused() {
        let error = |config: LinkAttentionConfig| config.check().unwrap_err().to_string();

        let config = LinkAttentionConfig::new(vec![2, 3], vec![4]);
        assert!(config.check().is_ok());
        assert_eq!(
            error(config.with_features(0)),
            "`features` should be at least 1, but is 0"
        );
        for (student, teacher, found) in [
            (
                vec![],
                vec![4],
                "`student` should be the channels of at least one map, each at \
                least 1, but is []",
            ),
            (
                vec![2],
                vec![0],
                "`teacher` should be the channels of at least one map, each at \
                least 1, but is [0]",
            ),
        ] {
            assert_eq!(error(LinkAttentionConfig::new(student, teacher)), found);
        }
    }

    use burn::tensor::Distribution;

    #[test]
    fn the_weights_of_the_students_layers_sum_to_one() {
        let device = Device::default();
        let attention = LinkAttentionConfig::new(vec![2, 3, 4], vec![5, 6])
            .with_features(8)
            .init(&device);
        let map = |shape: [usize; 4]| Tensor::random(shape, Distribution::Default, &device);

        let weights = attention.forward(
            &[map([4, 2, 6, 5]), map([4, 3, 3, 3]), map([4, 4, 1, 1])],
            &[map([4, 5, 6, 5]), map([4, 6, 2, 2])],
        );

        assert_eq!(weights.dims(), [4, 2, 3]);
        let error = weights.sum_dim(2).sub_scalar(1.0).abs().max();
        assert!(error.into_scalar::<f32>() < 1e-5);
    }

    #[test]
    fn keys_without_activation_do_not_depend_on_the_student() {
        let device = Device::default();
        let mut attention = LinkAttentionConfig::new(vec![2, 3], vec![5])
            .with_features(8)
            .init(&device);
        for key in &mut attention.keys {
            key.norm.beta = Param::from_tensor(Tensor::full([8], -100.0, &device));
        }
        let map = |shape: [usize; 4]| Tensor::random(shape, Distribution::Default, &device);
        let teacher = [map([4, 5, 3, 3])];

        let [one, other] =
            [0, 1].map(|_| attention.forward(&[map([4, 2, 6, 5]), map([4, 3, 3, 3])], &teacher));

        one.into_data().assert_eq(&other.into_data(), true);
    }

    #[test]
    fn the_query_layers_train() {
        let device = Device::default().autodiff();
        let attention = LinkAttentionConfig::new(vec![2, 3], vec![5])
            .with_features(8)
            .init(&device);
        let map = |shape: [usize; 4]| Tensor::random(shape, Distribution::Default, &device);

        let weights = attention.forward(
            &[map([4, 2, 6, 5]), map([4, 3, 3, 3])],
            &[map([4, 5, 6, 5]).without_autodiff()],
        );
        let grads = weights.square().sum().backward();

        for layer in [
            &attention.queries[0],
            &attention.keys[1],
            &attention.bilinear,
        ] {
            let gradient = layer.linear.weight.grad(&grads).unwrap();
            assert!(gradient.abs().max().into_scalar::<f32>() > 0.0);
        }
    }
}
