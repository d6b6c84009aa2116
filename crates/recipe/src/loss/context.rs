use super::pairing::pair_layers;
use crate::input::{AnyInput, AnyNetwork};
use crate::memory;
use crate::notices::Notices;
use burn::tensor::Device;

/// The two networks that a loss compares, both on the CPU, and what it needs to know to be built.
pub type LossContext = burn_distill::core::LossContext<AnyInput>;

/// Creates the context of the losses between a student and its teacher. `samples` are the ids of
/// the training samples with their classes.
pub fn loss_context(
    student: AnyNetwork,
    teacher: AnyNetwork,
    batch_size: usize,
    samples: Vec<(usize, Option<usize>)>,
) -> LossContext {
    LossContext {
        memory: |key, value, bytes| memory::fits(key, value, bytes),
        pairing: Some(pair_layers(None)),
        ..LossContext::new(student, teacher, batch_size, samples, Device::flex())
    }
}

/// Sets inputs, on the CPU, by which layers of both networks are compared. Messages about what is
/// found in them go to the notices.
pub fn with_inputs(context: LossContext, inputs: AnyInput, notices: Notices) -> LossContext {
    LossContext {
        pairing: Some(pair_layers(Some((inputs, notices)))),
        ..context
    }
}

/// Creates the context of a small student and a larger teacher for digits.
#[cfg(test)]
pub fn example_context() -> LossContext {
    context_between("convnet-4-8", "convnet-8-16")
}

/// Creates the context of a small student and a larger teacher for digits, both transformers.
#[cfg(test)]
pub fn example_context_of_tokens() -> LossContext {
    context_between("vit-48-2-2", "vit-48-4-2")
}

/// Creates the context of a student of two heads for digits, and a teacher.
#[cfg(test)]
pub fn example_context_of_heads() -> LossContext {
    context_between("deit-tiny-distilled-patch16-224", "convnet-8-16")
}

#[cfg(test)]
fn context_between(student: &str, teacher: &str) -> LossContext {
    use crate::network::for_digits;
    let samples = (0..100).map(|id| (id, Some(id % 10))).collect();
    loss_context(for_digits(student), for_digits(teacher), 4, samples)
}
