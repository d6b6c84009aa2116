use crate::{Buffer, Input};
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};

/// An input that a module can keep in [buffers](Buffer) from one training step to the next.
///
/// The tensors in a record have fixed shapes, but the size of a batch varies. So the buffers have
/// room for a fixed number of samples, and unused room is filled with zeros.
///
/// # Example
///
/// An input of several tensors uses a module of several buffers:
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
///     type Buffers = CaptionedMemory;
///
///     fn into_buffers(self) -> CaptionedMemory {
///         CaptionedMemory { image: self.image.into_buffers(), caption: self.caption.into_buffers() }
///     }
///
///     fn store(self, memory: &CaptionedMemory) {
///         self.image.store(&memory.image);
///         self.caption.store(&memory.caption);
///     }
///
///     fn load(memory: &CaptionedMemory, samples: usize, device: &Device) -> Self {
///         Self {
///             image: Tensor::load(&memory.image, samples, device),
///             caption: Tensor::load(&memory.caption, samples, device),
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
    /// Module without parameters that holds the input.
    type Buffers: Module + ModuleDisplay + 'static;

    /// Creates buffers with the number of samples of this input, which are their initial values.
    fn into_buffers(self) -> Self::Buffers;

    /// Replaces the values of the buffers by this input.
    ///
    /// # Panics
    ///
    /// Panics if the input has more samples than the buffers have room for, or samples of another
    /// shape.
    fn store(self, memory: &Self::Buffers);

    /// Returns the first samples in the buffers, on the given device.
    ///
    /// The result has autodiff if the device has, because burn decides by the input whether a layer
    /// trains.
    fn load(memory: &Self::Buffers, samples: usize, device: &Device) -> Self;
}

macro_rules! bufferable_tensor {
    ($($kind:ty),*) => {$(
        impl<const D: usize> Bufferable for Tensor<D, $kind> {
            type Buffers = Buffer<Self>;

            fn into_buffers(self) -> Buffer<Self> {
                Buffer::new(self)
            }

            fn store(self, memory: &Buffer<Self>) {
                let mut shape = memory.get().dims();
                let (room, samples) = (shape[0], self.dims()[0]);
                assert!(
                    samples <= room,
                    "The buffer has room for {room} samples, but the input has {samples}."
                );
                shape[0] = room - samples;
                let device = self.device().without_autodiff();
                let rest = Self::zeros(shape, (&device, self.dtype()));
                memory.set(Tensor::cat(vec![self.without_autodiff(), rest], 0));
            }

            fn load(memory: &Buffer<Self>, samples: usize, device: &Device) -> Self {
                let recalled = memory.get().narrow(0, 0, samples).to_device(device);
                // Moving a tensor does not add autodiff.
                match device.is_autodiff() {
                    true => recalled.autodiff(),
                    false => recalled,
                }
            }
        }
    )*};
}

bufferable_tensor!(burn::tensor::Float, burn::tensor::Int);

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Int;

    #[test]
    fn fewer_samples_than_there_is_room_for_are_returned_unchanged() {
        let device = Device::default().autodiff();
        let input = |values: &[f32]| {
            let rows = Tensor::<1>::from_data(values, &device);
            rows.reshape([values.len() / 2, 2])
        };
        let memory = input(&[0.0; 6]).into_buffers();

        for values in [&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..], &[7.0, 8.0]] {
            input(values).store(&memory);
            let recalled = Tensor::<2>::load(&memory, values.len() / 2, &device);
            assert!(recalled.is_autodiff() && !recalled.is_require_grad());
            let plain = device.clone().without_autodiff();
            let recalled = Tensor::<2>::load(&memory, values.len() / 2, &plain);
            assert!(!recalled.is_autodiff());
            let recalled: Vec<f32> = recalled.into_data().iter().collect();
            assert_eq!(recalled, values);
        }
        let all: Vec<f32> = memory.get().into_data().iter().collect();
        assert_eq!(all, [7.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "The buffer has room for 1 samples, but the input has 2.")]
    fn more_samples_are_refused() {
        let tokens = Tensor::<2, Int>::zeros([1, 3], &Device::default());
        let memory = tokens.clone().into_buffers();

        Tensor::cat(vec![tokens.clone(), tokens], 0).store(&memory);
    }
}
