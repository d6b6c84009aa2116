use super::adam::Adam;
use super::regularization::Regularization;
use super::sgd::Sgd;
use burn::optim::ModuleOptimizer;
use burn_distill_core::{Check, ConfigError, check};
use serde::{Deserialize, Serialize};

/// Configuration of the optimizer of a training, with the conventions and the numbers of PyTorch.
///
/// In double precision it agrees with PyTorch to the last digits: burn's own optimizers keep their
/// decays and penalties in single precision.
///
/// With a `clip_norm`, the gradient `g` of each parameter is shortened by itself, before anything
/// else is done with it, an L2 penalty included:
///
/// ```text
/// g ← g · min(1, clip_norm / (‖g‖₂ + 1e-6))
/// ```
///
/// A parameter without a gradient stays as it is: neither weight decay nor momentum moves it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent with momentum, without dampening.
    Sgd {
        /// The momentum. Default: 0.9.
        #[serde(default = "momentum")]
        momentum: f64,
        /// Nesterov's momentum. Default: false.
        #[serde(default)]
        nesterov: bool,
        /// L2 penalty, on every parameter. Default: 5e-4.
        #[serde(default = "weight_decay")]
        weight_decay: f64,
        /// The L2 norm above which the gradient of a parameter is made shorter; none: it stays as it
        /// is. Must be positive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip_norm: Option<f64>,
    },
    /// Adam, with its L2 penalty in the gradient.
    Adam {
        /// L2 penalty, on every parameter. Default: 0.
        #[serde(default)]
        weight_decay: f64,
        /// The L2 norm above which the gradient of a parameter is made shorter; none: it stays as it
        /// is. Must be positive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip_norm: Option<f64>,
    },
    /// Adam with decoupled weight decay.
    AdamW {
        /// Decoupled weight decay: `parameter ← (1 − rate · weight_decay) · parameter` before the step.
        /// Default: 0.01.
        #[serde(default = "decoupled_decay")]
        weight_decay: f64,
        /// Whether one-dimensional parameters decay as well: biases, and the scales of
        /// normalizations. The literature of transformers leaves them out. Default: true.
        #[serde(default = "decay_vectors", skip_serializing_if = "is_true")]
        decay_vectors: bool,
        /// The L2 norm above which the gradient of a parameter is made shorter; none: it stays as it
        /// is. Must be positive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip_norm: Option<f64>,
    },
}

fn momentum() -> f64 {
    0.9
}

fn weight_decay() -> f64 {
    5e-4
}

fn decoupled_decay() -> f64 {
    0.01
}

fn decay_vectors() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::Sgd {
            momentum: momentum(),
            nesterov: false,
            weight_decay: weight_decay(),
            clip_norm: None,
        }
    }
}

impl From<&OptimizerConfig> for ModuleOptimizer {
    fn from(config: &OptimizerConfig) -> Self {
        config.init()
    }
}

impl OptimizerConfig {
    /// Initializes the optimizer.
    ///
    /// # Panics
    ///
    /// Panics if a value is out of its range.
    pub fn init(&self) -> ModuleOptimizer {
        self.assert_valid();
        let regularization = |weight_decay, decay_vectors| Regularization {
            clip_norm: self.clip_norm(),
            weight_decay,
            decay_vectors,
        };
        match *self {
            Self::Sgd {
                momentum,
                nesterov,
                weight_decay,
                ..
            } => ModuleOptimizer::from(Sgd {
                momentum,
                nesterov,
                regularization: regularization(weight_decay, true),
            }),
            Self::Adam { weight_decay, .. } => ModuleOptimizer::from(Adam {
                decoupled: false,
                regularization: regularization(weight_decay, true),
            }),
            Self::AdamW {
                weight_decay,
                decay_vectors,
                ..
            } => ModuleOptimizer::from(Adam {
                decoupled: true,
                regularization: regularization(weight_decay, decay_vectors),
            }),
        }
    }

    /// Returns the same optimizer without weight decay, for a strategy that applies its own.
    pub fn without_weight_decay(mut self) -> Self {
        let (Self::Sgd { weight_decay, .. }
        | Self::Adam { weight_decay, .. }
        | Self::AdamW { weight_decay, .. }) = &mut self;
        *weight_decay = 0.0;
        self
    }

    /// The norm above which the gradient of a parameter is made shorter, if there is one.
    pub fn clip_norm(&self) -> Option<f64> {
        match *self {
            Self::Sgd { clip_norm, .. }
            | Self::Adam { clip_norm, .. }
            | Self::AdamW { clip_norm, .. } => clip_norm,
        }
    }
}

impl Check for OptimizerConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let weight_decay = match *self {
            Self::Sgd {
                momentum,
                nesterov,
                weight_decay,
                ..
            } => {
                check::ensure(
                    (0.0..1.0).contains(&momentum), // This also rejects NaN
                    "momentum",
                    "from 0 and below 1",
                    momentum,
                )?;
                check::ensure(
                    !nesterov || momentum > 0.0,
                    "nesterov",
                    "false where `momentum` is 0",
                    nesterov,
                )?;
                weight_decay
            }
            Self::Adam { weight_decay, .. } | Self::AdamW { weight_decay, .. } => weight_decay,
        };
        check::in_range("weight_decay", weight_decay, 0.0..=LARGEST_DECAY)?;
        match self.clip_norm() {
            Some(norm) => check::positive("clip_norm", norm),
            None => Ok(()),
        }
    }
}

/// A larger penalty would undo more than the whole weight in a step.
const LARGEST_DECAY: f64 = 1e3;
