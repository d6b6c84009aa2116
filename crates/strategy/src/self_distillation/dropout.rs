use super::DropoutDivergence;
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, MetricKind, learner_model};
use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{DType, Tensor, TensorData};
use burn_distill_core::numeric::connected_zero;
use burn_distill_core::{
    Batch, Check, Clock, ConfigError, Context, KeyedRng, Knowledge, Network, NetworkMismatch,
    Objective, TapSelection, Terms, WeightSchedule, check, known_taps,
};

/// The purpose of the random masks, so that other uses of the same seed draw other numbers.
const PURPOSE: u64 = 0x5344_4452; // SDDR

/// Configuration to create a [`DropoutDistiller`] using the [init
/// function](DropoutDistillerConfig::init).
#[derive(Config, Debug)]
pub struct DropoutDistillerConfig {
    /// Probability with which each feature is dropped. From 0 and below 1. Default: `0.5`.
    #[config(default = 0.5)]
    pub probability: f64,
    /// Softmax temperature, applied to both logits. Must be positive and finite. Default: `3.0`.
    #[config(default = 3.0)]
    pub temperature: f64,
    /// Weight of the term. Default: `0.1`.
    #[config(default = "WeightSchedule::Constant(0.1)")]
    pub weight: WeightSchedule,
    /// Whether the target of each direction is a constant. Default: `false`.
    #[config(default = false)]
    pub detach: bool,
    /// Tap of the input features of the classifier. Default: `pool`.
    #[config(default = "\"pool\".to_string()")]
    pub tap: String,
    /// Seed of the masks. Default: `0`.
    #[config(default = 0)]
    pub seed: u64,
}

impl DropoutDistillerConfig {
    /// Creates a distiller from a network and an additional training objective.
    ///
    /// # Panics
    ///
    /// Panics if a value is out of its range, if the network does not return a classifier, or if it
    /// has no tap of that name with the features of the classifier.
    pub fn init<N, O>(&self, student: N, objective: O) -> DropoutDistiller<N, O>
    where
        N: Network,
        O: Objective<Knowledge, ()>,
    {
        self.assert_valid();
        if let Err(error) = self.fit(&student) {
            panic!("{error}");
        }
        DropoutDistiller {
            student,
            objective,
            divergence: DropoutDivergence::new(self.temperature).with_detach(self.detach),
            probability: self.probability,
            tap: self.tap.clone(),
            weight: self.weight.clone(),
            seed: self.seed,
            requirements: Resolved::default(),
        }
    }

    /// Checks that the tap holds the input features of the classifier of a network.
    ///
    /// # Errors
    ///
    /// Returns an error if the network does not return a classifier, or if it has no tap of that
    /// name with the features of the classifier.
    pub fn fit<N: Network>(&self, student: &N) -> Result<(), NetworkMismatch> {
        let Some(classifier) = student.classifier() else {
            return Err(NetworkMismatch::Network(NO_CLASSIFIER.to_string()));
        };
        let [inputs, _] = classifier.weight.dims();
        let taps = known_taps(student);
        let [_, features] = taps.features(&self.tap)?.clone().into_vectors().dims();
        match inputs == features {
            true => Ok(()),
            false => Err(NetworkMismatch::Network(format!(
                "The classifier takes {inputs} features, but the tap `{}` has {features}: name the tap \
                 before the classifier.",
                self.tap
            ))),
        }
    }
}

const NO_CLASSIFIER: &str = "Distillation by dropout needs the classifier of the network, but \
                             `Network::classifier` returns none: implement it.";

impl Check for DropoutDistillerConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::ensure(
            (0.0..1.0).contains(&self.probability), // This also rejects NaN
            "probability",
            "from 0 and below 1",
            self.probability,
        )?;
        check::temperature("temperature", self.temperature)?;
        self.weight.check().map_err(|error| error.under("weight"))
    }
}

fn classifier<N: Network>(network: &N) -> Linear {
    network.classifier().expect(NO_CLASSIFIER)
}

