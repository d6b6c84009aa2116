use crate::SampleIndex;
use burn::config::Config;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData, assert_shape};
use burn_distill_core::numeric::{as_precise_as, at_least_f32, connected_zero, l2_normalize};
use burn_distill_core::{
    BYTES_PER_NUMBER, Buffer, CatalogEntry, Check, Clock, ConfigError, Context, DefaultTaps, Input,
    KeyedRng, LossEntry, LossError, LossTerm, NamedLoss, Requirements, TapSelection, check,
    indices, one_line_display, trained_bytes,
};
use std::sync::Arc;

/// Added to the denominators of the probabilities.
const EPS: f64 = 1e-7;

/// Definition of the positive that a sample is matched with.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum Positive {
    /// Embedding of the same sample by the other network.
    Exact,
    /// A randomly drawn sample of the same class.
    Relaxed,
}

/// Configuration to create a [contrastive loss](ContrastiveLoss) using the
/// [init function](ContrastiveLossConfig::init).
#[derive(Config, Debug)]
pub struct ContrastiveLossConfig {
    /// Number of features of the space in which student and teacher are compared. Default: `128`.
    #[config(default = 128)]
    pub embedding: usize,
    /// Number of negatives: samples of other classes that each sample is contrasted with. Default:
    /// `16384`.
    #[config(default = 16384)]
    pub negatives: usize,
    /// Temperature that similarities are divided by. Must be positive and finite. Default: `0.07`.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// Share of an entry of the memory bank that is kept when its sample is seen again, from 0 to
    /// 1. Default: `0.5`.
    #[config(default = 0.5)]
    pub momentum: f64,
    /// Definition of the positive of a sample. Default: `Exact`.
    #[config(default = "Positive::Exact")]
    pub positive: Positive,
    /// Whether all samples of a batch share one set of negatives, in which each sample ignores the
    /// negatives of the same class. This needs much less memory but draws different negatives.
    /// Default: `false`.
    #[config(default = false)]
    pub shared: bool,
    /// Seed of the draws of positives and negatives. Default: `0`.
    #[config(default = 0)]
    pub seed: u64,
}

impl ContrastiveLossConfig {
    /// Creates a [contrastive loss](ContrastiveLoss) for these numbers of features of the student
    /// and of the teacher, and for the samples of a training set.
    ///
    /// # Panics
    ///
    /// Panics if there are no samples, if `negatives` is zero, if `temperature` is not positive and
    /// finite, or if `momentum` is not between 0 and 1.
    pub fn init(
        &self,
        [student, teacher]: [usize; 2],
        sample_index: SampleIndex,
        device: &Device,
    ) -> ContrastiveLoss {
        self.assert_valid();
        assert!(
            !sample_index.is_empty(),
            "A contrastive loss needs at least one sample of the training set, found none."
        );
        // The authors draw rows of about unit length, too.
        let bound = (3.0 / self.embedding as f64).sqrt();
        let bank = || {
            let shape = [sample_index.len(), self.embedding];
            Buffer::new(Tensor::random(
                shape,
                Distribution::Uniform(-bound, bound),
                device,
            ))
        };
        let unset = || Buffer::new(Tensor::full([1], -1.0, device));
        let embedding = |features| LinearConfig::new(features, self.embedding).init(device);
        ContrastiveLoss {
            student_embedding: embedding(student),
            teacher_embedding: embedding(teacher),
            student_bank: bank(),
            teacher_bank: bank(),
            student_constant: unset(),
            teacher_constant: unset(),
            negatives: self.negatives,
            temperature: self.temperature,
            momentum: self.momentum,
            positive: self.positive,
            shared: self.shared,
            seed: self.seed,
            sample_index: Arc::new(sample_index),
        }
    }
}

impl Check for ContrastiveLossConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::temperature("temperature", self.temperature)?;
        check::in_range("momentum", self.momentum, 0.0..=1.0)?;
        check::at_least("negatives", self.negatives, 1)?;
        check::count_in("embedding", self.embedding, 1..=65_536)
    }
}

