use super::SelfTeacher;
use burn::module::Module;
use burn_distill_core::{
    Batch, Check, Clock, ConfigError, Input, Knowledge, MovingAverage, Network, TapSelection,
    WeightSchedule, check,
};

/// A moving average of the network itself: the teacher of mean teacher, and of other methods that
/// learn from views of unlabeled samples.
///
/// ```text
/// average ← a · average + (1 − a) · network,    a = min(1 − 1 / (n + 1), decay)     after step n
/// ```
///
/// with steps counted from 1, so that the average begins as a mean, unless [told
/// otherwise](Self::with_warm_up). It sees the second view of a batch if there is one, else the
/// first. Samples without a label take part in every term but that of the labels.
///
/// The authors draw the first average at random, like the network but from another seed, so that its
/// beginning keeps a share of `1 / (n + 1)` while the average is a mean. Hand [`new`](Self::new)
/// another network of the same structure for that.
///
/// | Method | Default | The authors' mean-teacher |
/// | --- | --- | --- |
/// | [`new`](Self::new) of a network | | another one than the student |
/// | [`new`](Self::new) with a number or a schedule | | 0.999 |
/// | [`with_warm_up`](Self::with_warm_up) | true | true |
/// | [`with_training_mode`](Self::with_training_mode) | false | true |
///
/// By default the average computes in validation mode with a copy of the network's running
/// statistics: they are averages already. In training mode it is normalized by the statistics of the
/// batch, with dropout, and gathers running statistics of its own. A validation asks it in validation
/// mode in any case.
///
/// The authors weigh the consistency of both with a ramp over the first epochs, five in their
/// experiments, [`SigmoidRampUp`](burn_distill_core::ChangingWeight), and divide the cross-entropy with the labels
/// by all samples, which is [`LossDenominator::All`](burn_distill_core::LossDenominator).
///
/// # Reference
///
/// A. Tarvainen and H. Valpola, [Mean teachers are better role
/// models](https://arxiv.org/abs/1703.01780), NIPS 2017. In training mode it agrees with the authors'
/// mean-teacher.
#[derive(Module, Debug)]
pub struct MeanTeacher<N> {
    /// The average.
    pub average: MovingAverage<N>,
    /// How much of the average stays at each step, in the end.
    #[module(skip)]
    pub decay: WeightSchedule,
    /// Whether the average begins as a mean.
    pub warm_up: bool,
    /// Whether it teaches in training mode.
    pub training_mode: bool,
}

impl<N: Network> MeanTeacher<N> {
    /// Creates an average that begins as a copy of `network`: the student that has just begun, or
    /// another network of the same structure. The authors take a decay of 0.999.
    ///
    /// # Panics
    ///
    /// Panics if `decay` is not between 0 and 1 at the start.
    pub fn new(network: &N, decay: impl Into<WeightSchedule>) -> Self {
        let teacher = Self {
            average: MovingAverage::new(network),
            decay: decay.into(),
            warm_up: true,
            training_mode: false,
        };
        teacher.assert_valid();
        teacher
    }

    /// Whether the average begins as a mean, and not with the decay at once.
    pub fn with_warm_up(mut self, warm_up: bool) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// Whether it teaches in training mode, with running statistics of its own.
    pub fn with_training_mode(mut self, training_mode: bool) -> Self {
        self.training_mode = training_mode;
        self
    }
}

/// Checks the decay at the start of a training.
impl<N> Check for MeanTeacher<N> {
    fn check(&self) -> Result<(), ConfigError> {
        check_decay(self.decay.at(&Clock::start()))
    }
}

fn check_decay(decay: f64) -> Result<(), ConfigError> {
    check::in_range("decay", decay, 0.0..=1.0)
}

impl<N: Network> SelfTeacher<N> for MeanTeacher<N> {
    fn teach(&self, student: &N, batch: &Batch<N::Input>, selection: &TapSelection) -> Knowledge {
        let view = batch.views.get(1).unwrap_or_else(|| batch.view()).clone();
        match self.training_mode && is_training(student) {
            true => self.average.forward_training(view, selection),
            false => {
                let view = view.without_autodiff();
                self.average.forward_knowledge(view, selection)
            }
        }
    }

    /// # Panics
    ///
    /// Panics if the decay is not between 0 and 1 then.
    fn update(self, student: &N, clock: Clock) -> Self {
        let decay = self.decay.at(&clock);
        if let Err(error) = check_decay(decay) {
            panic!("{error}");
        }
        let step = clock.step() as f64 + 1.0;
        let decay = match self.warm_up {
            true => decay.min(1.0 - 1.0 / (step + 1.0)),
            false => decay,
        };
        Self {
            average: self.average.follow(student, decay),
            ..self
        }
    }
}

/// Whether a network is being trained, and not validated.
fn is_training<N: Network>(network: &N) -> bool {
    let devices = network.devices();
    devices.iter().any(|device| device.is_autodiff())
}
