use crate::{ConfigError, DynNetwork, Input, LossError, Network, Taps, known_taps};
use burn::tensor::Device;
use serde::Deserialize;
use std::fmt::{self, Debug};
use std::sync::Arc;

/// Student, teacher and training data for which a loss is built.
#[derive(Clone)]
pub struct LossContext<I: Input> {
    /// Student.
    pub student: DynNetwork<I>,
    /// Teacher, which is untrained while a recipe is only checked.
    pub teacher: DynNetwork<I>,
    /// All taps of the student for two samples of zeros, for their kinds and shapes.
    pub student_taps: Taps,
    /// All taps of the teacher for two samples of zeros, for their kinds and shapes.
    pub teacher_taps: Taps,
    /// Number of samples per step.
    pub batch_size: usize,
    /// Ids of the training samples of the student, with their classes if they are labeled.
    pub samples: Vec<(usize, Option<usize>)>,
    /// Device on which the parameters of a loss are created. A training moves them to its device.
    pub device: Device,
    /// Function that checks an estimate of memory in bytes, by the key of the value on which it
    /// depends.
    pub memory: fn(key: &str, value: String, bytes: f64) -> Result<(), ConfigError>,
    /// Function that pairs the layers of both networks if a table has the key `pairing`.
    pub pairing: Option<PairLayers<I>>,
}

/// A function that chooses a number of pairs among the named taps of student and teacher.
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

/// Method to choose the layers that are compared: the value of the key `pairing`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerChoice {
    /// Evenly spaced layers of both networks.
    Uniform,
    /// The last layers of both networks.
    Last,
    /// The most similar layers by centered kernel alignment.
    Cka,
}

impl<I: Input> LossContext<I> {
    /// Creates a context from a student, its teacher and the training data, without a limit on
    /// memory.
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
        let classifier = classifier.ok_or_else(|| {
            LossError::new(
                "the student has no classifier, but this loss needs one: implement \
                     `Network::classifier`",
            )
        })?;
        Ok(classifier.weight.dims()[1])
    }

    /// Checks that there is enough memory for the estimated bytes that a loss needs with a certain
    /// value of a key.
    ///
    /// # Errors
    ///
    /// Returns an error if there is not enough memory.
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

/// Number of bytes of one value in a tensor.
pub const BYTES_PER_NUMBER: f64 = 4.0;

/// Returns the number of bytes of parameters during training: the value, the gradient and two
/// values of the optimizer for each.
pub fn trained_bytes(parameters: f64) -> f64 {
    4.0 * BYTES_PER_NUMBER * parameters
}
