use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use burn::optim::LearningRate;
use burn_distill_core::{Check, ConfigError, check};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Configuration of the learning rate over the epochs of a training.
///
/// ```text
/// rate = base_lr · min(1, (step + 1) / warm-up steps) · shape(epoch)
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearningRateConfig {
    /// Highest learning rate, at which the schedule starts. Its key in a recipe is `base`. Default:
    /// 0.05.
    #[serde(rename = "base", alias = "peak")]
    pub base_lr: f64,
    /// Number of epochs over which the rate rises linearly from zero to `base_lr`. Default: 0.
    pub warm_up: usize,
    /// Schedule by which the rate falls. Default: constant.
    pub shape: LrSchedule,
}

/// The schedule by which a learning rate falls from `base_lr`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LrSchedule {
    /// The rate does not fall.
    // With braces, here and below: serde ignores unknown keys beside the tag of a unit variant.
    Constant {},
    /// The rate is multiplied by `factor` at each milestone, as in the CIFAR experiments of the
    /// literature (after 150, 180 and 210 of 240 epochs, factor 0.1).
    MultiStep {
        /// Numbers of finished epochs, ascending.
        milestones: Vec<usize>,
        /// Factor of each milestone.
        factor: f64,
    },
    /// The rate follows half a cosine over the whole training, down to zero, updated in every step.
    Cosine {},
}

impl Default for LearningRateConfig {
    fn default() -> Self {
        Self {
            base_lr: 0.05,
            warm_up: 0,
            shape: LrSchedule::Constant {},
        }
    }
}

impl LearningRateConfig {
    /// Creates the scheduler of a training of `epochs` epochs with `steps_per_epoch` optimizer
    /// steps each.
    ///
    /// # Panics
    ///
    /// Panics if a value is out of its range.
    pub fn init(&self, epochs: usize, steps_per_epoch: usize) -> EpochScheduler {
        self.assert_valid();
        EpochScheduler {
            config: self.clone(),
            epochs,
            steps_per_epoch: steps_per_epoch.max(1),
            step: 0,
        }
    }
}

/// A learning rate over the steps of a training: a number, a scheduler of burn or a
/// [`LearningRateConfig`].
pub trait IntoScheduler {
    /// Returns the scheduler of a training of `epochs` epochs of `steps_per_epoch` optimizer steps.
    ///
    /// `steps_per_epoch` is called only if the scheduler depends on it, since it may have to load a
    /// batch.
    fn into_scheduler(
        self,
        epochs: usize,
        steps_per_epoch: impl FnOnce() -> usize,
    ) -> ModuleLrScheduler;
}

/// A number, or a scheduler of burn, which counts steps itself.
impl<S: Into<ModuleLrScheduler>> IntoScheduler for S {
    fn into_scheduler(
        self,
        _epochs: usize,
        _steps_per_epoch: impl FnOnce() -> usize,
    ) -> ModuleLrScheduler {
        self.into()
    }
}

impl IntoScheduler for &LearningRateConfig {
    fn into_scheduler(
        self,
        epochs: usize,
        steps_per_epoch: impl FnOnce() -> usize,
    ) -> ModuleLrScheduler {
        self.init(epochs, steps_per_epoch()).into()
    }
}

/// The highest valid learning rate: a higher one is surely a mistake.
const HIGHEST_RATE: f64 = 1e3;
/// The longest valid warm-up in epochs, so that products with steps stay far from an overflow.
const LONGEST: usize = 1_000_000_000;

impl Check for LearningRateConfig {
    fn check(&self) -> Result<(), ConfigError> {
        check::ensure(
            self.base_lr > 0.0 && self.base_lr <= HIGHEST_RATE, // This also rejects NaN
            "base",
            format_args!("above 0 and at most {HIGHEST_RATE}"),
            self.base_lr,
        )?;
        check::ensure(
            self.base_lr as f32 > 0.0,
            "base",
            "above 0 also in single precision",
            format_args!("{:e}", self.base_lr),
        )?;
        check::count_in("warm_up", self.warm_up, 0..=LONGEST)?;
        match &self.shape {
            LrSchedule::Constant {} | LrSchedule::Cosine {} => Ok(()),
            LrSchedule::MultiStep { milestones, factor } => {
                check::in_range("shape.factor", *factor, 0.0..=100.0)?;
                check::ascending("shape.milestones", milestones)
            }
        }
    }
}

/// A learning rate scheduler that is configured in epochs.
///
/// burn's schedulers advance with every optimizer step; this one converts epochs into steps.
#[derive(Clone, Debug)]
pub struct EpochScheduler {
    config: LearningRateConfig,
    epochs: usize,
    steps_per_epoch: usize,
    step: usize,
}

impl EpochScheduler {
    /// Returns the learning rate of an optimizer step, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        let warm_up = self.config.warm_up * self.steps_per_epoch;
        let rise = if step < warm_up {
            (step + 1) as f64 / warm_up as f64
        } else {
            1.0
        };
        let shape = match &self.config.shape {
            LrSchedule::Constant {} => 1.0,
            LrSchedule::MultiStep { milestones, factor } => {
                let finished = step / self.steps_per_epoch;
                let passed = milestones.iter().filter(|&&m| m <= finished).count();
                factor.powi(passed as i32)
            }
            LrSchedule::Cosine {} => {
                let total = (self.epochs * self.steps_per_epoch).max(1);
                let done = (step as f64 / total as f64).min(1.0);
                (1.0 + (PI * done).cos()) / 2.0
            }
        };
        self.config.base_lr * rise * shape
    }
}

impl LrScheduler for EpochScheduler {
    fn step(&mut self) -> LearningRate {
        let rate = self.rate(self.step);
        self.step += 1;
        rate
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new().with_scalar("step", self.step as u64)
    }

    fn load_record(&mut self, record: LrSchedulerRecord) {
        if let Some(step) = record.scalar::<u64>("step") {
            self.step = step as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduler(shape: LrSchedule, warm_up: usize) -> EpochScheduler {
        let config = LearningRateConfig {
            base_lr: 0.1,
            warm_up,
            shape,
        };
        config.init(4, 10)
    }

    fn assert_close(rate: f64, expected: f64) {
        assert!((rate - expected).abs() < 1e-12, "{rate} is not {expected}");
    }

    #[test]
    fn milestones_count_finished_epochs() {
        let shape = LrSchedule::MultiStep {
            milestones: vec![2, 3],
            factor: 0.1,
        };
        let scheduler = scheduler(shape, 0);

        assert_close(scheduler.rate(19), 0.1);
        assert_close(scheduler.rate(20), 0.01);
        assert_close(scheduler.rate(30), 0.001);
    }

    #[test]
    fn cosine_falls_from_the_base_rate_to_zero() {
        let scheduler = scheduler(LrSchedule::Cosine {}, 0);

        assert_close(scheduler.rate(0), 0.1);
        assert_close(scheduler.rate(20), 0.05);
        assert_close(scheduler.rate(40), 0.0);
    }

    #[test]
    fn warm_up_rises_to_the_base_rate() {
        let scheduler = scheduler(LrSchedule::Constant {}, 1);

        assert_close(scheduler.rate(0), 0.01);
        assert_close(scheduler.rate(9), 0.1);
        assert_close(scheduler.rate(10), 0.1);
    }

    #[test]
    fn a_restored_scheduler_continues() {
        let mut original = scheduler(LrSchedule::Cosine {}, 0);
        for _ in 0..7 {
            original.step();
        }
        let mut restored = scheduler(LrSchedule::Cosine {}, 0);
        restored.load_record(original.to_record());

        assert_close(restored.step(), original.step());
    }
}
