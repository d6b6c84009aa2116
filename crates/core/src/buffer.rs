use crate::delegate::untrained_module;
use crate::numeric::widest;
use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
    Param, ParamId,
};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A tensor that a module keeps from one training step to the next without training it, like a
/// buffer of PyTorch: a memory bank, a queue, or a statistic of the first batch.
///
/// A buffer is saved and restored with the module. It has no autodiff and is not counted by
/// [`parameter_count`](crate::parameter_count). A training step only borrows the module and can
/// still [`set`](Self::set) the buffer. Clones share one value; the copies that burn creates for
/// validation ([`valid`](Module::valid)) and for other devices ([`fork`](Module::fork)) have
/// separate values, so that a validation cannot change the buffer of the training.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn::tensor::{Device, Tensor};
/// use burn_distill_core::Buffer;
///
/// let seen = Buffer::new(Tensor::<1>::zeros([1], &Device::default()));
/// let validation = seen.valid();
/// seen.set(seen.get().add_scalar(64.0));
///
/// assert_eq!(seen.get().into_scalar::<f32>(), 64.0);
/// assert_eq!(validation.get().into_scalar::<f32>(), 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct Buffer<T> {
    id: ParamId,
    value: Arc<Mutex<T>>,
}

/// Name under which visitors see the tensor. As with running statistics, the name distinguishes it
/// from a parameter.
const NAME: &str = "running_value";

/// Value that a [`Buffer`] can hold: a tensor of floats or of integers.
pub trait BufferValue: Clone + Send {
    /// Returns the same values as constants, off the autodiff graph.
    fn constant(self) -> Self;
}

impl<T: BufferValue> Buffer<T> {
    /// Creates a buffer with an initial value.
    pub fn new(value: T) -> Self {
        Self::with_id(ParamId::new(), value.constant())
    }

    /// Replaces the value.
    pub fn set(&self, value: T) {
        *self.lock() = value.constant();
    }

    fn with_id(id: ParamId, value: T) -> Self {
        Self {
            id,
            value: Arc::new(Mutex::new(value)),
        }
    }

    /// Returns the value.
    pub fn get(&self) -> T {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // The value is complete between two calls, even if a thread panicked in one.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer with one row per entry, such as a memory bank of samples.
impl Buffer<Tensor<2>> {
    /// Returns the rows at the given positions. Shape: `[places, features]`.
    pub fn rows(&self, places: &[usize]) -> Tensor<2> {
        let rows = self.get();
        let places = indices(places, &rows.device());
        rows.select(0, places)
    }

    /// Replaces the rows at the given positions. If a position occurs several times, its last row
    /// counts. The buffer takes the precision of the rows if that is higher.
    ///
    /// # Shapes
    ///
    /// - rows: `[places, features]`
    pub fn set_rows(&self, places: &[usize], rows: Tensor<2>) {
        // Every position is written only once, because the result of several writes depends on the
        // device.
        let last = |&(row, place): &(usize, usize)| !places[row + 1..].contains(&place);
        let (from, to): (Vec<_>, Vec<_>) = places.iter().copied().enumerate().filter(last).unzip();
        if to.is_empty() {
            return;
        }
        let mut value = self.lock();
        let device = value.device();
        let dtype = widest(value.dtype(), rows.dtype());
        let rows = rows.cast(dtype);
        if value.dtype() != dtype {
            *value = value.clone().cast(dtype);
        }
        let to = indices(&to, &device);
        // Rows or positions that do not fit panic here, while the buffer is still complete.
        let change = rows
            .without_autodiff()
            .select(0, indices(&from, &device))
            .sub(value.clone().select(0, to.clone()));
        // A tensor with a second owner would be copied as a whole instead of being changed in
        // place.
        let nothing = Tensor::empty([0, 0], (&device, dtype));
        let remembered = mem::replace(&mut *value, nothing);
        *value = remembered.select_assign(0, to, change, IndexingUpdateOp::Add);
    }
}

/// Creates a tensor of indices on a device.
pub fn indices(places: &[usize], device: &Device) -> Tensor<1, Int> {
    let places: Vec<_> = places.iter().map(|&place| place as i32).collect();
    let count = places.len();
    Tensor::from_data(TensorData::new(places, [count]), device)
}

macro_rules! buffer_of_tensor {
    ($kind:ty, $visit:ident, $map:ident) => {
        impl<const D: usize> BufferValue for Tensor<D, $kind> {
            fn constant(self) -> Self {
                self.without_autodiff()
            }
        }

        impl<const D: usize> Module for Buffer<Tensor<D, $kind>> {
            fn collect_devices(&self, mut devices: Devices) -> Devices {
                let device = self.get().device();
                if !devices.contains(&device) {
                    devices.push(device);
                }
                devices
            }

            untrained_module!();

            fn to_device(self, device: &Device) -> Self {
                let device = device.clone().without_autodiff();
                Self::with_id(self.id, self.get().to_device(&device))
            }

            fn valid(&self) -> Self {
                Self::with_id(self.id, self.get())
            }

            fn materialize(self) -> Self {
                self
            }

            fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
                visitor.enter_module(NAME, "Buffer");
                visitor.$visit(&Param::initialized(self.id, self.get()));
                visitor.exit_module(NAME, "Buffer");
            }

            fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
                mapper.enter_module(NAME, "Buffer");
                let mapped = mapper.$map(Param::initialized(self.id, self.get()));
                mapper.exit_module(NAME, "Buffer");
                let (id, value, _) = mapped.consume();
                Self::with_id(id, value.without_autodiff())
            }
        }
    };
}