/// Contrastive representation distillation (CRD): a sample's embedding by one network should be
/// near its embedding by the other network, and far from those of other samples.
///
/// Linear layers embed both networks' features `x` in one space. A memory bank per network holds
/// the last embedding of every training sample. With `n` samples, `N` negatives, `i = 0` the
/// positive,
///
/// ```text
/// v = normalize(W x + b)
/// Pᵢ = exp(v · memoryᵢ / temperature) / Z        memory of the other network
/// c = N / n
/// L(v) = −log(P₀ / (P₀ + c + 1e-7)) − Σᵢ log(c / (Pᵢ + c + 1e-7))
/// L = mean over samples of L(v of the student) + L(v of the teacher)
/// memory of the sample ← normalize(momentum · memory + (1 − momentum) · v)     in both banks
/// ```
///
/// `Z` is `n` times the mean of the exponentials in the first batch, and constant afterwards.
/// Negatives are samples of other classes, drawn anew for each sample and step, without repetition
/// unless there are too few; for a sample of unknown class, all other samples may be negatives.
/// Scores are computed for a whole bank and then gathered, so that no tensor of `[batch_size,
/// negatives, embedding]` is ever held.
///
/// With `shared` negatives, each sample ignores the negatives of the same class, so fewer than `N`
/// count for it; `c` stays `N / n`, and `Z` includes all scores. This is our choice: the authors
/// share no negatives.
///
/// No gradient flows to the teacher's features or the memory banks; both embeddings are trained.
/// Banks and constants are part of the record. Samples outside the training set, such as those of a
/// validation set, have no entry in the banks and are ignored; if a batch has no other samples the
/// loss is zero, still connected to the autodiff graph. Half precision is widened to single.
///
/// # Weights
///
/// The authors use a weight of 0.8 beside the [cross-entropy with the
/// labels](burn_distill_core::CrossEntropyObjective). The initial loss is about
/// `2 (1 + log(N + 1))`, because it sums over the negatives instead of averaging.
///
/// # Reference
///
/// Y. Tian, D. Krishnan and P. Isola, [Contrastive Representation
/// Distillation](https://arxiv.org/abs/1910.10699), ICLR 2020. Agrees with `ContrastMemory` and
/// `ContrastLoss` of the authors' RepDistiller; if a sample occurs twice in a batch, its last
/// occurrence updates the bank.
#[doc(alias = "CRD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ContrastiveLoss {
    /// Linear embedding of the student's features.
    pub student_embedding: Linear,
    /// Linear embedding of the teacher's features.
    pub teacher_embedding: Linear,
    /// Memory bank of the student: its last embedding of each sample. Shape:
    /// `[samples, embedding]`.
    pub student_bank: Buffer<Tensor<2>>,
    /// Memory bank of the teacher: its last embedding of each sample. Shape:
    /// `[samples, embedding]`.
    pub teacher_bank: Buffer<Tensor<2>>,
    /// `Z` of the student's scores; negative before the first batch. Shape: `[1]`.
    pub student_constant: Buffer<Tensor<1>>,
    /// `Z` of the teacher's scores; negative before the first batch. Shape: `[1]`.
    pub teacher_constant: Buffer<Tensor<1>>,
    /// Number of samples of other classes that each sample is contrasted with.
    pub negatives: usize,
    /// Temperature that similarities are divided by.
    pub temperature: f64,
    /// Share of an entry of the memory bank that is kept when its sample occurs again.
    pub momentum: f64,
    /// Definition of the positive of a sample.
    #[module(skip)]
    pub positive: Positive,
    /// Whether all samples of a batch share one set of negatives.
    pub shared: bool,
    /// Seed of the draws of positives and negatives.
    pub seed: u64,
    /// The samples of the training set, in the order of the banks.
    #[module(skip)]
    pub sample_index: Arc<SampleIndex>,
}

one_line_display!(
    ContrastiveLoss: student_embedding,
    teacher_embedding,
    samples = |loss| Some(&loss.sample_index.len()),
    negatives,
    temperature,
    momentum,
    ?positive,
    shared
);

/// Positives and negatives of the samples of a batch, as rows of the memory banks.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per step")]
pub enum Contrast {
    /// Individual negatives for each sample: its positive, then its negatives. Shape:
    /// `[batch_size, 1 + N]`.
    Own(Tensor<2, Int>),
    /// One set of negatives shared by the batch.
    Shared {
        /// Row of each sample's positive. Shape: `[batch_size]`.
        positives: Tensor<1, Int>,
        /// Rows of the negatives. Shape: `[N]`.
        negatives: Tensor<1, Int>,
        /// One where a negative counts for a sample, zero where both are of the same class. Shape:
        /// `[batch_size, N]`.
        counts: Tensor<2>,
    },
}

