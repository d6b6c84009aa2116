use crate::{ConfigError, DynNetwork, Input, LossError, Network, Taps, known_taps};
use burn::tensor::Device;
use serde::Deserialize;
use std::fmt::{self, Debug};
use std::sync::Arc;

/// A student and its teacher, as far as a loss has to know them before training.
#[derive(Clone)]
pub struct LossContext<I: Input> {
    /// The network that learns.
    pub student: DynNetwork<I>,
    /// The network that teaches; untrained while a recipe is only checked.
    pub teacher: DynNetwork<I>,
    /// Every tap of the student, of two samples: their shapes are what matters.
    pub student_taps: Taps,
    /// Every tap of the teacher, likewise.
    pub teacher_taps: Taps,
    /// The number of samples per step.
    pub batch_size: usize,
    /// The ids of the samples that the student is trained on, with their classes where they are known.
    pub samples: Vec<(usize, Option<usize>)>,
    /// The device on which the parameters of a loss are created. A training moves them to its own.
    pub device: Device,
    /// Checks an estimate of memory in bytes, by the key of the value that it depends on.
    pub memory: fn(key: &str, value: String, bytes: f64) -> Result<(), ConfigError>,
    /// Pairs the layers of both networks where a table has a `pairing`.
    pub pairing: Option<PairLayers<I>>,
}

/// A function that chooses so many pairs among the named taps of the student and of the teacher.
pub type PairLayers<I> = Arc<
    dyn Fn(
            &LossContext<I>,
            LayerChoice,
            usize,
            &[String],
            &[String],
        ) -> Result<Vec<(String, String)>, LossError>
        + Send
        + Sync,
>;

/// Ways to choose layers that are compared, the values of the key `pairing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerChoice {
    /// Evenly spaced layers of both networks.
    Uniform,
    /// The last layers of both networks.
    Last,
    /// The layers that are most similar by centered kernel alignment.
    Cka,
}

impl<I: Input> LossContext<I> {
    /// Creates the context of a student and its teacher, without limits of memory.
    pub fn new(
        student: DynNetwork<I>,
        teacher: DynNetwork<I>,
        batch_size: usize,
        samples: Vec<(usize, Option<usize>)>,
        device: Device,
    ) -> Self {
        Self {
            student_taps: known_taps(&student),
            teacher_taps: known_taps(&teacher),
            student,
            teacher,
            batch_size,
            samples,
            device,
            memory: |_, _, _| Ok(()),
            pairing: None,
        }
    }

    /// Returns the number of classes of the student.
    ///
    /// # Errors
    ///
    /// Returns an error if the student has no classifier.
    pub fn classes(&self) -> Result<usize, LossError> {
        let classifier = self.student.classifier();
        let classifier =
            classifier.ok_or_else(|| LossError::new("the student has no classifier"))?;
        Ok(classifier.weight.dims()[1])
    }

    /// Checks an estimate of the memory in bytes that a value makes a loss need.
    ///
    /// # Errors
    ///
    /// Returns an error if there is less.
    pub fn fits(&self, key: &str, value: impl ToString, bytes: f64) -> Result<(), ConfigError> {
        (self.memory)(key, value.to_string(), bytes)
    }
}

impl<I: Input> Debug for LossContext<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LossContext")
            .field("student_taps", &self.student_taps)
            .field("teacher_taps", &self.teacher_taps)
            .field("batch_size", &self.batch_size)
            .field("samples", &self.samples.len())
            .finish_non_exhaustive()
    }
}

/// The bytes of a number in a tensor.
pub const BYTES_PER_NUMBER: f64 = 4.0;

/// Returns the bytes that so many parameters take while they are trained: each has its value, its
/// gradient and two numbers of the optimizer.
pub fn trained_bytes(parameters: f64) -> f64 {
    4.0 * BYTES_PER_NUMBER * parameters
}
