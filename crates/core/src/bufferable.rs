use crate::{Buffer, Input};
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};

/// An input that a module can remember from one training step to the next, and save in its record.
///
/// Records have tensors of fixed shapes, batches have not: what is remembered has room for so many
/// samples, and the rest of it is zeros.
///
/// An input of several tensors is remembered by a module of several memories:
///
/// ```
/// use burn::module::Module;
/// use burn::tensor::{Device, Int, Tensor};
/// use burn_distill_core::{Input, Bufferable, Buffer};
///
/// #[derive(Clone, Debug)]
/// struct Captioned {
///     image: Tensor<4>,
///     caption: Tensor<2, Int>,
/// }
///
/// #[derive(Module, Debug)]
/// struct CaptionedMemory {
///     image: Buffer<Tensor<4>>,
///     caption: Buffer<Tensor<2, Int>>,
/// }
///
/// impl Bufferable for Captioned {
///     type Memory = CaptionedMemory;
///
///     fn memory(self) -> CaptionedMemory {
///         CaptionedMemory { image: self.image.memory(), caption: self.caption.memory() }
///     }
///
///     fn remember(self, memory: &CaptionedMemory) {
///         self.image.remember(&memory.image);
///         self.caption.remember(&memory.caption);
///     }
///
///     fn recall(memory: &CaptionedMemory, samples: usize, device: &Device) -> Self {
///         Self {
///             image: Tensor::recall(&memory.image, samples, device),
///             caption: Tensor::recall(&memory.caption, samples, device),
///         }
///     }
/// }
/// # impl Input for Captioned {
/// #     fn len(&self) -> usize { self.image.len() }
/// #     fn select(self, indices: Tensor<1, Int>) -> Self {
/// #         Self { image: Input::select(self.image, indices.clone()), caption: Input::select(self.caption, indices) }
/// #     }
/// #     fn concat(_: Vec<Self>) -> Self { unimplemented!() }
/// #     fn without_autodiff(self) -> Self { self }
/// #     fn to_device(self, _: &Device) -> Self { self }
/// # }
/// ```
pub trait Bufferable: Input {
    /// What remembers such inputs: a module without parameters.
    type Memory: Module + ModuleDisplay + 'static;

    /// A memory with room for as many samples as this input has. It begins with them.
    fn memory(self) -> Self::Memory;

    /// Remember this input instead of what was remembered.
    ///
    /// # Panics
    ///
    /// Panics if it has more samples than there is room for, or samples of another shape.
    fn remember(self, memory: &Self::Memory);

    /// The first samples of what is remembered, on that device: on autodiff if it is, since burn
    /// decides by the input whether a layer trains.
    fn recall(memory: &Self::Memory, samples: usize, device: &Device) -> Self;
}

macro_rules! memorable_tensor {
    ($($kind:ty),*) => {$(
        impl<const D: usize> Bufferable for Tensor<D, $kind> {
            type Memory = Buffer<Self>;

            fn memory(self) -> Buffer<Self> {
                Buffer::new(self)
            }

            fn remember(self, memory: &Buffer<Self>) {
                let mut shape = memory.get().dims();
                let (room, samples) = (shape[0], self.dims()[0]);
                assert!(
                    samples <= room,
                    "There is room for {room} samples, but {samples} are to be remembered."
                );
                shape[0] = room - samples;
                let device = self.device().without_autodiff();
                let rest = Self::zeros(shape, (&device, self.dtype()));
                memory.set(Tensor::cat(vec![self.without_autodiff(), rest], 0));
            }

            fn recall(memory: &Buffer<Self>, samples: usize, device: &Device) -> Self {
                let recalled = memory.get().narrow(0, 0, samples).to_device(device);
                // A move keeps a tensor off autodiff.
                match device.is_autodiff() {
                    true => recalled.autodiff(),
                    false => recalled,
                }
            }
        }
    )*};
}

memorable_tensor!(burn::tensor::Float, burn::tensor::Int);

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Int;

    #[test]
    fn fewer_samples_than_there_is_room_for_are_what_they_were() {
        let device = Device::default().autodiff();
        let input = |values: &[f32]| {
            let rows = Tensor::<1>::from_data(values, &device);
            rows.reshape([values.len() / 2, 2])
        };
        let memory = input(&[0.0; 6]).memory();

        for values in [&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..], &[7.0, 8.0]] {
            input(values).remember(&memory);
            let recalled = Tensor::<2>::recall(&memory, values.len() / 2, &device);
            assert!(recalled.is_autodiff() && !recalled.is_require_grad());
            let plain = device.clone().without_autodiff();
            let recalled = Tensor::<2>::recall(&memory, values.len() / 2, &plain);
            assert!(!recalled.is_autodiff());
            let recalled: Vec<f32> = recalled.into_data().iter().collect();
            assert_eq!(recalled, values);
        }
        let all: Vec<f32> = memory.get().into_data().iter().collect();
        assert_eq!(all, [7.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "There is room for 1 samples, but 2 are to be remembered.")]
    fn more_samples_are_refused() {
        let tokens = Tensor::<2, Int>::zeros([1, 3], &Device::default());
        let memory = tokens.clone().memory();

        Tensor::cat(vec![tokens.clone(), tokens], 0).remember(&memory);
    }
}
