use super::SelfTeacher;
use burn::module::Module;
use burn_distill_core::{
    Batch, Check, Clock, ConfigError, Input, Knowledge, MovingAverage, Network, TapSelection,
    WeightSchedule, check,
};

/// Mean teacher (MT): the teacher is a moving average of the weights of the network. Other methods
/// that learn from views of unlabeled samples use this teacher too.
///
/// ```text
/// average ← a · average + (1 − a) · network,    a = min(1 − 1 / (n + 1), decay)     after step n
/// ```
///
/// with steps counted from 1, so that the average starts as a plain mean, unless
/// [`with_warm_up`](Self::with_warm_up) is `false`. The teacher processes the second view of a
/// batch if there is one, or else the first. Samples without a label count in every term except
/// that of the labels.
///
/// The authors initialize the average randomly, with another seed than the network, so that the
/// initial weights have a share of `1 / (n + 1)` while the average is a plain mean. Pass another
/// network of the same structure to [`new`](Self::new) for that.
///
/// | Method | Default | The authors' mean-teacher |
/// | --- | --- | --- |
/// | [`new`](Self::new) of a network | | another one than the student |
/// | [`new`](Self::new) with a number or a schedule | | 0.999 |
/// | [`with_warm_up`](Self::with_warm_up) | true | true |
/// | [`with_training_mode`](Self::with_training_mode) | false | true |
///
/// By default the average computes in validation mode with a copy of the network's running
/// statistics, which are averages already. In training mode it is normalized by the statistics of
/// the batch, applies dropout and has separate running statistics. In a validation it always
/// computes in validation mode.
///
/// The authors ramp up the weight of the consistency term over the first epochs, five in their
/// experiments, with [`SigmoidRampUp`](burn_distill_core::ChangingWeight), and divide the
/// cross-entropy with the labels by the number of all samples, which is
/// [`LossDenominator::All`](burn_distill_core::LossDenominator).
///
/// # Reference
///
/// A. Tarvainen and H. Valpola, [Mean teachers are better role
/// models](https://arxiv.org/abs/1703.01780), NIPS 2017. In training mode it agrees with the
/// authors' mean-teacher.
#[derive(Module, Debug)]
pub struct MeanTeacher<N> {
    /// Moving average of the network.
    pub average: MovingAverage<N>,
    /// Decay of the average per step, after the warm-up.
    #[module(skip)]
    pub decay: WeightSchedule,
    /// Whether the average starts as a plain mean.
    pub warm_up: bool,
    /// Whether the average computes in training mode.
    pub training_mode: bool,
}

impl<N: Network> MeanTeacher<N> {
    /// Creates an average that starts as a copy of `network`, which is the initial student or
    /// another network of the same structure. The authors use a decay of 0.999.
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

    /// Sets whether the average starts as a plain mean, instead of with the decay. Default: true.
    pub fn with_warm_up(mut self, warm_up: bool) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// Sets whether the average computes in training mode, with separate running statistics.
    /// Default: false.
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

    /// Updates the average.
    ///
    /// # Panics
    ///
    /// Panics if the decay at that time is not between 0 and 1.
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
            average: self.average.update(student, decay),
            ..self
        }
    }
}

/// Returns whether a network is in a training, and not in a validation.
fn is_training<N: Network>(network: &N) -> bool {
    let devices = network.devices();
    devices.iter().any(|device| device.is_autodiff())
}
