use burn::grad_clipping::GradientClippingConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, ModuleOptimizer, SgdConfig};
use burn_distill_core::{Check, ConfigError, check};
use serde::{Deserialize, Serialize};

/// The optimizer of a training, with the conventions of the literature where burn's defaults differ.
///
/// With a `clip_norm`, the gradient `g` of each parameter is made shorter by itself, before anything
/// else is done with it, an L2 penalty included:
///
/// ```text
/// g ← g · min(1, clip_norm / ‖g‖₂)
/// ```
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
        /// Decoupled weight decay. Default: 0.01.
        #[serde(default = "decoupled_decay")]
        weight_decay: f64,
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

impl OptimizerConfig {
    /// Initializes the optimizer.
    ///
    /// # Panics
    ///
    /// Panics if a value is out of its range.
    pub fn init(&self) -> ModuleOptimizer {
        self.assert_valid();
        // The epsilon of the papers and of PyTorch; burn's default is 1e-5.
        const EPSILON: f32 = 1e-8;
        let optimizer = match *self {
            Self::Sgd {
                momentum,
                nesterov,
                weight_decay,
                ..
            } => SgdConfig::new()
                .with_momentum((momentum > 0.0).then(|| {
                    MomentumConfig::new()
                        .with_momentum(momentum)
                        .with_nesterov(nesterov)
                        // burn's default of 0.1 scales every gradient but the first.
                        .with_dampening(0.0)
                }))
                .with_weight_decay(penalty(weight_decay))
                .init(),
            Self::Adam { weight_decay, .. } => AdamConfig::new()
                .with_epsilon(EPSILON)
                .with_weight_decay(penalty(weight_decay))
                .init(),
            Self::AdamW { weight_decay, .. } => AdamWConfig::new()
                .with_epsilon(EPSILON)
                .with_weight_decay(weight_decay as f32)
                .init(),
        };
        match self.clip_norm() {
            Some(norm) => {
                optimizer.with_grad_clipping(GradientClippingConfig::Norm(norm as f32).init())
            }
            None => optimizer,
        }
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

fn penalty(weight_decay: f64) -> Option<WeightDecayConfig> {
    (weight_decay > 0.0).then(|| WeightDecayConfig::new(weight_decay as f32))
}
