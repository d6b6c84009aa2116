use crate::{Check, Clock, ConfigError, check};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::f64::consts::PI;
use std::fmt;
use std::sync::Once;

/// The weight of a term of the loss over time.
///
/// In a recipe a plain number is a constant; the others are tables with a `kind`:
///
/// ```text
/// weight = 0.9
/// weight = { kind = "linear", from = 0.0, to = 1.0, epochs = 20 }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum WeightSchedule {
    /// The same at all times.
    Constant(f64),
    /// A weight that changes.
    Changing(ChangingWeight),
}

/// A weight that changes with the [clock](Clock).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ChangingWeight {
    /// A straight line, one step per epoch: `from + (to − from) · min(epoch / epochs, 1)`.
    ///
    /// The epoch counts from 1, as in the warm-up of decoupled distillation.
    Linear {
        /// The value before the first epoch.
        from: f64,
        /// The value from epoch `epochs` on.
        to: f64,
        /// The length of the ramp.
        epochs: usize,
    },
    /// The sigmoid-shaped ramp-up of mean teacher, ONE and OKDDip:
    /// `to · exp(−5 (1 − min(e / epochs, 1))²)`.
    ///
    /// With an `interval` of [`Epoch`](RampInterval::Epoch), `e` is the number of finished epochs, so
    /// that the first epoch has a weight of `to · exp(−5)`, and the first with the weight `to` is epoch
    /// `epochs + 1`. The authors of ONE and of OKDDip do so, and those of mean teacher in PyTorch. With
    /// [`Step`](RampInterval::Step), `e` counts fractions of an epoch too, as in mean teacher's code
    /// for TensorFlow. The shorter the ramp, the further the two are apart: at the end of the first epoch
    /// of a ramp of two, the weight by steps is 42 times the one by epochs.
    SigmoidRampUp {
        /// Value once `epochs` epochs are finished.
        to: f64,
        /// Length of the ramp in epochs. Zero means no ramp.
        epochs: usize,
        /// How often the weight moves. Default: once per epoch.
        #[serde(default, skip_serializing_if = "RampInterval::is_epoch")]
        interval: RampInterval,
    },
    /// A sigmoid of the number of finished epochs: `to / (1 + exp(center − finished))`, as the authors
    /// of distillation by singular vectors and by multi-head graphs have it.
    Sigmoid {
        /// The value long after the center.
        to: f64,
        /// The number of finished epochs at which it is half of that.
        center: usize,
    },
    /// Half a cosine: `to + (from − to) · (1 + cos(π · min(elapsed / epochs, 1))) / 2`.
    Cosine {
        /// The value at the start.
        from: f64,
        /// The value from epoch `epochs` on.
        to: f64,
        /// The length of the curve.
        epochs: usize,
    },
    /// A staircase: `value`, multiplied by `factor` once for each milestone that has passed.
    Step {
        /// The value at the start.
        value: f64,
        /// What each milestone multiplies by.
        factor: f64,
        /// Numbers of finished epochs.
        milestones: Vec<usize>,
    },
}

/// Interval at which a [ramp](ChangingWeight::SigmoidRampUp) moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RampInterval {
    /// Once per epoch: the weight is constant within an epoch.
    #[default]
    Epoch,
    /// With every step.
    Step,
}

impl RampInterval {
    fn is_epoch(&self) -> bool {
        *self == Self::Epoch
    }
}

impl WeightSchedule {
    /// The weight at that time.
    pub fn at(&self, clock: &Clock) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Changing(changing) => changing.at(clock),
        }
    }
}

impl ChangingWeight {
    /// Creates a [sigmoid-shaped ramp-up](Self::SigmoidRampUp) that moves once per epoch.
    pub fn sigmoid_ramp_up(to: f64, epochs: usize) -> Self {
        Self::SigmoidRampUp {
            to,
            epochs,
            interval: RampInterval::Epoch,
        }
    }

