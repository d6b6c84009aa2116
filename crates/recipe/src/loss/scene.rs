use crate::input::{AnyInput, AnyNetwork};
use crate::notices::Notices;
use anyhow::{Context, Result};
use burn::tensor::Device;
use burn_distill::core::{Network, Taps, known_taps};

/// The two networks that a loss is between, as far as it has to know them before training.
pub struct Scene {
    /// The network that learns.
    pub student: AnyNetwork,
    /// The network that teaches; untrained while a recipe is only checked.
    pub teacher: AnyNetwork,
    /// Every tap of the student, of two samples of zeros: their shapes are what matters.
    pub student_taps: Taps,
    /// Every tap of the teacher, likewise.
    pub teacher_taps: Taps,
    /// Samples per step.
    pub batch_size: usize,
    /// The ids of the samples that the student is taught on, with the classes that it knows.
    pub samples: Vec<(usize, Option<usize>)>,
    /// A batch of inputs that the student is taught on; none while a recipe is only checked.
    pub inputs: Option<AnyInput>,
    /// Where losses leave messages about what they have found in the inputs.
    pub notices: Notices,
    /// Where what a loss has to learn is built. A training moves it to where it runs.
    pub device: Device,
}

impl Scene {
    /// The scene of a student and its teacher, both on the CPU.
    pub fn new(
        student: AnyNetwork,
        teacher: AnyNetwork,
        batch_size: usize,
        samples: Vec<(usize, Option<usize>)>,
    ) -> Self {
        Self {
            student_taps: known_taps(&student),
            teacher_taps: known_taps(&teacher),
            student,
            teacher,
            batch_size,
            samples,
            inputs: None,
            notices: Notices::default(),
            device: Device::flex(),
        }
    }

    /// The number of classes of the student.
    pub fn classes(&self) -> Result<usize> {
        let classifier = self.student.classifier();
        let classifier = classifier.context("the student has no classifier")?;
        Ok(classifier.weight.dims()[1])
    }

    /// Sets where losses leave messages.
    pub fn with_notices(mut self, notices: Notices) -> Self {
        self.notices = notices;
        self
    }

    /// Sets inputs that both networks can be compared on, on the CPU.
    pub fn with_inputs(mut self, inputs: AnyInput) -> Self {
        self.inputs = Some(inputs);
        self
    }

    /// A small student and a larger teacher for digits.
    #[cfg(test)]
    pub fn example() -> Self {
        Self::between("convnet-4-8", "convnet-8-16")
    }

    /// The same of transformers.
    #[cfg(test)]
    pub fn of_tokens() -> Self {
        Self::between("vit-48-2-2", "vit-48-4-2")
    }

    #[cfg(test)]
    fn between(student: &str, teacher: &str) -> Self {
        use crate::network::for_digits;
        let samples = (0..100).map(|id| (id, Some(id % 10))).collect();
        Self::new(for_digits(student), for_digits(teacher), 4, samples)
    }
}
