use crate::{Input, Network, Response, TapRecorder};
use burn::module::{
    Content, Devices, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Device;
use std::fmt;

/// A module held constant: moved across devices with the tree, but never trained, counted or saved.
///
/// A frozen module has no autodiff: it computes on plain tensors, in validation mode, so neither
/// its weights nor its running statistics can change. To the module tree it looks empty: visitors
/// and mappers (optimizers, records, parameter counts) find nothing in it.
#[derive(Clone, Debug)]
pub struct Frozen<M>(M);

impl<M: Module> Frozen<M> {
    /// Freeze a module. The original is not affected.
    pub fn new(module: M) -> Self {
        // In this order: `freeze` on a lazy module that shares its state with a clone freezes the
        // clone too, while `valid` first makes the parameters its own.
        Self(module.valid().freeze())
    }

    /// The module inside.
    pub fn inner(&self) -> &M {
        &self.0
    }

    /// The module inside, still off autodiff and in validation mode.
    pub fn into_inner(self) -> M {
        self.0
    }
}

impl<M: Module> Module for Frozen<M> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn to_device(self, device: &Device) -> Self {
        // A copy first: burn moves running statistics in place, also those of the clones.
        Self(self.0.valid().to_device(&device.clone().without_autodiff()))
    }

    fn train(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn materialize(self) -> Self {
        Self(self.0.materialize())
    }

    fn visit<Visitor: ModuleVisitor>(&self, _visitor: &mut Visitor) {}

    fn map<Mapper: ModuleMapper>(self, _mapper: &mut Mapper) -> Self {
        self
    }
}

/// A student that does not learn, while what is trained beside it does.
impl<N: Network> Network for Frozen<N> {
    type Input = N::Input;

    fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
        self.0.forward_tapped(input.without_autodiff(), taps)
    }

    fn example(&self, samples: usize, device: &Device) -> N::Input {
        self.0.example(samples, device)
    }

    fn classifier(&self) -> Option<Linear> {
        self.0.classifier()
    }

    fn normalization(&self, tap: &str) -> Option<BatchNorm> {
        self.0.normalization(tap)
    }
}

impl<M: ModuleDisplay> ModuleDisplayDefault for Frozen<M> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add("frozen", &self.0).optional()
    }
}

impl<M: ModuleDisplay> ModuleDisplay for Frozen<M> {}

impl<M: ModuleDisplay> fmt::Display for Frozen<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(DisplaySettings::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parameter_count, tensors};
    use burn::nn::{BatchNormConfig, LinearConfig};
    use burn::tensor::{Distribution, Tensor};

    #[derive(Module, Debug)]
    struct Net {
        linear: Linear,
        norm: BatchNorm,
    }

    impl Net {
        fn new(device: &Device) -> Self {
            Self {
                linear: LinearConfig::new(3, 4).init(device),
                norm: BatchNormConfig::new(4).init(device),
            }
        }

        fn forward(&self, input: Tensor<2>) -> Tensor<2> {
            self.norm.forward(self.linear.forward(input))
        }
    }

    #[test]
    fn the_original_still_trains() {
        let device = Device::default().autodiff();
        let net = Net::new(&device);

        // Lazy parameters are shared by clones: the case that `freeze` alone gets wrong.
        let _frozen = Frozen::new(net.clone());

        let input = Tensor::random([5, 3], Distribution::Default, &device);
        let grads = net.forward(input).sum().backward();
        assert!(net.linear.weight.grad(&grads).is_some());
    }

    #[test]
    fn nothing_inside_is_trained_counted_or_saved() {
        let frozen = Frozen::new(Net::new(&Device::default().autodiff()));

        assert_eq!(Module::num_params(&frozen), 0);
        assert_eq!(parameter_count(&frozen), 0);
        assert!(frozen.clone().into_record().is_empty());
        assert!(parameter_count(frozen.inner()) > 0);
    }

    #[test]
    fn training_mode_and_autodiff_devices_do_not_reach_it() {
        let device = Device::default().autodiff();
        let frozen = Frozen::new(Net::new(&device));
        let before = tensors(frozen.inner());

        let frozen = frozen.train().fork(&device).to_device(&device);
        let input = Tensor::random([5, 3], Distribution::Default, &device);
        let output = frozen.inner().forward(input.without_autodiff());

        assert!(!output.is_autodiff());
        assert_eq!(tensors(frozen.inner()), before);
    }

    #[test]
    fn display_says_that_it_is_frozen() {
        let display = Frozen::new(Net::new(&Device::default())).to_string();

        assert!(display.starts_with("Frozen {"), "{display}");
        assert!(display.contains("Linear"), "{display}");
    }
}
