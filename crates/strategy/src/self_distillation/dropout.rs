use super::DropoutDivergence;
use crate::resolved::Resolved;
use crate::{Distillation, DistillationOutput, MetricKind, learner_model};
use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{DType, Tensor, TensorData};
use burn_distill_core::numeric::connected_zero;
use burn_distill_core::{
    Batch, Check, Clock, ConfigError, Context, KeyedRng, Knowledge, MisfitError, Network,
    Objective, TapSelection, Terms, WeightSchedule, check, known_taps,
};

/// What the masks are drawn for: others with the same seed draw other numbers.
const PURPOSE: u64 = 0x5344_4452; // SDDR

/// Configuration to create a [`DropoutDistiller`] using the [init
/// function](DropoutDistillerConfig::init).
#[derive(Config, Debug)]
pub struct DropoutDistillerConfig {
    /// How likely each feature is dropped. From 0, without 1. Default: `0.5`.
    #[config(default = 0.5)]
    pub probability: f64,
    /// What logits are divided by. Must be positive and finite. Default: `3.0`.
    #[config(default = 3.0)]
    pub temperature: f64,
    /// The weight of the term. Default: `0.1`.
    #[config(default = "WeightSchedule::Constant(0.1)")]
    pub weight: WeightSchedule,
    /// Whether the target of each direction is a constant. Default: `false`.
    #[config(default = false)]
    pub detach: bool,
    /// The tap of the features that the classifier sees. Default: `pool`.
    #[config(default = "\"pool\".to_string()")]
    pub tap: String,
    /// What the masks depend on, besides the step. Default: `0`.
    #[config(default = 0)]
    pub seed: u64,
}

impl DropoutDistillerConfig {
    /// A network, and what it is trained on besides.
    ///
    /// # Panics
    ///
    /// Panics if a number is out of its range, if the network names no classifier, or if it offers no
    /// tap of that name with the features that the classifier takes.
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

    /// Checks that the classifier of a network sees the features of the tap.
    ///
    /// # Errors
    ///
    /// Returns an error if the network names no classifier, or if it offers no tap of that name with the
    /// features that the classifier takes.
    pub fn fit<N: Network>(&self, student: &N) -> Result<(), MisfitError> {
        let Some(classifier) = student.classifier() else {
            return Err(MisfitError::Network(NO_CLASSIFIER.to_string()));
        };
        let [inputs, _] = classifier.weight.dims();
        let taps = known_taps(student);
        let [_, features] = taps.features(&self.tap)?.clone().into_vectors().dims();
        match inputs == features {
            true => Ok(()),
            false => Err(MisfitError::Network(format!(
                "The classifier takes {inputs} features, but the tap `{}` has {features}.",
                self.tap
            ))),
        }
    }
}

const NO_CLASSIFIER: &str = "The network names no classifier that could see dropped features.";

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

/// Self-distillation by dropout: the classifier of a network sees its features twice, each time with
/// others of them dropped, and should say the same.
///
/// ```text
/// zₘ = classifier(features ∘ maskₘ / (1 − p)),    m = 1, 2
/// loss = objective(response, targets)
///        + weight · T² [KL(softmax(z₂ / T) ‖ softmax(z₁ / T)) + KL(softmax(z₁ / T) ‖ softmax(z₂ / T))]
/// ```
///
/// The response, and with it the objective, sees all features: a network without dropout stays one.
/// The classifier is that of the network itself, which learns from all three answers, as do the
/// features. Neither direction has a [constant target](DropoutDivergence), unless `detach` says so.
///
/// The masks depend on the seed and on the step alone, on every device: a training that is resumed
/// ends where an uninterrupted one does. In validation nothing is dropped, and the term is zero.
///
/// The term is shown as `dropout`. The authors train with the cross-entropy besides,
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
/// but for where the masks come from.
#[doc(alias = "SD-Dropout")]
#[derive(Module, Debug)]
pub struct DropoutDistiller<N, O> {
    /// The network that learns.
    pub student: N,
    /// What it is trained on besides.
    pub objective: O,
    /// What compares the two answers.
    pub divergence: DropoutDivergence,
    /// How likely each feature is dropped.
    pub probability: f64,
    /// The tap of the features that the classifier sees.
    pub tap: String,
    /// The weight of the term.
    #[module(skip)]
    pub weight: WeightSchedule,
    /// What the masks depend on, besides the step.
    #[module(skip)]
    pub seed: u64,
    /// The taps of the student that the classifier sees or the objective wants.
    #[module(skip)]
    requirements: Resolved<TapSelection>,
}

impl<N, O> DropoutDistiller<N, O>
where
    N: Network,
    O: Objective<Knowledge, ()>,
{
    /// The unweighted loss between the answers to the features with one mask and with another.
    fn between_answers(&self, features: Tensor<2>, clock: &Clock) -> Tensor<1> {
        // As burn's dropout tells training from validation.
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

    /// What the features are multiplied by: zero for those that are dropped, so much for the others
    /// that the mean stays as it is.
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
        let weight = self.weight.at(&clock);
        let dropout = Terms::one(
            DropoutDivergence::TERM,
            self.between_answers(features, &clock),
            weight,
        );
        let terms = self.objective.forward(&context).and(dropout);
        DistillationOutput::new(terms, &student.response, None, targets)
    }

    fn validation_step(&self, batch: Batch<N::Input>) -> DistillationOutput {
        // Nothing is dropped, so that there is nothing between two answers.
        let dropout = MetricKind::Term(DropoutDivergence::TERM.into());
        self.forward(&batch).hiding([MetricKind::Loss, dropout])
    }
}

learner_model!([N, O] DropoutDistiller<N, O>);