impl ContrastiveLoss {
    /// Computes the loss of a batch, then updates the memory banks with its samples.
    ///
    /// # Shapes
    ///
    /// - student: features `[batch_size, student_features]`
    /// - teacher: features `[batch_size, teacher_features]`
    /// - ids: `batch_size` ids of samples
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the number of ids is not the number of rows.
    pub fn forward(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        ids: &[usize],
        clock: Clock,
    ) -> Tensor<1> {
        let [batch_size, _] = student.dims();
        assert_shape!(teacher, [batch_size, _]);
        assert_eq!(
            ids.len(),
            batch_size,
            "A contrastive loss needs one id per sample: expected {batch_size} ids, found {}.",
            ids.len()
        );
        let (student, teacher) = (
            at_least_f32(student),
            at_least_f32(teacher.without_autodiff()),
        );
        let (rows, places): (Vec<_>, Vec<_>) = (0..)
            .zip(ids)
            .filter_map(|(row, &id)| Some((row, self.sample_index.place(id)?)))
            .unzip();
        if rows.is_empty() {
            return connected_zero(student);
        }
        let device = student.device();
        let (student, teacher) = if rows.len() == batch_size {
            (student, teacher)
        } else {
            let rows = indices(&rows, &device);
            (student.select(0, rows.clone()), teacher.select(0, rows))
        };
        let student = l2_normalize(self.student_embedding.forward(student), 1);
        let teacher = l2_normalize(self.teacher_embedding.forward(teacher), 1);
        let contrast = self.contrast(&places, clock.step() as u64, &device);
        self.forward_embedded(student, teacher, &places, &contrast)
    }

    /// Computes the loss of embeddings against given positives and negatives, then updates the
    /// memory banks.
    ///
    /// # Shapes
    ///
    /// - student, teacher: unit vectors `[batch_size, embedding]`
    /// - places: row of each sample in the banks, `batch_size` in all
    /// - output: `[1]`
    pub fn forward_embedded(
        &self,
        student: Tensor<2>,
        teacher: Tensor<2>,
        places: &[usize],
        contrast: &Contrast,
    ) -> Tensor<1> {
        let (student_bank, teacher_bank) = (
            as_precise_as(self.student_bank.get(), &teacher),
            as_precise_as(self.teacher_bank.get(), &student),
        );
        let loss = self
            .side(
                student.clone(),
                &teacher_bank,
                contrast,
                &self.student_constant,
            )
            .add(self.side(
                teacher.clone(),
                &student_bank,
                contrast,
                &self.teacher_constant,
            ));

        self.update_bank(&self.student_bank, student, places);
        self.update_bank(&self.teacher_bank, teacher, places);
        loss
    }

    /// Returns the loss of one network's embeddings against the other's memory bank.
    fn side(
        &self,
        embedded: Tensor<2>,
        bank: &Tensor<2>,
        contrast: &Contrast,
        constant: &Buffer<Tensor<1>>,
    ) -> Tensor<1> {
        let [batch_size, _] = embedded.dims();
        let samples = self.sample_index.len() as f64;
        let (positives, negatives, counts) = match contrast {
            Contrast::Own(places) => {
                let [_, count] = places.dims();
                let scores = embedded
                    .matmul(bank.clone().transpose())
                    .gather(1, places.clone());
                let positives = scores.clone().slice([0..batch_size, 0..1]);
                (positives, scores.slice([0..batch_size, 1..count]), None)
            }
            Contrast::Shared {
                positives,
                negatives,
                counts,
            } => {
                let own = bank.clone().select(0, positives.clone());
                let others = bank.clone().select(0, negatives.clone());
                (
                    embedded.clone().mul(own).sum_dim(1),
                    embedded.matmul(others.transpose()),
                    Some(counts.clone()),
                )
            }
        };
        // Multiplied by the reciprocal: burn computes the gradient of a division by a scalar in
        // single precision throughout.
        let positives = positives.mul_scalar(self.temperature.recip());
        let negatives = negatives.mul_scalar(self.temperature.recip());
        let constant = {
            let scores = vec![positives.clone(), negatives.clone()];
            let scores = Tensor::cat(scores, 1).without_autodiff();
            let first = scores.exp().mean().mul_scalar(samples);
            let stored = as_precise_as(constant.get(), &first);
            let unset = stored.clone().lower_equal_scalar(0.0);
            let now = stored.mask_where(unset, first);
            constant.set(now.clone());
            now.log().unsqueeze::<2>()
        };
        // P / (P + c') and c / (P + c') through logarithms, because the exponentials would
        // overflow.
        let c = self.negatives as f64 / samples;
        let shift = (c + EPS).ln();
        let odds = |scores: Tensor<2>| scores.sub(constant.clone()).sub_scalar(shift);
        let found = log_sigmoid(odds(positives)).sum();
        let rejected = log_sigmoid(odds(negatives).neg()).sub_scalar(shift - c.ln());
        let rejected = match counts {
            Some(counts) => {
                let counts = counts.cast(rejected.dtype());
                rejected.mul(counts)
            }
            None => rejected,
        };
        let sum = found.add(rejected.sum());
        sum.mul_scalar(-(batch_size as f64).recip())
    }

