use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Bool, Device, Distribution, Tensor, assert_shape};
use burn_distill_core::numeric::{
    as_precise_as, at_least_f32, connected_zero, cross_entropy_rows, l2_normalize,
    tempered_log_softmax,
};
use burn_distill_core::{
    BYTES_PER_NUMBER, Buffer, CatalogEntry, Check, ConfigError, DefaultTaps, Input, LossEntry,
    NamedLoss, Tap, TapLoss, TapPair, TapPairs, check, one_line_display, trained_bytes,
};

/// Configuration to create a [relational representation loss](RelationalRepresentationLoss) using
/// the [init function](RelationalRepresentationLossConfig::init).
#[derive(Config, Debug)]
pub struct RelationalRepresentationLossConfig {
    /// Number of features of the space in which student and teacher are compared. Default: `128`.
    #[config(default = 128)]
    pub embedding: usize,
    /// Number of embeddings of the teacher in the queue. Default: `16384`.
    #[config(default = 16384)]
    pub queue: usize,
    /// Temperature of the student's similarities. Must be positive and finite. Default: `0.1`.
    #[config(default = 0.1)]
    pub student_temperature: f64,
    /// Temperature of the teacher's similarities. Must be positive and finite. Default: `0.02`.
    #[config(default = 0.02)]
    pub teacher_temperature: f64,
}

impl RelationalRepresentationLossConfig {
    /// Creates a [relational representation loss](RelationalRepresentationLoss) for these numbers
    /// of features of the student and of the teacher.
    ///
    /// # Panics
    ///
    /// Panics if a temperature is not positive and finite, or if a size is zero.
    pub fn init(
        &self,
        [student, teacher]: [usize; 2],
        device: &Device,
    ) -> RelationalRepresentationLoss {
        self.assert_valid();
        // The distribution of PyTorch's linear layers: the projection is never trained.
        let bound = (1.0 / teacher as f64).sqrt();
        let layer = Distribution::Uniform(-bound, bound);
        // Normally distributed rows of unit length point in every direction.
        let normal = Distribution::Normal(0.0, 1.0);
        let queue = Tensor::random([self.queue, self.embedding], normal, device);
        RelationalRepresentationLoss {
            student_embedding: LinearConfig::new(student, self.embedding).init(device),
            teacher_weight: Buffer::new(Tensor::random([teacher, self.embedding], layer, device)),
            teacher_bias: Buffer::new(Tensor::random([1, self.embedding], layer, device)),
            queue: Buffer::new(l2_normalize(queue, 1)),
            student_temperature: self.student_temperature,
            teacher_temperature: self.teacher_temperature,
        }
    }
}

impl Check for RelationalRepresentationLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("student_temperature", self.student_temperature)?;
        check::temperature("teacher_temperature", self.teacher_temperature)?;
        check::at_least("queue", self.queue, 1)?;
        check::count_in("embedding", self.embedding, 1..=65_536)
    }
}

/// Relational representation distillation (RRD): matches the similarities between each sample and a
/// queue of earlier samples.
///
/// The queue holds the latest embeddings by the teacher, including those of the current batch.
///
/// ```text
/// s = normalize(W student + b)
/// t = normalize(R teacher + r)                         R and r are random and fixed
/// P = softmax(t · queueᵀ / teacher_temperature)
/// Q = softmax(s · queueᵀ / student_temperature)
/// L = −mean over samples of Σ P log Q
/// ```
///
/// The teacher has the lower temperature, so that only a few neighbors count. The minimum is the
/// entropy of `P`, not zero. No gradient flows to the teacher or the queue; the student's embedding
/// is trained, the teacher's projection is not. Queue and projection are part of the record. Half
/// precision is widened to single.
///
/// # Weights
///
/// The authors use a weight of 1 beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective).
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_relation::RelationalRepresentationLossConfig;
///
/// let device = Device::default();
/// let config = RelationalRepresentationLossConfig::new().with_queue(16);
/// let loss = config.init([4, 8], &device);
///
/// let value = loss.forward(Tensor::ones([2, 4], &device), Tensor::ones([2, 8], &device));
/// assert!(value.into_scalar::<f32>().is_finite());
/// ```
///
/// # Reference
///
/// N. Giakoumoglou and T. Stathaki, [Relational Representation
/// Distillation](https://arxiv.org/abs/2407.12073), 2024. Agrees with `RRD` of the authors'
/// distillers, with two exceptions. The rows of the initial queue are normally distributed and of
/// unit length, while the authors normalize each column; this matters until the queue has been
/// filled once. And the teacher's projection, which never has a gradient, has no weight decay.
#[doc(alias = "RRD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct RelationalRepresentationLoss {
    /// Linear embedding of the student's features.
    pub student_embedding: Linear,
    /// Fixed random projection of the teacher's features. Shape: `[teacher_features, embedding]`.
    pub teacher_weight: Buffer<Tensor<2>>,
    /// Bias of that projection. Shape: `[1, embedding]`.
    pub teacher_bias: Buffer<Tensor<2>>,
    /// Latest embeddings by the teacher, the newest last. Shape: `[queue, embedding]`.
    pub queue: Buffer<Tensor<2>>,
    /// Temperature of the student's similarities.
    pub student_temperature: f64,
    /// Temperature of the teacher's similarities.
    pub teacher_temperature: f64,
}

