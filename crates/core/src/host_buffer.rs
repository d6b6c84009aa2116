use crate::delegate::untrained_module;
use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
    Param, ParamId,
};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Integers that a module keeps on the host from one training step to the next, such as the ids of
/// samples.
///
/// Like a [`Buffer`](crate::Buffer), it is saved and restored with the module, is never trained,
/// can be set by a training step that only borrows the module, and is copied for validation and for
/// other devices. Reading it does not wait for a device, because the values are a tensor only in a
/// record. The number of values is fixed.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn::tensor::Device;
/// use burn_distill_core::HostBuffer;
///
/// let device = Device::default();
/// let seen = HostBuffer::new(vec![-1, -1], &device);
/// seen.set(vec![7, -1]);
///
/// let restored = HostBuffer::new(vec![-1, -1], &device).load_record(seen.into_record());
/// assert_eq!(restored.get(), [7, -1]);
/// ```
#[derive(Clone, Debug)]
pub struct HostBuffer {
    id: ParamId,
    values: Arc<Mutex<Vec<i64>>>,
    /// Device on which records create a tensor of the values.
    device: Device,
}

impl HostBuffer {
    /// Creates a buffer with initial values.
    pub fn new(values: Vec<i64>, device: &Device) -> Self {
        Self::with_id(ParamId::new(), values, device)
    }

    /// Replaces the values.
    ///
    /// # Panics
    ///
    /// Panics if the number of values changes, because a record would no longer fit.
    pub fn set(&self, values: Vec<i64>) {
        let mut held = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(
            values.len(),
            held.len(),
            "The number of values in a buffer should not change."
        );
        *held = values;
    }

    /// Returns the values.
    pub fn get(&self) -> Vec<i64> {
        // The values are complete between two calls, even if a thread panicked in one.
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values.clone()
    }

    fn with_id(id: ParamId, values: Vec<i64>, device: &Device) -> Self {
        Self {
            id,
            values: Arc::new(Mutex::new(values)),
            device: device.clone().without_autodiff(),
        }
    }

    /// Returns the values as a lazy tensor, which is created only if it is read.
    fn param(&self) -> Param<Tensor<1, Int>> {
        let values = self.get();
        let shape = [values.len()];
        Param::uninitialized(
            self.id,
            move |device, _| Tensor::from_data(TensorData::new(values, shape), device),
            self.device.clone(),
            false,
            shape.into(),
        )
    }
}

impl Module for HostBuffer {
    fn collect_devices(&self, mut devices: Devices) -> Devices {
        if !devices.contains(&self.device) {
            devices.push(self.device.clone());
        }
        devices
    }

    untrained_module!();

    fn to_device(self, device: &Device) -> Self {
        Self::with_id(self.id, self.get(), device)
    }

    fn valid(&self) -> Self {
        Self::with_id(self.id, self.get(), &self.device)
    }

    fn materialize(self) -> Self {
        self
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        visitor.visit_int(&self.param());
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        let mapped = mapper.map_int(self.param());
        // An optimizer returns the parameter as it was: it was not read, so it has not changed.
        if !mapped.is_initialized() {
            return self;
        }
        let (id, tensor, _) = mapped.consume();
        let values = tensor.into_data().iter::<i64>().collect();
        Self::with_id(id, values, &self.device)
    }
}

impl ModuleDisplayDefault for HostBuffer {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&"HostBuffer".to_string()).optional()
    }
}

impl ModuleDisplay for HostBuffer {}

impl fmt::Display for HostBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostBuffer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parameter_count, tensors};
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::{GradientsParams, SgdConfig};

    #[derive(Module, Debug)]
    struct Seen {
        linear: Linear,
        numbers: HostBuffer,
    }

    impl Seen {
        fn new(device: &Device) -> Self {
            Self {
                linear: LinearConfig::new(2, 1).init(device),
                numbers: HostBuffer::new(vec![0; 3], device),
            }
        }
    }

    #[test]
    fn they_are_saved_and_restored() {
        let device = Device::default().autodiff();
        let seen = Seen::new(&device);
        seen.numbers.set(vec![1, -2, 50_000]);

        let other = Seen::new(&device);
        other.numbers.set(vec![9, 9, 9]);
        let other = other.load_record(seen.clone().into_record());

        assert_eq!(other.numbers.get(), [1, -2, 50_000]);
        other.numbers.set(vec![4, 4, 4]);
        assert_eq!(seen.numbers.get(), [1, -2, 50_000]);
        assert_eq!(tensors(&seen).len(), 3);
        assert_eq!(parameter_count(&Seen::new(&device).linear), 3);
    }

    #[test]
    fn training_does_not_copy_them() {
        let device = Device::default().autodiff();
        let seen = Seen::new(&device);
        seen.numbers.set(vec![1, 2, 3]);
        let kept = seen.numbers.clone();

        let loss = seen.linear.forward(Tensor::<2>::ones([1, 2], &device));
        let grads = GradientsParams::from_grads(loss.sum().backward(), &seen);
        let seen = SgdConfig::new().init().step(0.1, seen, grads);

        assert_eq!(seen.numbers.get(), [1, 2, 3]);
        // The same allocation, not a copy that was read back from a device.
        assert!(Arc::ptr_eq(&seen.numbers.values, &kept.values));
    }

    #[test]
    fn copies_for_validation_and_other_devices_are_separate() {
        let device = Device::default().autodiff();
        let numbers = HostBuffer::new(vec![0], &device);

        numbers.valid().set(vec![1]);
        numbers.clone().fork(&device).set(vec![2]);
        assert_eq!(numbers.get(), [0]);

        numbers.clone().set(vec![3]);
        assert_eq!(numbers.get(), [3]);
    }

    #[test]
    #[should_panic(expected = "The number of values in a buffer should not change.")]
    fn their_number_is_fixed() {
        HostBuffer::new(vec![0], &Device::default()).set(vec![1, 2]);
    }
}
