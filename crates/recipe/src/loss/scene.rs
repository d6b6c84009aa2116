use super::pairing::pair_layers;
use crate::input::{AnyInput, AnyNetwork};
use crate::memory;
use crate::notices::Notices;
use burn::tensor::Device;
use burn_distill::core::LossContext;
use std::ops::{Deref, DerefMut};

/// The two networks that a loss is between, both on the CPU.
pub struct Scene {
    /// The networks and their taps.
    pub context: LossContext<AnyInput>,
    inputs: Option<AnyInput>,
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
        let scene = Self {
            context: LossContext {
                memory: |key, value, bytes| memory::fits(key, value, bytes),
                ..context
            },
            inputs: None,
            notices: Notices::default(),
        };
        scene.with_pairing()
    }

    /// Sets where losses leave messages.
    pub fn with_notices(mut self, notices: Notices) -> Self {
        self.notices = notices;
        self.with_pairing()
    }

    /// Sets inputs that both networks can be compared on, on the CPU.
    pub fn with_inputs(mut self, inputs: AnyInput) -> Self {
        self.inputs = Some(inputs);
        self.with_pairing()
    }

    fn with_pairing(mut self) -> Self {
        let pairing = pair_layers(self.inputs.clone(), self.notices.clone());
        self.context.pairing = Some(pairing);
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
