use super::pairing::pair_layers;
use crate::input::{AnyInput, AnyNetwork};
use crate::memory;
use crate::notices::Notices;
use burn::tensor::Device;
use burn_distill::core::LossContext;
use std::ops::{Deref, DerefMut};

/// The two networks that a loss is between, both on the CPU.
pub struct Scene {
    /// The networks, as the losses see them.
    pub context: LossContext<AnyInput>,
    notices: Notices,
}

impl Scene {
    /// Creates the scene of a student and its teacher.
    pub fn new(
        student: AnyNetwork,
        teacher: AnyNetwork,
        batch_size: usize,
        samples: Vec<(usize, Option<usize>)>,
    ) -> Self {
        let context = LossContext::new(student, teacher, batch_size, samples, Device::flex());
        Self {
            context: LossContext {
                memory: |key, value, bytes| memory::fits(key, value, bytes),
                pairing: Some(pair_layers(None)),
                ..context
            },
            notices: Notices::default(),
        }
    }

    /// Sets where messages are left about what is found in [inputs](Self::with_inputs) that are set
    /// afterwards.
    pub fn with_notices(mut self, notices: Notices) -> Self {
        self.notices = notices;
        self
    }

    /// Sets inputs that both networks can be compared on, on the CPU.
    pub fn with_inputs(mut self, inputs: AnyInput) -> Self {
        let notices = self.notices.clone();
        self.context.pairing = Some(pair_layers(Some((inputs, notices))));
        self
    }

    /// A small student and a larger teacher for digits.
    #[cfg(test)]
    pub fn example() -> Self {
        Self::between("convnet-4-8", "convnet-8-16")
    }

    /// A small student and a larger teacher for digits, both transformers.
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

impl Deref for Scene {
    type Target = LossContext<AnyInput>;

    fn deref(&self) -> &Self::Target {
        &self.context
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.context
    }
}