buffer_of_tensor!(burn::tensor::Float, visit_float, map_float);
buffer_of_tensor!(Int, visit_int, map_int);

impl<T> ModuleDisplayDefault for Buffer<T> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&"Buffer".to_string()).optional()
    }
}

impl<T> ModuleDisplay for Buffer<T> {}

impl<T> fmt::Display for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parameter_count, tensors};
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{DType, Distribution};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[derive(Module, Debug)]
    struct Memory {
        linear: Linear,
        bank: Buffer<Tensor<2>>,
        counts: Buffer<Tensor<1, Int>>,
    }

    impl Memory {
        fn new(device: &Device) -> Self {
            Self {
                linear: LinearConfig::new(3, 2).init(device),
                bank: Buffer::new(Tensor::zeros([2, 2], device)),
                counts: Buffer::new(Tensor::zeros([2], device)),
            }
        }

        fn store(&self, value: f32) {
            self.bank.set(self.bank.get().full_like(value));
            self.counts.set(self.counts.get().add_scalar(1));
        }
    }

    fn first(memory: &Memory) -> (f32, i32) {
        (
            memory.bank.get().slice([0..1, 0..1]).into_scalar(),
            memory.counts.get().narrow(0, 0, 1).into_scalar(),
        )
    }

    #[test]
    fn the_last_of_several_rows_at_one_position_counts() {
        let device = Device::default();
        let bank = Buffer::new(Tensor::<2>::from_data([[1.0], [2.0], [3.0]], &device));

        bank.set_rows(
            &[2, 0, 2],
            Tensor::from_data([[7.0], [8.0], [9.0]], &device),
        );
        bank.set_rows(&[], Tensor::zeros([0, 1], &device));

        let rows: Vec<f32> = bank.rows(&[0, 1, 2]).into_data().iter().collect();
        assert_eq!(rows, [8.0, 2.0, 9.0]);
    }

    #[test]
    fn a_buffer_becomes_as_precise_as_its_rows() {
        let device = Device::default();
        if !device.supports_dtype(DType::F64) {
            return;
        }
        let value = 1.0 + 1e-12;
        let bank = Buffer::new(Tensor::<2>::zeros([2, 1], (&device, DType::F32)));

        let rows = Tensor::<2>::from_data([[value]], (&device, DType::F64));
        bank.set_rows(&[1], rows);
        let single = Tensor::<2>::from_data([[0.5]], (&device, DType::F32));
        bank.set_rows(&[0], single);

        assert_eq!(bank.get().dtype(), DType::F64);
        let rows: Vec<f64> = bank.rows(&[0, 1]).into_data().iter().collect();
        assert_eq!(rows, [0.5, value]);
    }

    #[test]
    fn rows_are_replaced_in_place() {
        let device = Device::flex();
        let values = TensorData::zeros::<f32, _>([64, 2]);
        let address = |values: &TensorData| values.bytes().as_ptr();
        let before = address(&values);
        let bank = Buffer::new(Tensor::<2>::from_data(values, &device));

        bank.set_rows(&[3], Tensor::ones([1, 2], &device));

        let value = Arc::into_inner(bank.value).unwrap().into_inner().unwrap();
        let after = value.into_data();
        assert_eq!(address(&after), before);
        assert_eq!(after.iter::<f32>().sum::<f32>(), 2.0);
    }

    #[test]
    fn rows_that_are_refused_do_not_change_the_buffer() {
        let device = Device::flex();
        let bank = Buffer::new(Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &device));

        for (place, features) in [(2, 2), (0, 3)] {
            let rows = Tensor::ones([1, features], &device);
            let refused = catch_unwind(AssertUnwindSafe(|| bank.set_rows(&[place], rows)));
            assert!(refused.is_err());
        }

        let left: Vec<f32> = bank.get().into_data().iter().collect();
        assert_eq!(left, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn it_is_saved_and_restored() {
        let device = Device::default().autodiff();
        let memory = Memory::new(&device);
        memory.store(3.0);

        let other = Memory::new(&device).load_record(memory.clone().into_record());

        assert_eq!(first(&other), (3.0, 1));
        other.store(4.0);
        assert_eq!(first(&memory), (3.0, 1));
        assert_eq!(tensors(&memory).len(), 4);
    }

    #[test]
    fn copies_for_validation_and_other_devices_are_separate() {
        let device = Device::default().autodiff();
        let memory = Memory::new(&device);
        let (valid, fork) = (memory.valid(), memory.clone().fork(&device));

        valid.store(1.0);
        fork.store(2.0);
        assert_eq!(first(&memory), (0.0, 0));

        memory.clone().store(3.0);
        assert_eq!(first(&memory), (3.0, 1));
    }

    #[test]
    fn training_does_not_change_it() {
        let device = Device::default().autodiff();
        let memory = Memory::new(&device);
        memory.store(3.0);
        assert_eq!(parameter_count(&memory), 8);

        let input = Tensor::<2>::random([4, 3], Distribution::Default, &device);
        let loss = memory.linear.forward(input).matmul(memory.bank.get()).sum();
        let grads = GradientsParams::from_grads(loss.backward(), &memory);
        let before = memory.linear.weight.val().into_data();
        let memory = SgdConfig::new().init().step(0.1, memory, grads);

        assert_ne!(memory.linear.weight.val().into_data(), before);
        assert_eq!(first(&memory), (3.0, 1));
        assert!(!memory.bank.get().is_autodiff());
        memory.store(5.0);
        assert_eq!(first(&memory), (5.0, 2));
    }
}
