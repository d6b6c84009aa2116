use crate::{Check, Clock, ConfigError, check};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::f64::consts::PI;
use std::fmt;
use std::sync::Once;

/// Weight of a term over the course of the training.
///
/// In a recipe, a plain number is a constant; all others are tables with a `kind`:
///
/// ```text
/// weight = 0.9
/// weight = { kind = "linear", from = 0.0, to = 1.0, epochs = 20 }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum WeightSchedule {
    /// Constant weight.
    Constant(f64),
    /// Weight that changes.
    Changing(ChangingWeight),
}

/// Weight that changes with the [clock](Clock).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ChangingWeight {
    /// Linear ramp, one step per epoch: `from + (to − from) · min(epoch / epochs, 1)`.
    ///
    /// The epoch counts from 1, as in the warm-up of decoupled distillation.
    Linear {
        /// Value before the first epoch.
        from: f64,
        /// Value from epoch `epochs` on.
        to: f64,
        /// Length of the ramp in epochs.
        epochs: usize,
    },
    /// The sigmoid-shaped ramp-up of mean teacher, ONE and OKDDip:
    /// `to · exp(−5 (1 − min(e / epochs, 1))²)`.
    ///
    /// With an `interval` of [`Epoch`](RampInterval::Epoch), `e` is the number of finished epochs:
    /// the first epoch has the weight `to · exp(−5)`, and epoch `epochs + 1` is the first with the
    /// weight `to`. This is what the code of ONE, of OKDDip and of mean teacher in PyTorch does.
    /// With [`Step`](RampInterval::Step), `e` includes fractions of an epoch, as in the TensorFlow
    /// code of mean teacher. The shorter the ramp, the more the two differ: at the end of the first
    /// epoch of a ramp of two epochs, the weight by steps is 42 times the one by epochs.
    SigmoidRampUp {
        /// Value once `epochs` epochs are finished.
        to: f64,
        /// Length of the ramp in epochs. Zero means no ramp.
        epochs: usize,
        /// Interval at which the weight changes. Default: once per epoch.
        #[serde(default, skip_serializing_if = "RampInterval::is_epoch")]
        interval: RampInterval,
    },
    /// Sigmoid of the number of finished epochs: `to / (1 + exp(center − finished))`, as in the
    /// authors' code of distillation by singular vectors and by multi-head graphs.
    Sigmoid {
        /// Value long after the center.
        to: f64,
        /// Number of finished epochs at which the weight is half of `to`.
        center: usize,
    },
    /// Delayed start: zero in the first `epochs` epochs, then `to`, as in the authors' code of
    /// CA-MKD and AEKD on features. Beside other terms, a delayed one is [left
    /// out](crate::Terms::total), so that it trains nothing.
    Delayed {
        /// Value once `epochs` epochs are finished.
        to: f64,
        /// Number of epochs without the term.
        epochs: usize,
    },
    /// Half a period of a cosine: `to + (from − to) · (1 + cos(π · min(elapsed / epochs, 1))) / 2`.
    Cosine {
        /// Value at the start.
        from: f64,
        /// Value once `epochs` epochs are finished.
        to: f64,
        /// Length of the curve in epochs.
        epochs: usize,
    },
    /// Step function: `value`, multiplied by `factor` once for each milestone that has passed.
    Step {
        /// Value at the start.
        value: f64,
        /// Factor of each milestone.
        factor: f64,
        /// Milestones, as numbers of finished epochs.
        milestones: Vec<usize>,
    },
}

/// Interval at which the weight of a [ramp](ChangingWeight::SigmoidRampUp) changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RampInterval {
    /// Every epoch: the weight is constant within an epoch.
    #[default]
    Epoch,
    /// Every step.
    Step,
}

impl RampInterval {
    fn is_epoch(&self) -> bool {
        *self == Self::Epoch
    }
}

impl WeightSchedule {
    /// Returns the weight at the position of `clock`.
    pub fn at(&self, clock: &Clock) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Changing(changing) => changing.at(clock),
        }
    }

    /// Returns whether the weight is [delayed](ChangingWeight::Delayed) beyond the position of
    /// `clock`.
    pub fn is_delayed(&self, clock: &Clock) -> bool {
        match self {
            Self::Changing(ChangingWeight::Delayed { epochs, .. }) => clock.epoch <= *epochs,
            _ => false,
        }
    }
}

impl ChangingWeight {
    /// Creates a [sigmoid-shaped ramp-up](Self::SigmoidRampUp) that changes once per epoch.
    pub fn sigmoid_ramp_up(to: f64, epochs: usize) -> Self {
        Self::SigmoidRampUp {
            to,
            epochs,
            interval: RampInterval::Epoch,
        }
    }

    /// Returns the weight at the position of `clock`.
    ///
    /// If the clock is not [stamped](Clock::is_stamped), the weight stays at its start, and a
    /// warning is logged the first time.
    pub fn at(&self, clock: &Clock) -> f64 {
        if !clock.is_stamped() {
            static ONCE: Once = Once::new();
            ONCE.call_once(|| {
                log::warn!(
                    "the weight of a loss should change over time, but the batches have no clock, so \
                     the weight stays at its start: wrap the data loader in a `ClockedLoader`, or set \
                     `Batch::clock`"
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
            Self::Delayed { to, epochs } => match clock.epoch <= *epochs {
                true => 0.0,
                false => *to,
            },
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

/// Returns the number of finished epochs.
fn finished(clock: &Clock) -> f64 {
    (clock.epoch - 1) as f64
}

impl Check for WeightSchedule {
    fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Constant(value) => {
                // The caller adds the key.
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
            Self::SigmoidRampUp { to, .. }
            | Self::Sigmoid { to, .. }
            | Self::Delayed { to, .. } => check::weight("to", *to),
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

/// Not derived, so that an error in a table is that of the table instead of one about the untagged
/// enum.
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

/// Returns the fraction of `length` that has passed, at most 1. It is 1 if the length is zero.
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
    fn linear_reaches_its_end_and_stays_there() {
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
    fn a_delayed_weight_is_zero_before_its_start() {
        let delayed = ChangingWeight::Delayed {
            to: 50.0,
            epochs: 1,
        };

        assert_eq!(
            [1, 2, 9].map(|epoch| at(&delayed, epoch)),
            [0.0, 50.0, 50.0]
        );
        let text = r#"{ "kind": "delayed", "to": 50.0, "epochs": 1 }"#;
        let read: WeightSchedule = serde_json::from_str(text).unwrap();
        assert_eq!(read, delayed.into());
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
    fn sigmoid_ramp_up_changes_every_epoch_or_every_step() {
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
    fn sigmoid_is_half_at_its_center_and_constant_within_an_epoch() {
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
    fn cosine_decreases_over_half_a_period() {
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
