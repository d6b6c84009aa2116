use super::SelfTeacher;
use burn::module::Module;
use burn_distill_core::{Batch, Clock, Input, Knowledge, MovingAverage, Network, TapSelection};

/// A moving average of the network itself: the teacher of mean teacher, and of other methods that
/// learn from views of unlabelled samples.
///
/// ```text
/// average ← a · average + (1 − a) · network,    a = min(1 − 1 / (n + 1), decay)     after step n
/// ```
///
/// with steps counted from 1, so that the average begins as a mean. It sees the second view of a
/// batch if there is one, else the first, in validation mode. Samples without a label take part in
/// every term but that of the labels.
///
/// The authors weigh the consistency of both with a ramp over the first epochs:
/// [`SigmoidRampUp`](burn_distill_core::ChangingWeight).
///
/// # Reference
///
/// A. Tarvainen and H. Valpola, [Mean teachers are better role
/// models](https://arxiv.org/abs/1703.01780), NIPS 2017. The averaging is that of the authors'
/// mean-teacher; their teacher computes in training mode with running statistics of its own, while
/// here those of the network are copied.
#[derive(Module, Debug)]
pub struct MeanTeacher<N> {
    /// The average.
    pub average: MovingAverage<N>,
    /// How much of the average stays at each step, in the end.
    pub decay: f64,
}

impl<N: Network> MeanTeacher<N> {
    /// The average of a network that has just begun. The authors take a decay of 0.999.
    ///
    /// # Panics
    ///
    /// Panics if `decay` is not between 0 and 1.
    pub fn new(network: &N, decay: f64) -> Self {
        assert!(
            (0.0..=1.0).contains(&decay),
            "Decay of a mean teacher must be from 0 to 1, got {decay}."
        );
        Self {
            average: MovingAverage::new(network),
            decay,
        }
    }
}

impl<N: Network> SelfTeacher<N> for MeanTeacher<N> {
    fn teach(&self, _: &N, batch: &Batch<N::Input>, wanted: &TapSelection) -> Knowledge {
        let view = batch.views.get(1).unwrap_or_else(|| batch.view());
        let view = view.clone().without_autodiff();
        self.average.forward_knowledge(view, wanted)
    }

    fn follow(self, student: &N, clock: Clock) -> Self {
        let step = clock.step() as f64 + 1.0;
        let decay = self.decay.min(1.0 - 1.0 / (step + 1.0));
        Self {
            average: self.average.follow(student, decay),
            ..self
        }
    }
}
