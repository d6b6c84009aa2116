use crate::delegate::untrained_module;
use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
    Param, ParamId,
};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Whole numbers that a module remembers on the host, such as the ids of samples.
///
/// It is to numbers what [`Buffer`](crate::Buffer) is to tensors: saved and restored with the module,
/// never trained, written by a step that only borrows the module, and copied for validation and for
/// other devices. A step reads them without waiting for the device: they are a tensor only in a
/// record. How many there are is fixed.
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
    /// Where records make a tensor of them.
    device: Device,
}

impl HostBuffer {
    /// Remember these at first.
    pub fn new(values: Vec<i64>, device: &Device) -> Self {
        Self::with_id(ParamId::new(), values, device)
    }

    /// Remember these from now on.
    ///
    /// # Panics
    ///
    /// Panics if they are not as many as before: their record would not fit.
    pub fn set(&self, values: Vec<i64>) {
        let mut remembered = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(
            values.len(),
            remembered.len(),
            "As many numbers are remembered as there were."
        );
        *remembered = values;
    }

    /// What is remembered.
    pub fn get(&self) -> Vec<i64> {
        // The value is whole between two calls, also if a thread panicked in one.
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

    /// A tensor of them, which is made only for who looks at it.
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
        // An optimizer passes on what it was given: nothing was looked at, and nothing has changed.
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
        content.add_formatted(&"Numbers".to_string()).optional()
    }
}

impl ModuleDisplay for HostBuffer {}

impl fmt::Display for HostBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Numbers")
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
    fn training_leaves_them_where_they_are() {
        let device = Device::default().autodiff();
        let seen = Seen::new(&device);
        seen.numbers.set(vec![1, 2, 3]);
        let kept = seen.numbers.clone();

        let loss = seen.linear.forward(Tensor::<2>::ones([1, 2], &device));
        let grads = GradientsParams::from_grads(loss.sum().backward(), &seen);
        let seen = SgdConfig::new().init().step(0.1, seen, grads);

        assert_eq!(seen.numbers.get(), [1, 2, 3]);
        // The same memory, not a copy that was read back from a device.
        assert!(Arc::ptr_eq(&seen.numbers.values, &kept.values));
    }

    #[test]
    fn validation_and_other_devices_remember_on_their_own() {
        let device = Device::default().autodiff();
        let numbers = HostBuffer::new(vec![0], &device);

        numbers.valid().set(vec![1]);
        numbers.clone().fork(&device).set(vec![2]);
        assert_eq!(numbers.get(), [0]);

        numbers.clone().set(vec![3]);
        assert_eq!(numbers.get(), [3]);
    }

    #[test]
    #[should_panic(expected = "As many numbers are remembered as there were.")]
    fn how_many_there_are_is_fixed() {
        HostBuffer::new(vec![0], &Device::default()).set(vec![1, 2]);
    }
}