    /// Returns the weight at the position of `clock`.
    ///
    /// The first time that a clock is not [stamped](Clock::is_stamped), a warning is logged: the weight
    /// would stay at its start.
    pub fn at(&self, clock: &Clock) -> f64 {
        if !clock.is_stamped() {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| {
                log::warn!(
                    "the weight of a loss changes over time, but batches carry no clock, so it stays \
                     at its start: wrap the data loader in a `ClockedLoader`, or set `Batch::clock`"
                );
            });
        }
        match self {
            Self::Linear { from, to, epochs } => {
                from + (to - from) * fraction(clock.epoch as f64, *epochs)
            }
            Self::SigmoidRampUp {
                to,
                epochs,
                interval,
            } => {
                let passed = match interval {
                    RampInterval::Epoch => finished(clock),
                    RampInterval::Step => clock.elapsed(),
                };
                let rest = 1.0 - fraction(passed, *epochs);
                to * (-5.0 * rest * rest).exp()
            }
            Self::Sigmoid { to, center } => to / (1.0 + (*center as f64 - finished(clock)).exp()),
            Self::Cosine { from, to, epochs } => {
                let angle = PI * fraction(clock.elapsed(), *epochs);
                to + (from - to) * (1.0 + angle.cos()) / 2.0
            }
            Self::Step {
                value,
                factor,
                milestones,
            } => {
                let passed = milestones.iter().filter(|&&m| m < clock.epoch).count();
                value * factor.powi(passed as i32)
            }
        }
    }
}

/// Returns the number of epochs that are finished.
fn finished(clock: &Clock) -> f64 {
    (clock.epoch - 1) as f64
}

impl Check for WeightSchedule {
    fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Constant(value) => {
                // The key is that of the weight itself.
                check::weight("", *value)
            }
            Self::Changing(changing) => changing.check(),
        }
    }
}

impl Check for ChangingWeight {
    fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Linear { from, to, .. } | Self::Cosine { from, to, .. } => {
                check::weight("from", *from)?;
                check::weight("to", *to)
            }
            Self::SigmoidRampUp { to, .. } | Self::Sigmoid { to, .. } => check::weight("to", *to),
            Self::Step {
                value,
                factor,
                milestones,
            } => {
                check::weight("value", *value)?;
                check::in_range("factor", *factor, 0.0..=100.0)?;
                check::ascending("milestones", milestones)
            }
        }
    }
}

