use super::adam::Adam;
use super::regularization::Regularization;
use super::sgd::Sgd;
use burn::optim::ModuleOptimizer;
use burn_distill_core::{Check, ConfigError, check};
use serde::{Deserialize, Serialize};

/// Configuration of the optimizer of a training, with the conventions and defaults of PyTorch.
///
/// In double precision it agrees with PyTorch to the last digits, whereas burn's optimizers keep
/// their decay rates and penalties in single precision.
///
/// With a `clip_norm`, the gradient `g` of each parameter is clipped separately, before an L2
/// penalty is added:
///
/// ```text
/// g ← g · min(1, clip_norm / (‖g‖₂ + 1e-6))
/// ```
///
/// A parameter without a gradient does not change: neither weight decay nor momentum is applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Stochastic gradient descent with momentum, without dampening.
    Sgd {
        /// Momentum, from 0 and below 1. Default: 0.9.
        #[serde(default = "momentum")]
        momentum: f64,
        /// Whether the momentum is Nesterov's. Default: false.
        #[serde(default)]
        nesterov: bool,
        /// L2 penalty on every parameter. Default: 5e-4.
        #[serde(default = "weight_decay")]
        weight_decay: f64,
        /// Maximum L2 norm of the gradient of a parameter, which is scaled down to it. Must be
        /// positive. Default: no clipping.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip_norm: Option<f64>,
    },
    /// Adam, with an L2 penalty in the gradient.
    Adam {
        /// L2 penalty on every parameter. Default: 0.
        #[serde(default)]
        weight_decay: f64,
        /// Maximum L2 norm of the gradient of a parameter, which is scaled down to it. Must be
        /// positive. Default: no clipping.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip_norm: Option<f64>,
    },
    /// Adam with decoupled weight decay.
    AdamW {
        /// Decoupled weight decay: `parameter ← (1 − rate · weight_decay) · parameter` before the
        /// step. Default: 0.01.
        #[serde(default = "decoupled_decay")]
        weight_decay: f64,
        /// Whether weight decay applies to one-dimensional parameters, which are biases and the
        /// scales of normalizations. The literature on transformers excludes them. Default: true.
        #[serde(default = "decay_vectors", skip_serializing_if = "is_true")]
        decay_vectors: bool,
        /// Maximum L2 norm of the gradient of a parameter, which is scaled down to it. Must be
        /// positive. Default: no clipping.
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

    /// Creates plain gradient descent, without momentum and weight decay, for a strategy that
    /// computes the steps itself.
    pub fn descent() -> Self {
        Self::Sgd {
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            clip_norm: None,
        }
    }

    /// Sets the weight decay to 0, for a strategy that applies weight decay itself.
    pub fn without_weight_decay(mut self) -> Self {
        let (Self::Sgd { weight_decay, .. }
        | Self::Adam { weight_decay, .. }
        | Self::AdamW { weight_decay, .. }) = &mut self;
        *weight_decay = 0.0;
        self
    }

    /// Returns the maximum norm of the gradient of a parameter, if gradients are clipped.
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

/// The largest weight decay: a larger one would remove more than the whole weight in a step.
const LARGEST_DECAY: f64 = 1e3;