one_line_display!(
    RelationalRepresentationLoss: student_embedding,
    student_temperature,
    teacher_temperature
);

impl RelationalRepresentationLoss {
    /// Computes the loss of a batch and adds the batch to the queue.
    ///
    /// # Shapes
    ///
    /// - student: `[batch_size, student_features]`
    /// - teacher: `[batch_size, teacher_features]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the batch sizes differ.
    pub fn forward(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(teacher, [batch_size, _]);
        let student = at_least_f32(student);
        let teacher = at_least_f32(teacher.without_autodiff());

        let student = l2_normalize(self.student_embedding.forward(student), 1);
        let constant = |of: &Buffer<Tensor<2>>| as_precise_as(of.get(), &teacher);
        let (weight, bias) = (constant(&self.teacher_weight), constant(&self.teacher_bias));
        let teacher = teacher.matmul(weight).add(bias);
        self.forward_embedded(student, l2_normalize(teacher, 1))
    }

    /// Computes the loss of embedded samples and adds them to the queue.
    ///
    /// # Shapes
    ///
    /// - student, teacher: unit vectors `[batch_size, embedding]`
    /// - output: `[1]`
    pub fn forward_embedded(&self, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
        let [batch_size, embedding] = student.dims();
        if batch_size == 0 {
            return connected_zero(student);
        }
        let teacher = teacher.without_autodiff();
        let queue = as_precise_as(self.queue.get(), &teacher);
        let length = queue.dims()[0];
        // The oldest embeddings are first, and are dropped to make room for the batch.
        let queue = Tensor::cat(vec![queue, teacher.clone()], 0)
            .slice([batch_size..batch_size + length, 0..embedding]);
        self.queue.set(queue.clone());

        let similarities = |rows: Tensor<2>| rows.matmul(queue.clone().transpose());
        let p = tempered_log_softmax(similarities(teacher), self.teacher_temperature).exp();
        let log_q = tempered_log_softmax(similarities(student), self.student_temperature);
        cross_entropy_rows(p, log_q).mean()
    }
}

impl NamedLoss for RelationalRepresentationLoss {
    fn name(&self) -> &'static str {
        "relational-representation"
    }
}