    /// Moves the rows of a bank at these places towards new embeddings.
    fn update_bank(&self, bank: &Buffer<Tensor<2>>, embedded: Tensor<2>, places: &[usize]) {
        let old = as_precise_as(bank.rows(places), &embedded).mul_scalar(self.momentum);
        let new = embedded.without_autodiff().mul_scalar(1.0 - self.momentum);
        bank.set_rows(places, l2_normalize(old.add(new), 1));
    }

    /// Draws the positives and negatives for the samples at these places in one step.
    fn contrast(&self, places: &[usize], step: u64, device: &Device) -> Contrast {
        let sample_index = &self.sample_index;
        let mut positives = Vec::with_capacity(places.len());
        let mut rngs = (0..).map(|row| KeyedRng::new([self.seed, step, row, 0]));
        if self.shared {
            let mut rng = KeyedRng::new([self.seed, step, 0, 1]);
            let drawn: Vec<_> = if self.negatives <= sample_index.len() {
                rng.distinct(self.negatives, sample_index.len())
            } else {
                let samples = sample_index.len() as u64;
                let mut draw = || rng.below(samples) as usize;
                (0..self.negatives).map(|_| draw()).collect()
            };
            let mut counts = Vec::with_capacity(places.len() * drawn.len());
            for (&place, mut rng) in places.iter().zip(&mut rngs) {
                positives.push(self.positive_of(place, &mut rng));
                let others = drawn.iter().map(|&other| !sample_index.alike(place, other));
                counts.extend(others.map(|other| f32::from(u8::from(other))));
            }
            let shape = [places.len(), drawn.len()];
            return Contrast::Shared {
                positives: indices(&positives, device),
                negatives: indices(&drawn, device),
                counts: Tensor::from_data(TensorData::new(counts, shape), device),
            };
        }
        let mut rows = Vec::with_capacity(places.len() * (1 + self.negatives));
        for (&place, mut rng) in places.iter().zip(&mut rngs) {
            rows.push(self.positive_of(place, &mut rng));
            let others = sample_index.others(place, self.negatives, &mut rng);
            if others.is_empty() {
                // A training set of a single class has no negatives.
                return Contrast::Shared {
                    positives: indices(places, device),
                    negatives: indices(&[0], device),
                    counts: Tensor::zeros([places.len(), 1], device),
                };
            }
            rows.extend(others);
        }
        let rows = indices(&rows, device);
        Contrast::Own(rows.reshape([places.len(), 1 + self.negatives]))
    }

    fn positive_of(&self, place: usize, rng: &mut KeyedRng) -> usize {
        match self.positive {
            Positive::Exact => place,
            Positive::Relaxed => self.sample_index.similar(place, rng),
        }
    }
}

/// Term of the [contrastive loss](ContrastiveLoss) between one tap of the student and one of the
/// teacher. It requires the ids of the samples.
#[derive(Module, Debug)]
pub struct ContrastiveTerm {
    /// Contrastive loss.
    pub loss: ContrastiveLoss,
    /// Name of the student's tap.
    pub student: String,
    /// Name of the teacher's tap.
    pub teacher: String,
}

