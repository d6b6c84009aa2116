use super::grid::Grid;
use super::network::Rule;
use super::scope::{Parameter, Scope, parameters};
use super::{LearnedLevelsGrid, LearnedStepGrid, Quantized, QuantizedSize, Rounding, UniformGrid};
use burn::config::Config;
use burn::module::Module;
use burn_distill_core::{Check, ConfigError, Network, NetworkMismatch, check};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Grid of the values that a quantized weight can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum QuantizationKind {
    /// Levels at equal distances from the smallest to the largest weight of each bucket: see
    /// [`UniformGrid`]. All parameters are quantized, biases and normalization too.
    #[default]
    Uniform,
    /// Multiples of a learned step for each tensor: see [`LearnedStepGrid`]. Matrices and kernels
    /// are quantized; vectors, such as biases and normalization, stay in full precision.
    LearnedStep,
    /// Learned levels for each tensor, between the smallest and the largest weight of each bucket:
    /// see [`LearnedLevelsGrid`]. All parameters are quantized.
    LearnedLevels,
}

/// Number of weights of a bucket, unless the configuration gives another.
const BUCKET_SIZE: usize = 256;

/// Configuration to create a [`Quantized`] network using the [init
/// function](QuantizationConfig::init).
#[derive(Config, Debug)]
pub struct QuantizationConfig {
    /// Grid of the weights. Default: [`QuantizationKind::Uniform`].
    #[config(default = "QuantizationKind::Uniform")]
    pub kind: QuantizationKind,
    /// Bits of a weight, so that it has one of `2^bits` values. From 1 to 16, from 2 to 16 with a
    /// learned step, and from 1 to 8 with learned levels. Default: `4`, as the authors' for
    /// CIFAR-100.
    #[config(default = 4)]
    pub bits: usize,
    /// Number of consecutive weights with the same smallest and largest level, not with a learned
    /// step. Must be at least 1. Default: `256`.
    pub bucket_size: Option<usize>,
    /// Rounding during training, on a uniform grid only; validation and deployment round to the
    /// nearest level. Default: [`Rounding::Nearest`].
    #[config(default = "Rounding::Nearest")]
    pub rounding: Rounding,
    /// Parts of the network that stay in full precision: runs of names in the paths of its tensors,
    /// such as `fc`, `layer.0`, `bn` or `bias`. Default: none.
    #[config(default = "Vec::new()")]
    pub except: Vec<String>,
    /// Whether the first and the last layer stay in full precision: those of the first and the last
    /// matrix or kernel, with their biases. Default: `false`.
    #[config(default = false)]
    pub keep_first_and_last: bool,
    /// Seed of stochastic rounding. Default: `0`.
    #[config(default = 0)]
    pub seed: u64,
}

impl QuantizationConfig {
    /// Wraps a network so that it computes with quantized weights. The network keeps its parameters
    /// as full-precision weights.
    ///
    /// # Panics
    ///
    /// Panics where [`try_init`](Self::try_init) returns an error.
    pub fn init<N: Network>(&self, network: N) -> Quantized<N> {
        let built = self.try_init(network);
        built.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Wraps a network like [`init`](Self::init), but returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is out of its range, if the network has no part of a name that
    /// is excluded, or if no parameter is left to be quantized.
    pub fn try_init<N: Network>(&self, network: N) -> Result<Quantized<N>, NetworkMismatch> {
        self.check()?;
        let rule = Rule {
            grid: self.grid(),
            scope: Arc::new(self.scope(&parameters(&network))?),
            is_stochastic: self.rounding == Rounding::Stochastic,
            seed: self.seed,
        };
        Ok(Quantized::new(network, rule))
    }

    /// Computes the size of a network whose weights are packed in the bits of this configuration.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`try_init`](Self::try_init).
    pub fn size<M: Module>(&self, network: &M) -> Result<QuantizedSize, NetworkMismatch> {
        self.check()?;
        let parameters = parameters(network);
        let scope = self.scope(&parameters)?;
        Ok(QuantizedSize::of(
            &parameters,
            &scope,
            self.bits,
            self.grid(),
        ))
    }

    fn scope(&self, parameters: &[Parameter]) -> Result<Scope, NetworkMismatch> {
        let least_rank = match self.kind {
            QuantizationKind::Uniform | QuantizationKind::LearnedLevels => 1,
            QuantizationKind::LearnedStep => 2,
        };
        Scope::new(
            parameters,
            least_rank,
            &self.except,
            self.keep_first_and_last,
        )
    }

    fn grid(&self) -> Grid {
        let (bits, bucket_size) = (self.bits, self.bucket_size.unwrap_or(BUCKET_SIZE));
        match self.kind {
            QuantizationKind::Uniform => Grid::Uniform(UniformGrid::new(bits, bucket_size)),
            QuantizationKind::LearnedStep => Grid::LearnedStep(LearnedStepGrid::new(bits)),
            QuantizationKind::LearnedLevels => {
                Grid::LearnedLevels(LearnedLevelsGrid::new(bits, bucket_size))
            }
        }
    }
}

impl Check for QuantizationConfig {
    fn check(&self) -> Result<(), ConfigError> {
        if let Some(bucket_size) = self.bucket_size {
            check::at_least("bucket_size", bucket_size, 1)?;
        }
        let range = match self.kind {
            QuantizationKind::Uniform => 1..=16,
            QuantizationKind::LearnedStep => 2..=16,
            QuantizationKind::LearnedLevels => 1..=8,
        };
        check::count_in("bits", self.bits, range)?;
        check::ensure(
            self.kind != QuantizationKind::LearnedStep || self.bucket_size.is_none(),
            "bucket_size",
            "left out with a learned step, which is one for each tensor",
            self.bucket_size.unwrap_or_default(),
        )?;
        check::ensure(
            self.kind == QuantizationKind::Uniform || self.rounding == Rounding::Nearest,
            "rounding",
            "left out with a learned step or learned levels, whose gradient is that of rounding to \
             the nearest",
            "stochastic",
        )
    }
}