impl TapLoss for RelationalRepresentationLoss {
    fn forward_taps(&self, student: Tap, teacher: Tap, mask: Option<Tensor<2, Bool>>) -> Tensor<1> {
        let [student, teacher] = [student, teacher].map(|tap| tap.zero_padding(mask.as_ref()));
        self.forward(student.into_vectors(), teacher.into_vectors())
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "relational-representation",
        abbreviation: "RRD",
        about: "matches similarities to a queue of samples",
        kind: "relation",
        aliases: &["rrd"],
        reference: "Giakoumoglou and Stathaki, Relational Representation Distillation, 2024",
    };
    LossEntry::new(catalog, 1.0, |mut builder| {
        let (student, teacher) = builder.pair(DefaultTaps::Pooled)?;
        let features = builder.vector_sizes(&student, &teacher)?;
        let context = builder.context();
        let config = builder.configure(RelationalRepresentationLossConfig::new())?;
        let (batch, embedding) = (context.batch_size as f64, config.embedding as f64);
        let embeddings = trained_bytes((features[0] + features[1]) as f64 * embedding);
        context.fits("embedding", config.embedding, embeddings)?;
        let queue = BYTES_PER_NUMBER * config.queue as f64 * (embedding + 2.0 * batch);
        context.fits("queue", config.queue, queue)?;
        let loss = config.init(features, &context.device);
        builder.term(TapPairs::from([TapPair::new(student, teacher, loss)]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::{initialize, tensors};

    fn loss(device: &Device) -> RelationalRepresentationLoss {
        let config = RelationalRepresentationLossConfig::new();
        initialize(config.with_embedding(4).with_queue(6).init([3, 5], device))
    }

    fn batch(device: &Device) -> (Tensor<2>, Tensor<2>) {
        let features = |count: usize| {
            let values = Tensor::arange(0..4 * count as i64, device).float();
            values.mul_scalar(0.7).sin().reshape([4, count])
        };
        (features(3), features(5))
    }

    #[test]
    fn the_students_embedding_trains_and_the_teacher_does_not() {
        let device = Device::default().autodiff();
        let loss = loss(&device);
        let (student, teacher) = batch(&device);
        let (student, teacher) = (
            student.detach().require_grad(),
            teacher.detach().require_grad(),
        );

        let value = loss.forward(student.clone(), teacher.clone());
        let grads = value.backward();

        assert!(student.grad(&grads).is_some() && teacher.grad(&grads).is_none());
        assert!(loss.student_embedding.weight.grad(&grads).is_some());
    }

    #[test]
    fn a_restored_loss_continues_like_the_original() {
        let device = Device::default();
        let original = loss(&device);
        let (student, teacher) = batch(&device);
        original.forward(student.clone(), teacher.clone());

        let restored = loss(&device).load_record(original.clone().into_record());
        assert_eq!(tensors(&restored), tensors(&original));
        let [a, b] = [&original, &restored].map(|loss| {
            loss.forward(student.clone(), teacher.clone())
                .into_scalar::<f32>()
        });

        assert_eq!(a, b);
        assert_eq!(tensors(&restored), tensors(&original));
    }

    #[test]
    fn the_first_queue_points_in_every_direction() {
        let config = RelationalRepresentationLossConfig::new().with_queue(512);
        let queue = config.init([3, 5], &Device::default()).queue.get();

        let number = |tensor: Tensor<1>| tensor.into_scalar::<f64>();
        let negative = number(queue.clone().lower_elem(0.0).float().mean());
        assert!((0.45..0.55).contains(&negative), "{negative} are negative");
        // The mean cosine with the diagonal, whose entries are 1, and without it.
        let cosines = number(queue.clone().matmul(queue.transpose()).mean());
        let cosine = (cosines - 1.0 / 512.0) * 512.0 / 511.0;
        assert!(cosine.abs() < 0.01, "the mean cosine is {cosine}");
    }

    #[test]
    fn a_batch_larger_than_the_queue_fills_it() {
        let device = Device::default();
        let loss = loss(&device);
        let rows = |count| Tensor::<2>::ones([count, 4], &device).mul_scalar(0.5);

        loss.forward_embedded(rows(9), rows(9));

        let queue = loss.queue.get();
        assert_eq!(queue.dims(), [6, 4]);
        assert!(queue.equal_scalar(0.5).all().into_scalar::<bool>());
    }

    #[test]
    fn degenerate_batches_have_finite_losses_and_gradients() {
        let device = Device::default().autodiff();
        for (count, scale) in [(4, 0.0), (4, 1e4), (1, 1.0), (0, 1.0)] {
            let loss = loss(&device);
            let (student, teacher) = batch(&device);
            let student = student.slice([0..count, 0..3]).mul_scalar(scale);
            let student = student.detach().require_grad();
            let value = loss.forward(student.clone(), teacher.slice([0..count, 0..5]));
            let grads = value.clone().backward();
            assert!(value.into_scalar::<f32>().is_finite());
            let grad = student.grad(&grads).unwrap();
            assert!(count == 0 || !grad.is_nan().any().into_scalar::<bool>());
        }
    }
}
