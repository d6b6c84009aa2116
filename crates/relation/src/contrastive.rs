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

/// Added to a sum of probabilities.
const EPS: f64 = 1e-7;

/// What a sample should be close to.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum Positive {
    /// The same sample as the other network sees it.
    Exact,
    /// Some sample of its class.
    Relaxed,
}

/// Configuration to create a [contrastive loss](ContrastiveLoss) using the
/// [init function](ContrastiveLossConfig::init).
#[derive(Config, Debug)]
pub struct ContrastiveLossConfig {
    /// Features of the space in which both are compared. Default: `128`.
    #[config(default = 128)]
    pub embedding: usize,
    /// How many samples of other classes a sample is contrasted with. Default: `16384`.
    #[config(default = 16384)]
    pub negatives: usize,
    /// What similarities are divided by. Must be positive and finite. Default: `0.07`.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// How much of a memory stays when its sample is seen again, from 0 to 1. Default: `0.5`.
    #[config(default = 0.5)]
    pub momentum: f64,
    /// What a sample should be close to. Default: `Exact`.
    #[config(default = "Positive::Exact")]
    pub positive: Positive,
    /// Whether all samples of a batch share one set of negatives, from which those of their own
    /// class are left out: much less memory, another draw. Default: `false`.
    #[config(default = false)]
    pub shared: bool,
    /// Decides what is drawn. Default: `0`.
    #[config(default = 0)]
    pub seed: u64,
}