/// By hand, so that the error about a table is that of the table.
impl<'de> Deserialize<'de> for WeightSchedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrTable;

        impl<'de> Visitor<'de> for NumberOrTable {
            type Value = WeightSchedule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a number or a table such as \
                     { kind = \"linear\", from = 0.0, to = 1.0, epochs = 20 }",
                )
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<WeightSchedule, E> {
                Ok(WeightSchedule::Constant(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<WeightSchedule, E> {
                Ok(WeightSchedule::Constant(value as f64))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<WeightSchedule, E> {
                Ok(WeightSchedule::Constant(value as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<WeightSchedule, A::Error> {
                ChangingWeight::deserialize(MapAccessDeserializer::new(table))
                    .map(WeightSchedule::Changing)
            }
        }

        deserializer.deserialize_any(NumberOrTable)
    }
}

/// How much of `length` has passed, at most 1. Nothing is left of an empty length.
fn fraction(passed: f64, length: usize) -> f64 {
    if length == 0 {
        1.0
    } else {
        (passed / length as f64).min(1.0)
    }
}

impl Default for WeightSchedule {
    fn default() -> Self {
        Self::Constant(1.0)
    }
}

impl From<f64> for WeightSchedule {
    fn from(value: f64) -> Self {
        Self::Constant(value)
    }
}

impl From<ChangingWeight> for WeightSchedule {
    fn from(changing: ChangingWeight) -> Self {
        Self::Changing(changing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(schedule: &ChangingWeight, epoch: usize) -> f64 {
        schedule.at(&Clock {
            epoch,
            batch: 0,
            batches: 4,
        })
    }

    fn assert_close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-4, "{value} is not {expected}");
    }

    #[test]
    fn linear_reaches_its_end_and_stays() {
        // The warm-up of DKD: min(epoch / 20, 1) with epochs counted from 1.
        let warm_up = ChangingWeight::Linear {
            from: 0.0,
            to: 1.0,
            epochs: 20,
        };

        assert_close(at(&warm_up, 1), 0.05);
        assert_close(at(&warm_up, 20), 1.0);
        assert_close(at(&warm_up, 100), 1.0);
    }

    #[test]
    fn sigmoid_ramp_up_starts_near_zero() {
        let ramp = |epochs| ChangingWeight::sigmoid_ramp_up(1.0, epochs);

        assert_close(at(&ramp(10), 1), 0.0067); // exp(-5)
        assert_close(at(&ramp(10), 6), (-1.25_f64).exp());
        assert_close(at(&ramp(10), 11), 1.0);
        assert_close(at(&ramp(10), 50), 1.0);
        assert_close(at(&ramp(0), 1), 1.0);
    }

    #[test]
    fn sigmoid_ramp_up_moves_once_per_epoch_unless_told_to_move_with_every_step() {
        let last_step = |epoch| Clock {
            epoch,
            batch: 3,
            batches: 4,
        };
        let by_epoch = ChangingWeight::sigmoid_ramp_up(2.0, 2);
        let by_step = ChangingWeight::SigmoidRampUp {
            to: 2.0,
            epochs: 2,
            interval: RampInterval::Step,
        };

        // `sigmoid_rampup(epoch, 2)` of the authors' code, with epochs from 0.
        for (epoch, expected) in [(1, -5.0), (2, -1.25), (3, 0.0), (9, 0.0)] {
            let expected = 2.0 * f64::exp(expected);
            assert_close(at(&by_epoch, epoch), expected);
            assert_close(by_epoch.at(&last_step(epoch)), expected);
            assert_close(at(&by_step, epoch), expected);
        }
        // Three quarters of an epoch of two: exp(−5 · (5 / 8)²).
        let passed = 2.0 * (-5.0 * 0.625_f64.powi(2)).exp();
        assert_close(by_step.at(&last_step(1)), passed);
        assert_close(
            by_step.at(&last_step(2)),
            2.0 * (-5.0 * 0.125_f64.powi(2)).exp(),
        );
    }

    #[test]
    fn sigmoid_is_half_at_its_center_and_stays_within_an_epoch() {
        let sigmoid = |center| ChangingWeight::Sigmoid { to: 2.0, center };

        assert_close(at(&sigmoid(0), 1), 1.0);
        assert_close(at(&sigmoid(3), 4), 1.0);
        assert_close(at(&sigmoid(0), 2), 2.0 * 0.731059); // 1 / (1 + exp(-1))
        assert_close(at(&sigmoid(3), 2), 2.0 * 0.119203); // 1 / (1 + exp(2))
        assert_close(at(&sigmoid(0), 1000), 2.0);
        let late = Clock {
            epoch: 1,
            batch: 3,
            batches: 4,
        };
        assert_close(sigmoid(0).at(&late), 1.0);
    }

    #[test]
    fn cosine_goes_down_by_half_a_wave() {
        let cosine = ChangingWeight::Cosine {
            from: 2.0,
            to: 0.0,
            epochs: 4,
        };

        assert_close(at(&cosine, 1), 2.0);
        assert_close(at(&cosine, 3), 1.0);
        assert_close(at(&cosine, 5), 0.0);
        assert_close(at(&cosine, 9), 0.0);
    }

    #[test]
    fn step_drops_after_each_milestone() {
        let step = ChangingWeight::Step {
            value: 1.0,
            factor: 0.1,
            milestones: vec![2, 3],
        };

        assert_close(at(&step, 2), 1.0);
        assert_close(at(&step, 3), 0.1);
        assert_close(at(&step, 4), 0.01);
    }

    #[test]
    fn a_plain_number_is_a_constant() {
        let schedule: WeightSchedule = serde_json::from_str("0.9").unwrap();
        assert_eq!(schedule, WeightSchedule::Constant(0.9));

        let table = r#"{"kind":"sigmoid-ramp-up","to":1.0,"epochs":80}"#;
        let schedule: WeightSchedule = serde_json::from_str(table).unwrap();
        assert_eq!(serde_json::to_string(&schedule).unwrap(), table);

        let table = r#"{"kind":"sigmoid-ramp-up","to":1.0,"epochs":80,"interval":"step"}"#;
        let by_step: WeightSchedule = serde_json::from_str(table).unwrap();
        assert_ne!(by_step, schedule);
        assert_eq!(serde_json::to_string(&by_step).unwrap(), table);
    }
}