/// Self-knowledge distillation via dropout (SD-Dropout): the classifier of a network gets its
/// features twice, with different features dropped, and both predictions should agree.
///
/// ```text
/// zₘ = classifier(features ∘ maskₘ / (1 − p)),    m = 1, 2
/// loss = objective(response, targets)
///        + weight · T² [KL(softmax(z₂ / T) ‖ softmax(z₁ / T))
///                       + KL(softmax(z₁ / T) ‖ softmax(z₂ / T))]
/// ```
///
/// The response, and with it the objective, is computed from all features, without dropout. The
/// classifier is that of the network itself. It learns from all three predictions, as do the
/// features. Neither direction has a [constant target](DropoutDivergence), unless `detach` is set.
///
/// The masks depend only on the seed and the step, on every device, so that a resumed training
/// equals an uninterrupted one. In validation no features are dropped, and the term is zero.
///
/// The term is named `dropout`. The authors add the cross-entropy,
/// [`CrossEntropyObjective`](burn_distill_core::CrossEntropyObjective) with a weight of 1.
///
/// # Example
///
/// ```
/// use burn::tensor::Device;
/// use burn_distill_architecture::NetworkConfig;
/// use burn_distill_core::CrossEntropyObjective;
/// use burn_distill_strategy::DropoutDistillerConfig;
///
/// let device = Device::default().autodiff();
/// let network = NetworkConfig::by_name("resnet8")?.init([1, 8, 8], 10, &device)?;
/// let distiller = DropoutDistillerConfig::new().init(network, CrossEntropyObjective::new(1.0));
/// # Ok::<(), burn_distill_architecture::NetworkError>(())
/// ```
///
/// # Reference
///
/// H. Lee, Y. Park, H. Seo and M. Kang, [Self-knowledge Distillation via
/// Dropout](https://arxiv.org/abs/2208.05642), 2022. Agrees with `SD_Dropout` of the authors' code,
/// except for the random numbers of the masks.
#[doc(alias = "SD-Dropout")]
#[derive(Module, Debug)]
pub struct DropoutDistiller<N, O> {
    /// Network that is trained.
    pub student: N,
    /// Additional training objective.
    pub objective: O,
    /// Divergence between the two predictions.
    pub divergence: DropoutDivergence,
    /// Probability with which each feature is dropped.
    pub probability: f64,
    /// Tap of the input features of the classifier.
    pub tap: String,
    /// Weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
    /// Seed of the masks.
    #[module(skip)]
    pub seed: u64,
    /// Taps of the student for the classifier and the objective.
    #[module(skip)]
    requirements: Resolved<TapSelection>,
}

impl<N, O> DropoutDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, ()>,
{
    /// Computes the divergence, without its weight, between the predictions with two masks.
    fn between_predictions(&self, features: Tensor<2>, clock: &Clock) -> Tensor<1> {
        // burn's dropout distinguishes training from validation in the same way.
        if !features.device().is_autodiff() {
            return connected_zero(features);
        }
        let classifier = classifier(&self.student);
        let [first, second] = [0, 1].map(|which| {
            let mask = self.mask(&features, clock, which);
            classifier.forward(features.clone().mul(mask))
        });
        self.divergence.forward(first, second)
    }

    /// Returns the factors of the features: zero for the dropped ones, and `1 / (1 − probability)`
    /// for the others, so that the expected value does not change.
    fn mask(&self, features: &Tensor<2>, clock: &Clock, which: u64) -> Tensor<2> {
        let shape = features.dims();
        let mut rng = KeyedRng::new([self.seed, clock.step() as u64, which, PURPOSE]);
        let kept = 1.0 / (1.0 - self.probability);
        let draw = |_| match rng.chance(self.probability) {
            true => 0.0,
            false => kept as f32,
        };
        let values: Vec<f32> = (0..shape.iter().product()).map(draw).collect();
        let device = features.device().without_autodiff();
        let values = TensorData::new(values, shape);
        let mask = Tensor::<2>::from_data(values, (&device, DType::F32));
        mask.cast(features.dtype())
    }
}

impl<N, O> Distillation for DropoutDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, ()>,
{
    type Input = N::Input;

    fn forward(&self, batch: &Batch<N::Input>) -> DistillationOutput {
        let requirements = self.requirements.get(|| {
            let features = TapSelection::named([&self.tap]);
            self.objective.requirements().student.union(features)
        });
        let student = self
            .student
            .forward_knowledge(batch.view().clone(), requirements);

        let (targets, ids, clock) = (&batch.targets, &batch.ids, batch.clock);
        let context = Context::new(&student, &(), targets, ids, clock);
        let features = student.taps.expect(&self.tap).into_vectors();
        let dropout = Terms::scheduled(
            DropoutDivergence::TERM,
            self.between_predictions(features, &clock),
            &self.weight,
            &clock,
        );
        let terms = self.objective.forward(&context).and(dropout);
        DistillationOutput::new(terms, &student.response, None, targets)
    }

    fn validation_step(&self, batch: Batch<N::Input>) -> DistillationOutput {
        // No features are dropped, so that the term is zero and the loss incomplete.
        let dropout = MetricKind::Term(DropoutDivergence::TERM.into());
        self.forward(&batch).hiding([MetricKind::Loss, dropout])
    }
}

learner_model!([N, O] DropoutDistiller<N, O>);