impl ContrastiveLossConfig {
    /// Initialize a [contrastive loss](ContrastiveLoss) for that many features of the student and of
    /// the teacher, on a training set of these samples.
    ///
    /// # Panics
    ///
    /// Panics if there is no sample or no negative, if `temperature` is not positive and finite, or
    /// if `momentum` is not between 0 and 1.
    pub fn init(
        &self,
        [student, teacher]: [usize; 2],
        population: SampleIndex,
        device: &Device,
    ) -> ContrastiveLoss {
        self.assert_valid();
        assert!(
            !population.is_empty(),
            "A contrastive loss needs the samples of the training set."
        );
        // Each row of about unit length, as the authors draw it.
        let bound = (3.0 / self.embedding as f64).sqrt();
        let bank = || {
            let shape = [population.len(), self.embedding];
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
            population: Arc::new(population),
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

/// Contrastive representation distillation (CRD): of many samples, the student should tell which
/// one the teacher sees, and the other way round.
///
/// Both networks' features `x` are embedded in one space. A memory bank per network holds the last
/// embedding of every training sample. With `n` samples, `N` negatives, `i = 0` the positive,
///
/// ```text
/// v = normalize(W x + b)
/// Pᵢ = exp(v · memoryᵢ / temperature) / Z        memory of the other network
/// c = N / n
/// L(v) = −log(P₀ / (P₀ + c + 1e-7)) − Σᵢ log(c / (Pᵢ + c + 1e-7))
/// L = mean over samples of L(v of the student) + L(v of the teacher)
/// memory of the sample ← normalize(momentum · memory + (1 − momentum) · v)     in either bank
/// ```
///
/// `Z` is `n` times the mean of the exponentials in the first batch, and stays. Negatives are of
/// other classes, drawn anew for each sample and step, different from each other unless there are
/// too few; a sample whose class is not known has all others as negatives. Scores are computed for a
/// whole bank and then picked, so that no `[batch_size, negatives, embedding]` is ever held.
///
/// Of `shared` negatives, a sample leaves out those of its own class, so that fewer than `N` count
/// for it; `c` stays `N / n`, and `Z` is of all scores. That is our choice: the authors share none.
///
/// No gradient flows to the teacher's features or the memories; both embeddings train. Banks and
/// constants are part of the record. Samples that are not of the training set, such as those of a
/// validation, have no memory and do not count: without any other the loss is a connected zero. Half
/// precision is widened to single.
///
/// # Weights
///
/// The authors take 0.8 of it beside the [cross-entropy with the labels](burn_distill_core::CrossEntropyObjective).
/// At first the loss is about `2 (1 + log(N + 1))`: the sum over negatives is no mean.
///
/// # Reference
///
/// Y. Tian, D. Krishnan and P. Isola, [Contrastive Representation
/// Distillation](https://arxiv.org/abs/1910.10699), ICLR 2020. Agrees with `ContrastMemory` and
/// `ContrastLoss` of the authors' RepDistiller; a memory seen twice in a batch is that of the last.
#[doc(alias = "CRD")]
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ContrastiveLoss {
    /// Embeds the features of the student.
    pub student_embedding: Linear,
    /// Embeds the features of the teacher.
    pub teacher_embedding: Linear,
    /// What the student said last about each sample. Shape: `[samples, embedding]`.
    pub student_bank: Buffer<Tensor<2>>,
    /// What the teacher said last about each sample. Shape: `[samples, embedding]`.
    pub teacher_bank: Buffer<Tensor<2>>,
    /// `Z` of the student's scores; negative before the first batch. Shape: `[1]`.
    pub student_constant: Buffer<Tensor<1>>,
    /// `Z` of the teacher's scores; negative before the first batch. Shape: `[1]`.
    pub teacher_constant: Buffer<Tensor<1>>,
    /// How many samples of other classes a sample is contrasted with.
    pub negatives: usize,
    /// What similarities are divided by.
    pub temperature: f64,
    /// How much of a memory stays when its sample is seen again.
    pub momentum: f64,
    /// What a sample should be close to.
    #[module(skip)]
    pub positive: Positive,
    /// Whether all samples of a batch share one set of negatives.
    pub shared: bool,
    /// Decides what is drawn.
    pub seed: u64,
    /// The samples of the training set, in the order of the banks.
    #[module(skip)]
    pub population: Arc<SampleIndex>,
}

one_line_display!(
    ContrastiveLoss: student_embedding,
    teacher_embedding,
    samples = |loss| Some(&loss.population.len()),
    negatives,
    temperature,
    momentum,
    ?positive,
    shared
);

/// What the samples of a batch are compared with, by places in the banks.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one per step")]
pub enum Contrast {
    /// Each sample has its own: its positive, then its negatives. Shape: `[batch_size, 1 + N]`.
    Own(Tensor<2, Int>),
    /// All share one set of negatives.
    Shared {
        /// The place of each sample's positive. Shape: `[batch_size]`.
        positives: Tensor<1, Int>,
        /// The places of the negatives. Shape: `[N]`.
        negatives: Tensor<1, Int>,
        /// One where a negative counts for a sample, zero where it is of its class. Shape:
        /// `[batch_size, N]`.
        counts: Tensor<2>,
    },
}

impl ContrastiveLoss {
    /// The loss of the samples of a batch, which are then remembered.
    ///
    /// # Shapes
    ///
    /// - student: features `[batch_size, student_features]`
    /// - teacher: features `[batch_size, teacher_features]`
    /// - ids: `batch_size` of them
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if there are not as many rows and ids.
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
            "There should be an id for each of {batch_size} samples, but there are {}.",
            ids.len()
        );
        let (student, teacher) = (
            at_least_f32(student),
            at_least_f32(teacher.without_autodiff()),
        );
        let (rows, places): (Vec<_>, Vec<_>) = (0..)
            .zip(ids)
            .filter_map(|(row, &id)| Some((row, self.population.place(id)?)))
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

    /// The loss of embedded samples against a given contrast; they are then remembered.
    ///
    /// # Shapes
    ///
    /// - student, teacher: unit vectors `[batch_size, embedding]`
    /// - places: of the samples in the banks, `batch_size` of them
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

        self.remember(&self.student_bank, student, places);
        self.remember(&self.teacher_bank, teacher, places);
        loss
    }

    /// The loss of one network's embeddings against the other's memories.
    fn side(
        &self,
        embedded: Tensor<2>,
        bank: &Tensor<2>,
        contrast: &Contrast,
        constant: &Buffer<Tensor<1>>,
    ) -> Tensor<1> {
        let [batch_size, _] = embedded.dims();
        let samples = self.population.len() as f64;
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
        // Not divided: burn's gradient of a quotient by a number is in single precision throughout.
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
        // P / (P + c') and c / (P + c') by their logarithms: the exponentials would overflow.
        let c = self.negatives as f64 / samples;
        let shift = (c + EPS).ln();
        let odds = |scores: Tensor<2>| scores.sub(constant.clone()).sub_scalar(shift);
        let found = log_sigmoid(odds(positives)).sum();
        let told_apart = log_sigmoid(odds(negatives).neg()).sub_scalar(shift - c.ln());
        let told_apart = match counts {
            Some(counts) => {
                let counts = counts.cast(told_apart.dtype());
                told_apart.mul(counts)
            }
            None => told_apart,
        };
        let sum = found.add(told_apart.sum());
        sum.mul_scalar(-(batch_size as f64).recip())
    }

    /// Move the memories at these places towards these embeddings.
    fn remember(&self, bank: &Buffer<Tensor<2>>, embedded: Tensor<2>, places: &[usize]) {
        let old = as_precise_as(bank.rows(places), &embedded).mul_scalar(self.momentum);
        let new = embedded.without_autodiff().mul_scalar(1.0 - self.momentum);
        bank.set_rows(places, l2_normalize(old.add(new), 1));
    }

    /// What samples at these places are compared with in that step.
    fn contrast(&self, places: &[usize], step: u64, device: &Device) -> Contrast {
        let population = &self.population;
        let mut positives = Vec::with_capacity(places.len());
        let mut rngs = (0..).map(|row| KeyedRng::new([self.seed, step, row, 0]));
        if self.shared {
            let mut rng = KeyedRng::new([self.seed, step, 0, 1]);
            let drawn: Vec<_> = if self.negatives <= population.len() {
                rng.distinct(self.negatives, population.len())
            } else {
                let samples = population.len() as u64;
                let mut draw = || rng.below(samples) as usize;
                (0..self.negatives).map(|_| draw()).collect()
            };
            let mut counts = Vec::with_capacity(places.len() * drawn.len());
            for (&place, mut rng) in places.iter().zip(&mut rngs) {
                positives.push(self.positive_of(place, &mut rng));
                let others = drawn.iter().map(|&other| !population.alike(place, other));
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
            let others = population.others(place, self.negatives, &mut rng);
            if others.is_empty() {
                // A training set of one class has nothing to contrast with.
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
            Positive::Relaxed => self.population.similar(place, rng),
        }
    }
}

/// The term of the [contrastive loss](ContrastiveLoss) between one tap of the student and one of the
/// teacher. It needs the ids of the samples.
#[derive(Module, Debug)]
pub struct ContrastiveTerm {
    /// The loss.
    pub loss: ContrastiveLoss,
    /// The name of the student's tap.
    pub student: String,
    /// The name of the teacher's tap.
    pub teacher: String,
}

impl ContrastiveTerm {
    /// Creates the term of a loss between these taps.
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
        about: "tells each sample apart from many remembered ones",
        kind: "relation",
        aliases: &["crd"],
        reference: "Tian, Krishnan and Isola, Contrastive Representation Distillation, ICLR \
            2020",
    };
    LossEntry::new(catalog, 0.8, |mut builder| {
        let (student, teacher) = builder.pair(DefaultTaps::Pooled)?;
        let features = builder.vector_sizes(&student, &teacher)?;
        let context = builder.context();
        let population = SampleIndex::new(context.samples.iter().copied());
        let config = builder.configure(ContrastiveLossConfig::new())?;
        let (samples, batch) = (population.len() as f64, context.batch_size as f64);
        let row = BYTES_PER_NUMBER * config.embedding as f64;
        let parameters = (features[0] + features[1]) as f64 * config.embedding as f64;
        let banks = 2.0 * samples * row + trained_bytes(parameters);
        context.fits("embedding", config.embedding, banks)?;
        // The rows of either bank that each sample of a batch is compared with.
        let compared = 2.0 * batch * (config.negatives as f64 + 1.0) * row;
        context.fits("negatives", config.negatives, compared)?;
        if population.is_empty() {
            return Err(LossError::new(
                "A contrastive loss needs the samples of the training set.",
            ));
        }
        let loss = config.init(features, population, &context.device);
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
    fn what_is_saved_goes_on_as_if_it_had_not_stopped() {
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
    fn the_constant_is_that_of_the_first_batch() {
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
    fn samples_of_another_set_do_not_count() {
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
    fn of_a_sample_seen_twice_the_last_is_remembered() {
        let device = Device::default();
        let loss = loss(&small().with_momentum(0.0), &device);
        let (student, teacher) = batch(&device);

        loss.forward(student.clone(), teacher, &[3, 3, 12, 3], at(0));

        let place = loss.population.place(3).unwrap();
        let memory = loss.student_bank.get().slice([place..place + 1, 0..4]);
        let last = l2_normalize(loss.student_embedding.forward(student), 1).slice([3..4, 0..4]);
        memory
            .into_data()
            .assert_approx_eq::<f32>(&last.into_data(), burn::tensor::Tolerance::default());
    }

    #[test]
    fn hopeless_batches_have_finite_losses() {
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
    #[should_panic(expected = "There should be an id for each of 4 samples, but there are 1.")]
    fn every_sample_has_an_id() {
        let device = Device::default();
        let (student, teacher) = batch(&device);
        loss(&small(), &device).forward(student, teacher, &[0], at(0));
    }
}
