use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Tensor, assert_shape};
use burn_distill_core::numeric::l2_normalize;
use burn_distill_core::{Check, ConfigError, check};

/// Configuration to create a [semantic attention](SemanticAttention) using the
/// [init function](SemanticAttentionConfig::init).
#[derive(Config, Debug)]
pub struct SemanticAttentionConfig {
    /// Number of layers of the student.
    pub student: usize,
    /// Number of layers of the teacher.
    pub teacher: usize,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Temperature that divides the products of queries and keys. Must be positive and finite.
    /// Default: `1.0`.
    #[config(default = 1.0)]
    pub temperature: f64,
}

impl SemanticAttentionConfig {
    /// Creates a [semantic attention](SemanticAttention).
    ///
    /// # Panics
    ///
    /// Panics if there is no layer of the student or of the teacher, if the batch size is zero, or
    /// if the temperature is not positive and finite.
    pub fn init(&self, device: &Device) -> SemanticAttention {
        self.assert_valid();
        let embeddings = |count: usize| {
            (0..count)
                .map(|_| SimilarityEmbedding::new(self.batch_size, device))
                .collect()
        };
        SemanticAttention {
            queries: embeddings(self.student),
            keys: embeddings(self.teacher),
            batch_size: self.batch_size,
            temperature: self.temperature,
        }
    }
}

impl Check for SemanticAttentionConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::at_least("student", self.student, 1)?;
        check::at_least("teacher", self.teacher, 1)?;
        check::at_least("batch_size", self.batch_size, 1)?;
        check::temperature("temperature", self.temperature)
    }
}

/// Attention weights of the teacher's layers for each layer of the student, sample by sample. The
/// weight of two layers is large if the similarities between the samples of the batch are alike in
/// both.
///
/// ```text
/// similarity(F) = F Fᵀ,    F flattened, one row per sample
/// queryᵢ = embeddingᵢ(similarity(studentᵢ)),  keyⱼ = embeddingⱼ(similarity(teacherⱼ))
/// attentionᵢⱼ = softmax over j of queryᵢ · keyⱼ / temperature
/// ```
///
/// The input of an embedding is the similarities of a sample to all samples of the batch, so the
/// batch size is fixed. Gradients also flow to the student through its similarities. The maps of
/// the teacher are constants.
///
/// # Reference
///
/// D. Chen et al., [Cross-Layer Distillation with Semantic
/// Calibration](https://arxiv.org/abs/2012.03236), AAAI 2021. Agrees with recordings of `SelfA` of
/// the authors' code, gradients included.
#[derive(Module, Debug)]
pub struct SemanticAttention {
    /// Query embedding of each layer of the student.
    pub queries: Vec<SimilarityEmbedding>,
    /// Key embedding of each layer of the teacher.
    pub keys: Vec<SimilarityEmbedding>,
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Temperature that divides the products of queries and keys.
    pub temperature: f64,
}

impl SemanticAttention {
    /// Computes the attention weights of one batch.
    ///
    /// # Shapes
    ///
    /// - student, teacher: `[batch_size, _, _, _]` each
    /// - output: `[batch_size, student_layers, teacher_layers]`
    ///
    /// # Panics
    ///
    /// Panics if the attention was created for another batch size.
    pub fn forward(&self, student: &[Tensor<4>], teacher: &[Tensor<4>]) -> Tensor<3> {
        let embed = |embeddings: &[SimilarityEmbedding], maps: &[Tensor<4>]| -> Tensor<3> {
            let pairs = embeddings.iter().zip(maps);
            let vectors = pairs.map(|(embedding, map)| embedding.forward(map.clone()));
            Tensor::stack(vectors.collect(), 1)
        };
        let queries = embed(&self.queries, student);
        let keys = embed(&self.keys, teacher).swap_dims(1, 2);
        softmax(queries.matmul(keys).div_scalar(self.temperature), 2)
    }
}

/// Embedding of the similarities of a sample to all samples of the batch, as a unit vector: two
/// linear layers with a ReLU between them.
#[derive(Module, Debug)]
pub struct SimilarityEmbedding {
    /// First layer, from one similarity per sample of the batch.
    pub hidden: Linear,
    /// Second layer.
    pub output: Linear,
}

impl SimilarityEmbedding {
    fn new(batch_size: usize, device: &Device) -> Self {
        let features = (batch_size / 4).max(1);
        Self {
            hidden: LinearConfig::new(batch_size, 2 * features).init(device),
            output: LinearConfig::new(2 * features, features).init(device),
        }
    }

    /// Computes one unit vector per sample from the maps of the batch.
    ///
    /// # Shapes
    ///
    /// - map: `[batch_size, channels, height, width]`
    /// - output: `[batch_size, max(batch_size / 4, 1)]`
    ///
    /// # Panics
    ///
    /// Panics if the embedding was created for another batch size.
    pub fn forward(&self, map: Tensor<4>) -> Tensor<2> {
        let [batch_size, _] = self.hidden.weight.dims();
        assert_shape!(map, [batch_size, _, _, _]);
        let rows = map.flatten::<2>(1, 3);
        let similarity = rows.clone().matmul(rows.transpose());
        let hidden = relu(self.hidden.forward(similarity));
        l2_normalize(self.output.forward(hidden), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    fn attention(temperature: f64, map: Tensor<4>) -> Tensor<3> {
        let device = map.device();
        let attention = SemanticAttentionConfig::new(2, 3, 8)
            .with_temperature(temperature)
            .init(&device);
        let teacher = [1.0, -2.0, 0.5].map(|scale| map.clone().detach().exp().mul_scalar(scale));
        attention.forward(&[map.clone(), map.mul_scalar(2.0)], &teacher)
    }

    #[test]
    fn the_weights_sum_to_one_and_become_even_with_temperature() {
        let device = Device::default();
        let map = || Tensor::random([8, 4, 3, 3], Distribution::Default, &device);

        let cold = attention(0.1, map());
        let warm = attention(1e6, map());

        assert_eq!(cold.dims(), [8, 2, 3]);
        let sum = cold.clone().sum_dim(2).sub_scalar(1.0).abs().max();
        assert!(sum.into_scalar::<f32>() < 1e-5);
        let uneven = |attention: Tensor<3>| {
            let distance = attention.sub_scalar(1.0 / 3.0).abs().max();
            distance.into_scalar::<f32>()
        };
        assert!(uneven(cold) > 0.1);
        assert!(uneven(warm) < 1e-4);
    }

    #[test]
    fn gradients_flow_through_the_similarities() {
        let device = Device::default().autodiff();
        let gradient = || {
            let map = Tensor::random([8, 4, 3, 3], Distribution::Default, &device).require_grad();
            let grads = attention(1.0, map.clone()).square().sum().backward();
            let gradient = map.grad(&grads).unwrap().abs().max();
            gradient.into_scalar::<f32>()
        };

        // With some initial weights, the ReLU is zero for all of the few hidden features.
        assert!((0..20).any(|_| gradient() > 0.0));
    }

    #[test]
    #[should_panic(expected = "map")]
    fn another_batch_size_is_refused() {
        let map = Tensor::zeros([7, 4, 3, 3], &Device::default());
        attention(1.0, map);
    }
}