impl ContrastiveTerm {
    /// Creates the term of a loss between two taps.
    pub fn new(
        loss: ContrastiveLoss,
        student: impl Into<String>,
        teacher: impl Into<String>,
    ) -> Self {
        Self {
            loss,
            student: student.into(),
            teacher: teacher.into(),
        }
    }
}

impl NamedLoss for ContrastiveTerm {
    fn name(&self) -> &'static str {
        "contrastive"
    }
}

impl LossTerm for ContrastiveTerm {
    fn requirements(&self) -> Requirements {
        Requirements {
            student: TapSelection::named([&self.student]),
            teacher: TapSelection::named([&self.teacher]),
            ..Requirements::default()
        }
    }

    fn value(&self, context: &Context<'_>) -> Tensor<1> {
        let student = context.student.taps.expect(&self.student).into_vectors();
        let teacher = context.teacher.taps.expect(&self.teacher).into_vectors();
        self.loss
            .forward(student, teacher, context.ids, context.clock)
    }
}

/// Returns the entry of the loss for lists and recipes.
pub(crate) fn entry<I: Input>() -> LossEntry<I> {
    let catalog = CatalogEntry {
        name: "contrastive",
        abbreviation: "CRD",
        about: "contrasts each sample with those of a memory bank",
        kind: "relation",
        aliases: &["crd"],
        reference: "Tian, Krishnan and Isola, Contrastive Representation Distillation, ICLR \
            2020",
    };
    LossEntry::new(catalog, 0.8, |mut builder| {
        let (student, teacher) = builder.pair(DefaultTaps::Pooled)?;
        let features = builder.vector_sizes(&student, &teacher)?;
        let context = builder.context();
        let sample_index = SampleIndex::new(context.samples.iter().copied());
        let config = builder.configure(ContrastiveLossConfig::new())?;
        let (samples, batch) = (sample_index.len() as f64, context.batch_size as f64);
        let row = BYTES_PER_NUMBER * config.embedding as f64;
        let parameters = (features[0] + features[1]) as f64 * config.embedding as f64;
        let banks = 2.0 * samples * row + trained_bytes(parameters);
        context.fits("embedding", config.embedding, banks)?;
        // The rows of both banks that each sample of a batch is compared with.
        let compared = 2.0 * batch * (config.negatives as f64 + 1.0) * row;
        context.fits("negatives", config.negatives, compared)?;
        if sample_index.is_empty() {
            return Err(LossError::new(
                "A contrastive loss needs at least one sample of the training set, found none.",
            ));
        }
        let loss = config.init(features, sample_index, &context.device);
        builder.term(ContrastiveTerm::new(loss, student, teacher))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_distill_core::{tensors, testing::wave};

    const FEATURES: [usize; 2] = [3, 5];

    fn loss(config: &ContrastiveLossConfig, device: &Device) -> ContrastiveLoss {
        let classes = (0..20).map(|id| (id, Some(id % 4)));
        burn_distill_core::initialize(config.init(FEATURES, SampleIndex::new(classes), device))
    }

    fn small() -> ContrastiveLossConfig {
        ContrastiveLossConfig::new()
            .with_embedding(4)
            .with_negatives(6)
    }

    fn batch(device: &Device) -> (Tensor<2>, Tensor<2>) {
        let features = |count: usize, frequency| {
            let fill = wave(1.0, frequency, 0.3);
            let values: Vec<f32> = (0..4 * count).map(|n| fill(n) as f32).collect();
            Tensor::from_data(TensorData::new(values, [4, count]), device)
        };
        (features(3, 0.7), features(5, 0.4))
    }

    fn at(step: usize) -> Clock {
        Clock {
            epoch: 1,
            batch: step,
            batches: 100,
        }
    }

    const IDS: [usize; 4] = [3, 7, 12, 0];

    #[test]
    fn both_embeddings_train_and_the_teacher_does_not() {
        let device = Device::default().autodiff();
        for config in [small(), small().with_shared(true)] {
            let loss = loss(&config, &device);
            let (student, teacher) = batch(&device);
            let (student, teacher) = (student.require_grad(), teacher.require_grad());

            let value = loss.forward(student.clone(), teacher.clone(), &IDS, at(0));
            let grads = value.clone().backward();

            assert!(value.into_scalar::<f32>() > 0.0);
            assert!(student.grad(&grads).is_some() && teacher.grad(&grads).is_none());
            for embedding in [&loss.student_embedding, &loss.teacher_embedding] {
                assert!(embedding.weight.grad(&grads).is_some());
            }
        }
    }

    #[test]
    fn a_restored_loss_continues_like_the_original() {
        let device = Device::default();
        let original = loss(&small(), &device);
        let (student, teacher) = batch(&device);
        original.forward(student.clone(), teacher.clone(), &IDS, at(0));

        let restored = loss(&small(), &device).load_record(original.clone().into_record());
        assert_eq!(tensors(&restored), tensors(&original));
        let [a, b] = [&original, &restored].map(|loss| {
            let value = loss.forward(student.clone(), teacher.clone(), &IDS, at(1));
            value.into_scalar::<f32>()
        });

        assert_eq!(a, b);
        assert_eq!(tensors(&restored), tensors(&original));
    }

    #[test]
    fn the_first_batch_sets_the_constant() {
        let device = Device::default();
        let loss = loss(&small(), &device);
        let (student, teacher) = batch(&device);

        assert_eq!(loss.student_constant.get().into_scalar::<f32>(), -1.0);
        loss.forward(student.clone(), teacher.clone(), &IDS, at(0));
        let first = loss.student_constant.get().into_scalar::<f32>();
        loss.forward(student.mul_scalar(-2.0), teacher, &IDS, at(1));

        assert!(first > 0.0);
        assert_eq!(loss.student_constant.get().into_scalar::<f32>(), first);
    }

    #[test]
    fn samples_outside_the_training_set_do_not_count() {
        let device = Device::default().autodiff();
        let loss = loss(&small(), &device);
        let (student, teacher) = batch(&device);
        let before = tensors(&loss);

        let student = student.require_grad();
        let none = loss.forward(student.clone(), teacher.clone(), &[50, 60, 70, 80], at(0));
        let grads = none.clone().backward();
        assert_eq!(none.into_scalar::<f32>(), 0.0);
        assert!(student.grad(&grads).is_some());
        assert_eq!(tensors(&loss), before);

        let some = loss.forward(student, teacher, &[3, 60, 70, 80], at(0));
        assert!(some.into_scalar::<f32>() > 0.0);
        assert_ne!(tensors(&loss), before);
    }

    #[test]
    fn the_last_occurrence_of_a_sample_updates_the_bank() {
        let device = Device::default();
        let loss = loss(&small().with_momentum(0.0), &device);
        let (student, teacher) = batch(&device);

        loss.forward(student.clone(), teacher, &[3, 3, 12, 3], at(0));

        let place = loss.sample_index.place(3).unwrap();
        let memory = loss.student_bank.get().slice([place..place + 1, 0..4]);
        let last = l2_normalize(loss.student_embedding.forward(student), 1).slice([3..4, 0..4]);
        memory
            .into_data()
            .assert_approx_eq::<f32>(&last.into_data(), burn::tensor::Tolerance::default());
    }

    #[test]
    fn degenerate_batches_have_finite_losses_and_gradients() {
        let device = Device::default().autodiff();
        let single = SampleIndex::new((0..4).map(|id| (id, Some(0))));
        for loss in [
            loss(&small(), &device),
            loss(&small().with_positive(Positive::Relaxed), &device),
            small().init(FEATURES, single, &device),
        ] {
            for scale in [0.0, 1e4, 1e-4] {
                let (student, teacher) = batch(&device);
                let student = student.mul_scalar(scale).require_grad();
                let value = loss.forward(student.clone(), teacher, &[0, 1, 2, 3], at(0));
                let grads = value.clone().backward();
                assert!(value.into_scalar::<f32>().is_finite());
                let grad = student.grad(&grads).unwrap();
                assert!(!grad.is_nan().any().into_scalar::<bool>());
            }
        }
    }

    #[test]
    #[should_panic(expected = "expected 4 ids, found 1")]
    fn every_sample_needs_an_id() {
        let device = Device::default();
        let (student, teacher) = batch(&device);
        loss(&small(), &device).forward(student, teacher, &[0], at(0));
    }
}
